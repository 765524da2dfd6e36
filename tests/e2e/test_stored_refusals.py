"""What a terminal is told for good stands under its STAN first, in all processes and for ever.

A copy of a request may be on its way for as long as it likes, and arrive anywhere: whatever its
terminal was told of the first must be what it is told of the copy.
"""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from pos_terminal import PosTerminal, Reply
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
SLOW = 6604
NEXT_BATCH = "UPDATE terminals SET batch = '000002', key_version = key_version + 1"


def sealed_code(terminal: PosTerminal, reply: Reply) -> str:
    """DE39 of a reply that its terminal believes."""
    assert terminal.sealed(reply), reply
    return reply.code


# --- one process -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({42: "898110055410002"}, "03"),
        ({3: "770000"}, "40"),
        ({25: "06"}, "40"),
        ({60: "2200000200050"}, "77"),
    ],
    ids=["merchant", "processing code", "condition", "batch"],
)
async def test_a_check_that_fails_uses_up_the_stan(
    world: World, change: dict[int, str | bytes], code: str
) -> None:
    """A sealed message that is refused by the checks before its rules is stored as refused."""
    terminal = await world.signed_on()
    frame = terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | change)
    for _ in range(2):
        assert code == sealed_code(terminal, await world.ask(frame))
    stan = Reply.of(frame[2:])[11]
    assert [code] == [line.response_code for line in world.journal() if line.stan == stan]


async def test_a_checks_refusal_of_a_reversal_is_not_sealed(world: World) -> None:
    """A reversal under another merchant is told 03 without a MAC, and works when it is right."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 100)
    assert "00" == (await world.ask(frame)).code
    kept = Reply.of(terminal.reversal(frame)[2:]).without(64)
    wrong = await world.ask(terminal.frame("0400", kept | {42: "898110055410002"}))
    assert ("03", False) == (wrong.code, 64 in wrong.fields)
    assert "00" == sealed_code(terminal, await world.ask(terminal.frame("0400", kept)))


async def test_a_missing_card_is_told_unsealed(world: World) -> None:
    """A sealed request without what its transaction needs gets 30, which bears no MAC."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    del fields[35]
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("30", False) == (reply.code, 64 in reply.fields)


async def test_a_refusal_outlives_batch_and_process(open_world: OpenWorld) -> None:
    """A sale of a batch that was not open yet stays refused when it is, in the next process."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frame = terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {60: "2200000200050"})
        assert "77" == sealed_code(terminal, await world.ask(frame))
        await world.stop("switch")
        with sqlite3.connect(world.url.removeprefix("sqlite:///")) as books:
            books.execute(NEXT_BATCH)
        books.close()
        await world.start_switch()
        assert "77" == sealed_code(terminal, await world.ask(frame))
        terminal.batch = "000002"
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        await world.agree()


# --- two processes on one database -------------------------------------------------------------


async def test_a_refusal_holds_in_another_process(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """What one process has refused because its terminal has too much under way, no other takes."""
    limits = {"limits": {"per_terminal_max": 1}}
    async with open_world(url=postgresql_url, changes=limits) as world, world.sibling() as other:
        terminal = await world.signed_on()
        frames = [terminal.sale(SYBIL, SLOW), terminal.sale(SYBIL, SLOW)]
        replies = await world.ask_all(*frames)
        assert ["00", "96"] == sorted(reply.code for reply in replies)
        for frame, reply in zip(frames, replies, strict=True):
            assert reply.code == sealed_code(terminal, await other.ask(frame))
        await world.agree()


async def test_a_process_that_did_not_see_the_sign_on_takes_all_that_come(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """Sealed under keys that another process has handed out, none of many at once is refused."""
    async with open_world(url=postgresql_url) as world, world.sibling() as other:
        terminal = await world.signed_on()
        for _ in range(3):
            assert "00" == (await other.ask(terminal.sale(SYBIL, 100))).code
            terminal.take_keys(await world.ask(terminal.sign_on()))
            replies = await other.ask_all(*[terminal.sale(SYBIL, 100) for _ in range(8)])
            assert ["00"] * 8 == [sealed_code(terminal, reply) for reply in replies]
        await world.agree()


async def test_a_process_that_did_not_see_the_next_batch_takes_its_sales(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """The batch is held against the books before a sale is refused for it."""
    async with open_world(url=postgresql_url) as world:
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        with psycopg.connect(postgresql_url, autocommit=True) as books:
            books.execute(NEXT_BATCH)
        terminal.batch = "000002"
        assert "00" == sealed_code(terminal, await world.ask(terminal.sale(SYBIL, 100)))
        await world.agree()
