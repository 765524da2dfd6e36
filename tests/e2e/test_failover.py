"""The database's primary dies under load: it or its standby goes on, and no money is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from limits import HANG_S
from pg_pair import PgPair
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

CARDS = load_estate().cards
TERMINALS = ("10000001", "10000002", "10000003")
BEFORE, AFTER = 40, 40
ANSWER_S = 30.0


@pytest.fixture
def pair() -> Iterator[PgPair]:
    """Two servers."""
    made = PgPair()
    try:
        made.open()
        yield made
    finally:
        made.close()


async def ask(world: World, frame: bytes) -> str:
    """The reply's code; empty where none came."""
    try:
        with trio.move_on_after(ANSWER_S):
            return str((await world.ask(frame)).code)
    except (OSError, EOFError, trio.BrokenResourceError, trio.TooSlowError):
        pass
    return ""


@pytest.mark.parametrize("comes_back", [False, True], ids=["failover", "restart"])
async def test_the_primary_dies_under_load(
    pair: PgPair, open_world: OpenWorld, comes_back: bool
) -> None:
    """Every approval that a terminal has seen stands; all else is undone; sales go on."""
    sybil = next(card for card in CARDS if card.name == "sybil")
    codes: Counter[str] = Counter()
    approved: set[str] = set()
    async with open_world(url=pair.url) as world:
        for name in TERMINALS:
            await world.signed_on(name)
        enough, over = trio.Event(), trio.Event()

        async def is_undone(reversal: bytes) -> bool:
            return await ask(world, reversal) in ("00", "25")

        async def sell(name: str) -> None:
            terminal = world.terminal(name)
            while not over.is_set():
                frame = terminal.sale(sybil, 100, pin="")
                stan = f"{terminal.stan:06d}"
                code = await ask(world, frame)
                codes[code] += 1
                if code == "00":
                    approved.add(f"{name}/{stan}")
                    if len(approved) >= BEFORE:
                        enough.set()
                elif code != "91":
                    await world.until(partial(is_undone, terminal.reversal(frame)))

        async with trio.open_nursery() as nursery:
            for name in TERMINALS:
                nursery.start_soon(sell, name)
            with trio.fail_after(HANG_S):
                await enough.wait()
            pair.kill_primary()
            await trio.sleep(0.2)
            before = len(approved)
            recover = pair.restart_primary if comes_back else pair.promote
            await trio.to_thread.run_sync(recover)
            await world.until(lambda: len(approved) >= before + AFTER)
            over.set()
        await world.agree()
        stand = {
            f"{line.terminal_id}/{line.stan}"
            for line in world.journal()
            if line.kind == "sale" and line.state == "approved"
        }
        assert approved == stand
        assert 100 * len(approved) == world.receivable()
