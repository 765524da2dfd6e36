"""What an issuer's script did to a card: told by the terminal, and to the bank once."""

from __future__ import annotations

from functools import partial

import pytest
from world import World, card

from acquirer.ledger.reports.saf import SafLine, saf_lines
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")
TAGS = ("DF31", "9F10", "9F36", "95")


def owed(world: World) -> list[SafLine]:
    """What banks have not answered."""
    with Database(world.url).read_only_engine().connect() as connection:
        return list(saf_lines(connection))


def results_at_bank(world: World) -> int:
    """How many results the bank has."""
    return sum(row["kind"] == "script_result" for row in world.bank_rows())


async def test_the_bank_is_told_once(world: World) -> None:
    """Answered 00 and sealed; again, under another STAN, the same; the bank has one 0620."""
    terminal = await world.signed_on()
    sale, before = await world.ask(terminal.sale(SYBIL, 600)), results_at_bank(world)
    first = await world.ask(terminal.script_result(sale))
    assert ("0630", "00", True) == (first.mti, first.code, terminal.sealed(first))
    again = await world.ask(terminal.script_result(sale))
    assert ("00", first[37]) == (again.code, again[37])
    await world.until(lambda: world.bank_rows(first[37]))
    (row,) = world.bank_rows(first[37])
    assert ("00", before + 1) == (row["response_code"], results_at_bank(world))


async def test_a_bank_that_is_away_is_told_later(world: World) -> None:
    """The terminal has its answer; the message waits, and the sale stands."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, 601))
    await world.stop("bank")
    result = await world.ask(terminal.script_result(sale))
    assert ("00", "approved") == (result.code, world.state(sale))
    await world.start("bank")
    await world.until(lambda: world.bank_rows(result[37]))


async def test_of_what_nobody_knows(world: World) -> None:
    """Another RRN than the payment's, or no such payment: 25, and the right one is taken then."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, 602))
    for changed in ({"x37": "000000000000"}, {"x61": f"{terminal.batch}9999991130"}):
        assert "25" == (await world.ask(terminal.script_result(sale, **changed))).code
    assert "00" == (await world.ask(terminal.script_result(sale))).code


@pytest.mark.parametrize("tag", TAGS)
async def test_what_is_no_result(world: World, tag: str) -> None:
    """An object that is missing, broken TLV, no DE55, another network code: 30 or 40."""
    terminal, results = await world.signed_on(), partial(results_at_bank, world)
    await world.until(lambda: not owed(world))
    sale, before = await world.ask(terminal.sale(SYBIL, 603)), results()
    assert "30" == (await world.ask(terminal.script_result(sale, tag))).code
    assert "30" == (await world.ask(terminal.script_result(sale, x55=b"\x9f"))).code
    assert (
        "40" == (await world.ask(terminal.script_result(sale, x60=f"00{terminal.batch}95020"))).code
    )
    assert before == results()
