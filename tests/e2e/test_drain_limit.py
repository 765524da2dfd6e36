"""A stop that cannot wait any longer: what is in flight is undone before the process ends."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from world import OpenWorld

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
SLOW = 6604


async def test_what_the_limit_cuts_off_is_undone(open_world: OpenWorld) -> None:
    """The terminal gets no approval, the entry is timed out with its reversal queued; then sent."""
    async with open_world(changes={"limits": {"drain_s": 0.1}}) as world:
        terminal = await world.signed_on()
        async with world.line() as line:
            await line.send(terminal.sale(SYBIL, SLOW))
            await world.until(lambda: any(e.amount_minor == SLOW for e in world.journal()))
            started = trio.current_time()
            await world.drain()
            assert trio.current_time() - started < 3
            with suppress(EOFError, trio.BrokenResourceError):
                assert "00" != (await line.receive()).code
        states = [e.state for e in world.journal() if e.amount_minor == SLOW]
        assert ["timed_out"] == states
        await world.start_switch()
        await world.until(
            lambda: ["reversed"] == [e.state for e in world.journal() if e.amount_minor == SLOW]
        )
        await world.agree()
        assert 0 == world.receivable()
