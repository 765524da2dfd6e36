"""The books go while the switch runs: nothing is answered any more, and somebody is told."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
SILENCE_S = 1.0


def move(old: Path, new: Path) -> None:
    """Another name for the same file."""
    old.rename(new)


async def is_silent(world: World, frame: bytes) -> bool:
    """Whether a request is not answered, and its connection not closed, for a while."""
    with trio.move_on_after(SILENCE_S):
        await world.ask(frame)
        return False
    return True


@pytest.mark.parametrize("end", ["", "-wal", "-shm", ".lock"])
async def test_nothing_is_answered_while_the_books_are_gone(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """No approval and nothing at the bank; not ready, an alarm. Moved back, it goes on."""
    monkeypatch.setattr("acquirer.switch.watch.alarms.EVERY_S", 0.05)
    async with open_world() as world:
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
        at_bank = len(world.bank_rows())
        file, away = world.folder / f"switch.sqlite3{end}", world.folder / "away"
        async with httpx.AsyncClient(base_url=f"http://{world.http}") as client:

            async def shows(status: int, books: str, alarm: str) -> bool:
                ready, metrics = await client.get("/readyz"), await client.get("/metrics")
                line = f'acquirer_alarm{{alarm="books_gone"}} {alarm}'
                told = (ready.status_code, ready.json()["books"])
                return (status, books) == told and line in metrics.text

            await world.until(lambda: shows(200, "up", "0.0"))
            move(file, away)
            frame = terminal.sale(SYBIL, 2_000)
            assert await is_silent(world, frame)
            assert at_bank == len(world.bank_rows())
            await world.until(lambda: shows(503, "gone", "1.0"))
            move(away, file)
            await world.until(lambda: shows(200, "up", "0.0"))
        assert (await world.ask(terminal.reversal(frame))).code in ("00", "25")
        assert "00" == (await world.ask(terminal.sale(SYBIL, 3_000))).code
        await world.agree()
