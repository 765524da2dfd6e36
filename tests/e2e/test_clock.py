"""Wall clocks that jump: money is where it belongs, and nothing waits for the clock to catch up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acquirer.config.estate import load_estate
from acquirer.switch.surroundings import Surroundings, wall_ms

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
SLOW, STUBBORN, DROP = 6604, 6609, 6601
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Clock:
    """The wall clock, and how far it is off."""

    def __init__(self) -> None:
        self.off_ms = 0

    def __call__(self) -> int:
        """Milliseconds since 1970 UTC, or so."""
        return wall_ms() + self.off_ms


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 30 * DAY_MS, -DAY_MS])
async def test_a_jump_while_money_is_under_way(
    open_world: Callable[..., Any], jump_ms: int
) -> None:
    """A sale at the bank is answered, what is owed is sent soon, and all books agree."""
    clock = Clock()
    async with open_world(around=Surroundings(wall_ms=clock)) as world:
        terminal = await world.signed_on()
        dropped = await world.ask(terminal.sale(SYBIL, STUBBORN))
        assert "98" == dropped.code
        await world.until(lambda: world.entry(dropped[37]).state == "timed_out")
        async with world.line() as line:
            await line.send(terminal.sale(SYBIL, SLOW))
            await world.until(lambda: any(e.amount_minor == SLOW for e in world.journal()))
            clock.off_ms = jump_ms
            assert "00" == (await line.receive()).code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
        assert "98" == (await world.ask(terminal.sale(SYBIL, DROP))).code
        await world.agree()
        assert SLOW + 500 == world.receivable()
