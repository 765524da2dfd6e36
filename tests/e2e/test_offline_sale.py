"""Offline sales: told by a terminal, stored and posted at once, and told to the bank."""

from __future__ import annotations

import pytest
from world import World, card

from acquirer.ledger.reports.saf import SafLine, saf_lines
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")
WITHOUT_RIGHT = "10000004"
# PostgreSQL takes no NUL, no bank should, and escapes steer screens and printers.
NO_CODES = ("      ", "A\x00B123", "\x00" * 6, "\x1b[31mA", "A12\n34", "A1234\x7f")


def owed(world: World) -> list[SafLine]:
    """What banks have not answered."""
    with Database(world.url).read_only_engine().connect() as connection:
        return list(saf_lines(connection))


async def test_it_reaches_the_bank_once(world: World) -> None:
    """Answered with its own code and sealed; the same again has the same answer, and no effect."""
    terminal, before = await world.signed_on(), world.balances()
    frame = terminal.offline_sale(SYBIL, 10_000, "Q1W2E3")
    reply = await world.ask(frame)
    assert ("0230", "00", "Q1W2E3", True) == (
        reply.mti,
        reply.code,
        reply[38],
        terminal.sealed(reply),
    )
    again = await world.ask(frame)
    assert ("00", reply[37]) == (again.code, again[37])
    await world.until(lambda: world.bank_rows(reply[37]))
    (row,) = world.bank_rows(reply[37])
    assert ("advice", "approved", 10_000) == (row["kind"], row["state"], row["amount_minor"])
    assert "Q1W2E3" == row["approval_code"]
    moved = {name: net - before.get(name, 0) for name, net in world.balances().items()}
    assert (10_000, -120) == (moved["assets:scheme:demo"], moved["income:mdr"])


async def test_neither_reversed_nor_voided_but_refunded(world: World) -> None:
    """12 and 25, and the sale stands; a refund gives it back."""
    terminal, before = await world.signed_on(), world.receivable()
    frame = terminal.offline_sale(SYBIL, 10_000)
    sale = await world.ask(frame)
    await world.until(lambda: not owed(world))
    assert "12" == (await world.ask(terminal.reversal(frame))).code
    assert "25" == (await world.ask(terminal.void(SYBIL, 10_000, sale))).code
    assert "approved" == world.state(sale)
    assert "00" == (await world.ask(terminal.refund(SYBIL, 10_000, sale))).code
    assert ("refunded", before) == (world.state(sale), world.receivable())


async def test_a_bank_that_is_away_is_told_later(world: World) -> None:
    """The terminal has its answer; the advice waits."""
    terminal = await world.signed_on()
    await world.stop("bank")
    sale = await world.ask(terminal.offline_sale(SYBIL, 700))
    assert ("00", "approved", []) == (sale.code, world.state(sale), world.bank_rows(sale[37]))
    assert "12" == (await world.ask(terminal.refund(SYBIL, 700, sale))).code
    await world.start("bank")
    await world.until(lambda: world.bank_rows(sale[37]))


async def test_refusals(world: World) -> None:
    """Without the right 58; what is no offline sale 30; another batch does not matter."""
    stranger = await world.signed_on(WITHOUT_RIGHT)
    assert "58" == (await world.ask(stranger.offline_sale(SYBIL, 100))).code
    terminal = await world.signed_on()
    for changes in ({"mode": "03"}, *({"code": code} for code in NO_CODES)):
        assert "30" == (await world.ask(terminal.offline_sale(SYBIL, 100, **changes))).code
    fields = terminal.sale_fields(SYBIL, 100) | {
        38: "A1B2C3",
        60: f"30{terminal.batch}00050",
        61: "0" * 16 + "01" + "0" * 11,
    }
    assert "30" == (await world.ask(terminal.frame("0220", fields))).code
    named = fields | {11: terminal.next_stan(), 61: f"{terminal.batch}000001112101" + "0" * 11}
    assert "30" == (await world.ask(terminal.frame("0220", named))).code
    assert not {row["amount_minor"] for row in world.bank_rows()} & {100}
