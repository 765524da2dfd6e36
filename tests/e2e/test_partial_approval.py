"""A bank approves a part of a sale: taken where the terminal takes parts, else undone."""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal
from world import PART, PART_MINOR, World, card

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")


def asked(terminal: PosTerminal, *, takes_part: bool) -> bytes:
    """A sale of which the bank approves a part."""
    part = "1" if takes_part else ""
    fields = terminal.sale_fields(SYBIL, PART) | {60: f"22{terminal.batch}00050{part}"}
    return terminal.frame("0200", fields)


async def test_it_is_taken(world: World) -> None:
    """The reply has 10 and the part; that is posted, and the same again is answered the same."""
    terminal, before = await world.signed_on(), world.receivable()
    frame = asked(terminal, takes_part=True)
    reply = await world.ask(frame)
    assert ("10", f"{PART_MINOR:012d}", True, True) == (
        reply.code,
        reply[4],
        bool(reply[38].strip()),
        terminal.sealed(reply),
    )
    again = await world.ask(frame)
    assert ("10", reply[4], reply[37]) == (again.code, again[4], again[37])
    entry = world.entry(reply[37])
    assert ("approved", PART_MINOR, "10") == (entry.state, entry.amount_minor, entry.response_code)
    assert before + PART_MINOR == world.receivable()
    await world.agree()
    assert "61" == (await world.ask(terminal.void(SYBIL, PART, reply))).code
    assert "00" == (await world.ask(terminal.void(SYBIL, PART_MINOR, reply))).code
    assert before == world.receivable()
    await world.agree()


async def test_its_reversal_names_what_was_asked_for(world: World) -> None:
    """00, and nothing is left of it anywhere; less than was approved is 64."""
    terminal, before = await world.signed_on(), world.receivable()
    frame = asked(terminal, takes_part=True)
    reply = await world.ask(frame)
    wrong = terminal.sale_fields(SYBIL, PART_MINOR - 1, stan=reply[11], pin="")
    less = terminal.frame("0400", {n: wrong[n] for n in (3, 4, 11, 25, 49, 60)} | {39: "98"})
    assert "64" == (await world.ask(less)).code
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.agree()
    assert (before, "reversed") == (world.receivable(), world.state(reply))
    assert "94" == (await world.ask(frame)).code


async def test_it_is_undone_where_no_part_is_taken(world: World) -> None:
    """51, now and for the same again; the bank gets its reversal."""
    terminal, before = await world.signed_on(), world.receivable()
    frame = asked(terminal, takes_part=False)
    reply = await world.ask(frame)
    assert ("51", f"{PART:012d}") == (reply.code, reply[4])
    await world.agree()
    assert (before, "reversed") == (world.receivable(), world.state(reply))
    (row,) = world.bank_rows(reply[37])
    assert ("reversed", PART_MINOR) == (row["state"], row["amount_minor"])
    assert 1 == len(world.bank_reversals(reply[37]))


async def test_a_refund_is_of_the_part(world: World) -> None:
    """Not of what was asked for."""
    terminal, before = await world.signed_on(), world.receivable()
    reply = await world.ask(asked(terminal, takes_part=True))
    assert "61" == (await world.ask(terminal.refund(SYBIL, PART_MINOR + 1, reply))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, PART_MINOR, reply))).code
    assert before == world.receivable()
    await world.agree()
