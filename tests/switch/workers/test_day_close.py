"""The close of a business date, and what the next start learns of the clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from acquirer.ledger.store.instances import Past
from acquirer.payments.kernel.calendar import Calendar
from acquirer.switch.steady_clock import SteadyClock
from acquirer.switch.workers.day_close import DayClose

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# 2026-11-21 09:00 where the terminals are.
MORNING_MS = 1_795_222_800_000


class Shop:
    """A switch at its close, on a clock that may be off."""

    def __init__(self) -> None:
        self.true_ms = MORNING_MS
        self.off_ms = 0
        self.anchored: list[str] = []
        self.noted = Past(MORNING_MS - 1_000, MORNING_MS - 30 * DAY_MS, MORNING_MS, "2026-11-21")
        self.start()

    def start(self) -> None:
        """Start the switch, again perhaps."""
        self.clock = SteadyClock(
            lambda: self.true_ms + self.off_ms, lambda: (self.true_ms - MORNING_MS) / 1000
        )
        self.clock.resume(self.noted)
        context = SimpleNamespace(
            ports=SimpleNamespace(calendar=Calendar("Asia/Shanghai")), clock=self.clock, book=self
        )
        self.close = DayClose(cast(Any, context), self.noted.open_date)

    async def anchor_chains(self, date: str, _now_ms: int) -> bytes:
        """See ``Book``."""
        self.anchored.append(date)
        return bytes(32)

    async def note_clock(self, past: Past) -> None:
        """See ``Book``."""
        self.noted = past

    async def passes(self, ms: int) -> None:
        """Let time pass, with a look now and then."""
        for _ in range(100):
            self.true_ms += ms // 100
            await self.close.look()


async def test_each_date_is_anchored_once_when_it_is_over() -> None:
    """At midnight where the terminals are, and after another day again."""
    shop = Shop()
    await shop.passes(14 * HOUR_MS)
    assert [] == shop.anchored
    await shop.passes(2 * HOUR_MS)
    assert ["2026-11-21"] == shop.anchored
    await shop.passes(DAY_MS)
    assert ["2026-11-21", "2026-11-22"] == shop.anchored


@pytest.mark.parametrize("off_ms", [400 * DAY_MS, 13 * HOUR_MS, -30 * HOUR_MS])
@pytest.mark.parametrize("while_ms", [MINUTE_MS, 30 * MINUTE_MS])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_clock_that_is_wrong_for_a_while_closes_nothing(
    off_ms: int, while_ms: int, *, restarts: bool
) -> None:
    """The day goes on, and it and the next are closed when they are over."""
    shop = Shop()
    await shop.passes(HOUR_MS)
    shop.off_ms = off_ms
    if restarts:
        shop.start()
    await shop.passes(while_ms)
    assert [] == shop.anchored
    shop.off_ms = 0
    await shop.passes(13 * HOUR_MS)
    assert [] == shop.anchored
    await shop.passes(26 * HOUR_MS)
    assert ["2026-11-21", "2026-11-22"] == shop.anchored


async def test_a_clock_that_is_wrong_for_hours_does_not_keep_days_from_closing() -> None:
    """It closes the day that it takes to be over; when it is put right, the days go on."""
    shop = Shop()
    shop.off_ms = 400 * DAY_MS
    await shop.passes(3 * HOUR_MS)
    assert ["2026-11-21"] == shop.anchored
    shop.off_ms = 0
    await shop.passes(2 * DAY_MS)
    assert ["2026-11-21", "2026-11-21", "2026-11-22"] == shop.anchored


async def test_a_clock_that_was_months_behind_is_put_right() -> None:
    """The old date is closed, with nobody's help."""
    shop = Shop()
    shop.off_ms = -90 * DAY_MS
    shop.noted = Past()
    shop.start()
    await shop.passes(2 * HOUR_MS)
    shop.off_ms = 0
    await shop.passes(30 * MINUTE_MS)
    assert [] == shop.anchored
    await shop.passes(HOUR_MS)
    assert ["2026-08-23"] == shop.anchored


async def test_a_switch_that_was_off_at_midnight_closes_the_date_that_was_open() -> None:
    """A shop that is shut at night: an hour after it opens."""
    shop = Shop()
    await shop.passes(HOUR_MS)
    shop.true_ms += DAY_MS
    shop.start()
    await shop.passes(30 * MINUTE_MS)
    assert [] == shop.anchored
    await shop.passes(HOUR_MS)
    assert ["2026-11-21"] == shop.anchored
    assert "2026-11-22" == shop.noted.open_date


async def test_a_short_stop_over_midnight() -> None:
    """The clock is as good as before it: the date is closed at the start."""
    shop = Shop()
    await shop.passes(15 * HOUR_MS - 2 * MINUTE_MS)
    shop.true_ms += 5 * MINUTE_MS
    shop.start()
    await shop.close.look()
    assert ["2026-11-21"] == shop.anchored
