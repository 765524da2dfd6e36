"""Tips: told by a terminal, posted beside their sale, and told to the bank."""

from __future__ import annotations

import pytest
from world import World, card

from acquirer.ledger.reports.saf import SafLine, saf_lines
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL, ALICE = card("sybil"), card("alice")
WITHOUT_RIGHT = "10000004"


def owed(world: World) -> list[SafLine]:
    """What banks have not answered."""
    with Database(world.url).read_only_engine().connect() as connection:
        return list(saf_lines(connection))


async def test_only_the_tip_is_posted(world: World) -> None:
    """Its fee is that of the whole less that of the sale; the bank has both, and knows it once."""
    terminal, before = await world.signed_on(), world.balances()
    sale = await world.ask(terminal.sale(SYBIL, 10_040))
    frame = terminal.tip(SYBIL, 10_040, 1_000, sale)
    told = await world.ask(frame)
    assert ("0230", "00", sale[38], True) == (
        told.mti,
        told.code,
        told[38],
        terminal.sealed(told),
    )
    again = await world.ask(frame)
    assert ("00", told[37]) == (again.code, again[37])
    assert "12" == (await world.ask(terminal.tip(SYBIL, 10_040, 1, sale))).code
    moved = {name: net - before.get(name, 0) for name, net in world.balances().items()}
    assert (11_040, -132) == (moved["assets:scheme:demo"], moved["income:mdr"])
    await world.until(lambda: world.bank_rows(told[37]))
    (row,) = world.bank_rows(told[37])
    assert ("tip", "approved", 1_000, sale[37]) == (
        row["kind"],
        row["state"],
        row["amount_minor"],
        row["original_rrn"],
    )
    await world.agree()


async def test_a_void_is_of_both(world: World) -> None:
    """Of the sale alone 13; its reversal brings both back."""
    terminal, before = await world.signed_on(), world.receivable()
    sale = await world.ask(terminal.sale(SYBIL, 10_000))
    told = await world.ask(terminal.tip(SYBIL, 10_000, 1_500, sale))
    await world.until(lambda: world.bank_rows(told[37]))
    await world.agree()
    assert "13" == (await world.ask(terminal.void(SYBIL, 10_000, sale))).code
    void = terminal.void(SYBIL, 11_500, sale)
    assert "00" == (await world.ask(void)).code
    assert (before, "voided", "voided") == (
        world.receivable(),
        world.state(sale),
        world.state(told),
    )
    await world.agree()
    assert "00" == (await world.ask(terminal.reversal(void))).code
    assert (before + 11_500, "approved", "approved") == (
        world.receivable(),
        world.state(sale),
        world.state(told),
    )
    await world.until(lambda: world.bank_rows(told[37])[0]["state"] == "approved")
    await world.agree()


async def test_a_refund_is_of_both(world: World) -> None:
    """Up to sale and tip, and with the fee of both; then there is neither tip nor reversal."""
    terminal, before = await world.signed_on(), world.balances()
    frame = terminal.sale(SYBIL, 10_000)
    sale = await world.ask(frame)
    told = await world.ask(terminal.tip(SYBIL, 10_000, 2_000, sale))
    assert "12" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.bank_rows(told[37]))
    await world.agree()
    assert "61" == (await world.ask(terminal.refund(SYBIL, 12_001, sale))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, 11_000, sale))).code
    assert "12" == (await world.ask(terminal.void(SYBIL, 12_000, sale))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, 1_000, sale))).code
    assert "refunded" == world.state(sale)
    moved = {name: net - before.get(name, 0) for name, net in world.balances().items()}
    assert {0} == set(moved.values())
    await world.agree()


async def test_until_its_bank_knows_it_neither_is_undone(world: World) -> None:
    """12 to void and refund while the advice waits."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, 10_000))
    await world.stop("bank")
    told = await world.ask(terminal.tip(SYBIL, 10_000, 100, sale))
    assert "00" == told.code
    assert "12" == (await world.ask(terminal.void(SYBIL, 10_100, sale))).code
    assert "12" == (await world.ask(terminal.refund(SYBIL, 100, sale))).code
    await world.start("bank")
    await world.until(lambda: world.bank_rows(told[37]))
    await world.agree()


async def test_refusals(world: World) -> None:
    """Nothing is posted, and nobody is told."""
    stranger = await world.signed_on(WITHOUT_RIGHT)
    other = await world.ask(stranger.sale(SYBIL, 1_000))
    assert "58" == (await world.ask(stranger.tip(SYBIL, 1_000, 100, other))).code
    terminal = await world.signed_on()
    sale, before = await world.ask(terminal.sale(SYBIL, 10_009)), world.receivable()
    asked = {
        "61": terminal.tip(SYBIL, 10_009, 2_002, sale),
        "64": terminal.tip(SYBIL, 10_008, 2_001, sale),
        "14": terminal.tip(ALICE, 10_009, 2_001, sale),
        "13": terminal.tip(SYBIL, 10_009, 0, sale),
        "25": terminal.tip(SYBIL, 10_009, 2_001, sale, {37: "999999999999"}),
        "30": terminal.tip(SYBIL, 10_009, 2_001, sale, {48: "2001"}),
    }
    assert list(asked) == [(await world.ask(frame)).code for frame in asked.values()]
    assert before == world.receivable()
    assert "00" == (await world.ask(terminal.tip(SYBIL, 10_009, 2_001, sale))).code


async def test_of_two_at_once_one_is_taken(world: World) -> None:
    """And of a tip and a void either; the books of all agree."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, 10_000))
    frames = [terminal.tip(SYBIL, 10_000, minor, sale) for minor in (100, 200, 300)]
    frames.append(terminal.void(SYBIL, 10_000, sale))
    codes = sorted(reply.code for reply in await world.ask_all(*frames))
    assert 1 == codes.count("00")
    await world.until(lambda: not owed(world))
    await world.agree()
