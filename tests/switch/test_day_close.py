"""The close of a business date."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from acquirer.switch.clock import Calendar
from acquirer.switch.workers.day_close import keep_closing_days


@pytest.mark.parametrize(("steps_h", "closed"), [((1, 30, 31), 1), ((1, 0, -30), 0), ((30, 60), 2)])
def test_a_date_is_anchored_once_when_it_is_over(steps_h: tuple[int, ...], closed: int) -> None:
    """Each date that ends is anchored; a clock that is set back anchors nothing."""
    anchored: list[str] = []
    base_ms = 1_764_000_000_000
    hours = iter((0, *steps_h))
    at = [0]

    def wall_ms() -> int:
        at[0] = next(hours, at[0])
        return base_ms + at[0] * 3_600_000

    async def anchor_chains(date: str, now_ms: int) -> bytes:
        anchored.append(date)
        return bytes(32)

    context = SimpleNamespace(
        calendar=Calendar(480), wall_ms=wall_ms, book=SimpleNamespace(anchor_chains=anchor_chains)
    )

    async def main() -> None:
        with trio.move_on_after(60 * (len(steps_h) + 2)):
            await keep_closing_days(cast(Any, context))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(set(anchored)) == len(anchored) == closed
