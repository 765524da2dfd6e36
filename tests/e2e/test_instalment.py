"""Instalments of a terminal: what they bring, what refuses them, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest
from pos_terminal import PosTerminal, Reply
from world import World, card

from acquirer.ledger.accounts.postings import merchant_account

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")
PAYABLE, INCOME, SCHEME = merchant_account("898110053310001"), "income:mdr", "assets:scheme:demo"


def terms(periods: str = "03", plan: str = "P03A", fee: str = "0") -> bytes:
    """DE62 of a request."""
    return f"{periods}{plan.ljust(30)}{fee}".encode()


async def sold(world: World, amount_minor: int = 100_000) -> tuple[PosTerminal, bytes, Reply]:
    """A terminal, its approved instalment and the answer."""
    terminal = await world.signed_on()
    frame = terminal.instalment(SYBIL, amount_minor, terms())
    reply = await world.ask(frame)
    assert "00" == reply.code
    return terminal, frame, reply


@pytest.mark.parametrize(
    ("fee", "told"),
    [("0", b"0000000348341560000000015000"), ("1", b"0000000338341560000000015001")],
)
async def test_it_says_what_is_repaid(world: World, fee: str, told: bytes) -> None:
    """The published example; posted as a sale, and one at the bank."""
    terminal, before = await world.signed_on(), world.balances()
    reply = await world.ask(terminal.instalment(SYBIL, 100_000, terms(fee=fee)))
    assert ("0210", "00", told, "64", True) == (
        reply.mti,
        reply.code,
        reply[62],
        reply[25],
        terminal.sealed(reply),
    )
    moved = {name: net - before.get(name, 0) for name, net in world.balances().items()}
    assert (100_000, -98_800, -1_200) == (moved[SCHEME], moved[PAYABLE], moved[INCOME])
    (row,) = world.bank_rows(reply[37])
    assert ("sale", "approved", 100_000) == (row["kind"], row["state"], row["amount_minor"])


async def test_the_same_again_and_another_under_its_number(world: World) -> None:
    """The first answer, repayment and all; other terms under the same STAN are 94."""
    terminal, frame, first = await sold(world)
    again = await world.ask(frame)
    assert first.without(12, 13, 64) == again.without(12, 13, 64)
    fields = terminal.sale_fields(SYBIL, 100_000, stan=first[11]) | {25: "64"}
    changed = terminal.frame("0200", fields | {62: terms(fee="1")})
    assert "94" == (await world.ask(changed)).code
    assert 1 == len(world.bank_rows(first[37]))


async def test_void_reversal_and_refund(world: World) -> None:
    """Its own void finds it, another does not; the money goes back to the cent."""
    terminal, frame, first = await sold(world)
    before = world.balances()
    assert "25" == (await world.ask(terminal.void(SYBIL, 100_000, first))).code
    assert "64" == (await world.ask(terminal.void(SYBIL, 1, first, condition="64"))).code
    undo = terminal.void(SYBIL, 100_000, first, condition="64")
    assert "00" == (await world.ask(undo)).code
    assert "voided" == world.state(first)
    moved = {name: net - before.get(name, 0) for name, net in world.balances().items()}
    assert (-100_000, 98_800, 1_200) == (moved[SCHEME], moved[PAYABLE], moved[INCOME])
    assert "00" == (await world.ask(terminal.reversal(undo))).code
    await world.until(lambda: world.state(first) == "approved")
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.state(first) == "reversed")
    assert "94" == (await world.ask(frame)).code
    _, _, second = await sold(world)
    assert "64" == (await world.ask(terminal.refund(SYBIL, 50_000, second))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, 100_000, second))).code
    assert "refunded" == world.state(second)
    await world.agree()


@pytest.mark.parametrize(
    ("code", "amount_minor", "de62"),
    [
        ("57", 100_000, terms("06")),
        ("57", 100_000, terms(plan="P99")),
        ("57", 100_000, terms("61")),
        ("61", 5_000_001, terms()),
        ("13", 9_999, terms()),
        ("13", 0, terms()),
        ("30", 100_000, terms("01")),
        ("30", 100_000, terms("0A")),
        ("30", 100_000, terms(fee="2")),
        ("30", 100_000, terms()[:-1]),
        ("30", 100_000, terms() + b"0"),
        ("30", 100_000, b"\xff" * 33),
        ("30", 100_000, None),
    ],
)
async def test_refusals(world: World, code: str, amount_minor: int, de62: Any) -> None:
    """Each with its code, and nothing at the bank."""
    terminal, before = await world.signed_on(), len(world.bank_rows())
    reply = await world.ask(terminal.instalment(SYBIL, amount_minor, de62))
    assert (code, False, before) == (reply.code, 62 in reply.fields, len(world.bank_rows()))


async def test_a_merchant_without_plans(world: World) -> None:
    """57; and what only looks like an instalment is not supported (40)."""
    stranger = await world.signed_on("10000004")
    assert "57" == (await world.ask(stranger.instalment(SYBIL, 100_000, terms()))).code
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {25: "65"}
    assert "40" == (await world.ask(terminal.frame("0200", fields))).code
