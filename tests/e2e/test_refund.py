"""Refunds that a terminal asks for: what they give back, what refuses them, and what breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from pos_terminal import Reply
from world import OpenWorld, World, card

from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.ledger.accounts.postings import merchant_account, merchant_debt_account

pytestmark = pytest.mark.anyio

SYBIL, ALICE = card("sybil"), card("alice")
MERCHANT, WITHOUT_RIGHT = "898110053310001", "10000004"
PAYABLE, DEBT = merchant_account(MERCHANT), merchant_debt_account(MERCHANT)
INCOME, SCHEME = "income:mdr", "assets:scheme:demo"
REFUND = Match(mti="0220", processing_code="20")


async def sold(world: World, amount_minor: int = 10_000) -> tuple[Any, Reply]:
    """A terminal, and its approved sale."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, amount_minor))
    assert "00" == sale.code
    return terminal, sale


async def test_parts_come_to_the_whole(world: World) -> None:
    """Each part takes its share of the fee with it, to the cent; nothing is refunded twice."""
    terminal, sale = await sold(world)
    before = world.balances()
    assert 120 == -before[INCOME]
    first = await world.ask(terminal.refund(SYBIL, 3_333, sale))
    assert ("0230", "00", True) == (first.mti, first.code, terminal.sealed(first))
    assert first[38] == world.bank_rows(first[37])[0]["approval_code"]
    assert "approved" == world.state(sale)
    assert (SCHEME, 6_667) == (SCHEME, world.balances()[SCHEME])
    assert "12" == (await world.ask(terminal.void(SYBIL, 10_000, sale))).code
    assert "61" == (await world.ask(terminal.refund(SYBIL, 6_668, sale))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, 6_667, sale))).code
    assert "refunded" == world.state(sale)
    assert "61" == (await world.ask(terminal.refund(SYBIL, 1, sale))).code
    assert {PAYABLE: 0, INCOME: 0, SCHEME: 0} == {
        name: world.balances()[name] for name in (PAYABLE, INCOME, SCHEME)
    }
    await world.agree()


async def test_a_payment_of_another_till_is_named_by_its_rrn(world: World) -> None:
    """DE61 may be zeros then; this terminal's own batch and STAN would be another payment's."""
    _, sale = await sold(world)
    other = await world.signed_on("10000002")
    named = {37: sale[37], 38: sale[38], 61: "0" * 16}
    frame = other.frame("0220", _fields(other, 4_000) | named)
    assert "00" == (await world.ask(frame)).code
    await world.agree()


def _fields(terminal: Any, amount_minor: int) -> dict[int, Any]:
    fields: dict[int, Any] = terminal.sale_fields(SYBIL, amount_minor, pin="")
    return fields | {
        3: "200000",
        60: f"25{terminal.batch}00050",
        63: "000",
    }


async def test_refusals(world: World) -> None:
    """Each with its code; none changes anything."""
    terminal, sale = await sold(world)
    about = f"{terminal.batch}{sale[11]}"
    cases = [
        ("25", SYBIL, 100, {37: "632500009999", 61: "0" * 16}),
        ("25", SYBIL, 100, {37: sale[37], 61: f"{terminal.batch}000099{sale[13]}"}),
        ("25", SYBIL, 100, {37: sale[37], 61: f"{about}0101"}),
        ("25", SYBIL, 100, {37: sale[37], 38: "ZZZZZZ", 61: "0" * 16}),
        ("25", SYBIL, 100, {61: "0" * 16}),
        ("14", ALICE, 100, {37: sale[37], 61: "0" * 16}),
        ("13", SYBIL, 0, {37: sale[37], 61: "0" * 16}),
        ("13", SYBIL, 100, {37: sale[37], 49: "840", 61: "0" * 16}),
        ("61", SYBIL, 10_001, {37: sale[37], 61: "0" * 16}),
    ]
    before = world.balances()
    for code, shown, amount_minor, named in cases:
        fields = terminal.sale_fields(shown, amount_minor, pin="") | {
            3: "200000",
            60: f"25{terminal.batch}00050",
        }
        reply = await world.ask(terminal.frame("0220", fields | named))
        assert (code, True) == (reply.code, terminal.sealed(reply)), named
    assert "00" == (await world.ask(terminal.void(SYBIL, 10_000, sale))).code
    assert "12" == (await world.ask(terminal.refund(SYBIL, 100, sale))).code
    other = await world.signed_on(WITHOUT_RIGHT)
    foreign = {37: sale[37], 61: "0" * 16}
    fields = _fields(other, 100) | foreign
    assert "58" == (await world.ask(other.frame("0220", fields))).code
    undone = {name: world.balances().get(name, 0) - net for name, net in before.items()}
    assert {SCHEME: -10_000, PAYABLE: 9_880, INCOME: 120} == {n: v for n, v in undone.items() if v}
    await world.agree()


async def test_a_repeat_and_a_reversal(world: World) -> None:
    """The first answer again, and no second refund; a 0400 of a refund is 12."""
    terminal, sale = await sold(world)
    frame = terminal.refund(SYBIL, 2_500, sale)
    first = await world.ask(frame)
    assert first.without(12, 13, 64) == (await world.ask(frame)).without(12, 13, 64)
    assert "12" == (await world.ask(terminal.reversal(frame))).code
    assert ["approved"] == [row["state"] for row in world.bank_rows(first[37])]
    await world.agree()


async def test_a_sale_of_which_something_went_back_is_not_reversed(world: World) -> None:
    """12: the card would get it twice."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 10_000)
    sale = await world.ask(frame)
    assert "00" == (await world.ask(terminal.refund(SYBIL, 1, sale))).code
    assert "12" == (await world.ask(terminal.reversal(frame))).code
    await world.agree()


async def test_the_bank_refuses(open_world: OpenWorld) -> None:
    """Its code is the answer, and the payment is as it was: it can be refunded later, or voided."""
    async with open_world(bank_rules=[Rule(REFUND, "57", times=1)]) as world:
        terminal, sale = await sold(world)
        before = world.balances()
        refused = await world.ask(terminal.refund(SYBIL, 4_000, sale))
        assert ("57", "declined") == (refused.code, world.state(refused))
        assert before == world.balances()
        assert "00" == (await world.ask(terminal.refund(SYBIL, 4_000, sale))).code
        await world.agree()


@pytest.mark.parametrize("code", ["96", "91", "A7", "30"])
async def test_the_bank_has_not_dealt_with_it(open_world: OpenWorld, code: str) -> None:
    """Its link is at fault, not the refund: it stands, and the bank is told again."""
    async with open_world(bank_rules=[Rule(REFUND, code, times=1)]) as world:
        terminal, sale = await sold(world)
        frame = terminal.refund(SYBIL, 4_000, sale)
        assert ["00", "00"] == [(await world.ask(frame)).code for _ in range(2)]
        assert 6_000 == world.balances()[SCHEME]


@pytest.mark.parametrize("fault", ["drop", "garbage", "close"])
async def test_the_bank_does_not_answer(open_world: OpenWorld, fault: Any) -> None:
    """The refund stands, and the bank is told again until it takes it, once."""
    async with open_world(bank_rules=[Rule(REFUND, fault=fault, times=1)]) as world:
        terminal, sale = await sold(world)
        assert "00" == (await world.ask(terminal.refund(SYBIL, 4_000, sale))).code
        await world.agree()
        assert 1 == sum(row["kind"] == "refund" for row in world.bank_rows())


async def test_the_bank_is_away(world: World) -> None:
    """The refund stands, and leaves as soon as the bank is back."""
    terminal, sale = await sold(world)
    await world.stop("bank")
    assert "00" == (await world.ask(terminal.refund(SYBIL, 10_000, sale))).code
    assert "refunded" == world.state(sale)
    await world.start("bank")
    await world.agree()


async def test_the_switch_dies_while_the_bank_is_asked(open_world: OpenWorld) -> None:
    """The next start lets the refund stand, tells the bank again, and answers the repeat."""
    rules = [Rule(REFUND, fault="delay", delay_s=3_600.0, times=1)]
    async with open_world(bank_rules=rules) as world:
        terminal, sale = await sold(world)
        frame = terminal.refund(SYBIL, 10_000, sale)
        async with world.line() as line:
            await line.send(frame)
            await world.until(lambda: any(one.kind == "refund" for one in world.journal()))
            await world.stop("switch")
        await world.start_switch()
        await world.until(lambda: "refunded" == world.state(sale))
        assert "00" == (await world.ask(frame)).code
        await world.agree()


async def test_side_by_side(world: World) -> None:
    """However many at once, they come to no more than the payment."""
    terminal, sale = await sold(world)
    frames = [terminal.refund(SYBIL, 3_000, sale) for _ in range(6)]
    codes = sorted(reply.code for reply in await world.ask_all(*frames))
    assert ["00"] * 3 + ["61"] * 3 == codes
    await world.agree()


@asynccontextmanager
async def with_merchant(open_world: OpenWorld, **changes: Any) -> AsyncIterator[World]:
    """An estate whose merchants have other rights."""
    async with open_world(bank_rules=[]) as world:
        merchants = (await world.settings()).merchants
        world.changes["merchants"] = [msgspec.to_builtins(one) | changes for one in merchants]
        await world.take_over()
        yield world


@pytest.mark.parametrize(("limit_minor", "codes"), [(0, ["00", "51"]), (1_000, ["00", "00"])])
async def test_what_the_merchant_may_owe(
    open_world: OpenWorld, limit_minor: int, codes: list[str]
) -> None:
    """Above what it is owed, a refund makes a debt, up to its limit; our fee is kept here."""
    changes = {"debt_limit_minor": limit_minor, "refund_fee": "keep"}
    async with with_merchant(open_world, **changes) as world:
        terminal, sale = await sold(world)
        frames = [terminal.refund(SYBIL, amount, sale) for amount in (9_000, 1_000)]
        assert codes == [(await world.ask(frame)).code for frame in frames]
        assert (120 if limit_minor else 0) == world.balances().get(DEBT, 0)
        await world.agree()


async def test_a_payment_that_nobody_knows(open_world: OpenWorld) -> None:
    """A merchant who may names none, nor one that he mistakes; the card leads to the bank."""
    async with with_merchant(open_world, blind_refund=True) as world:
        terminal = await world.signed_on()
        blind = await world.ask(terminal.refund(SYBIL, 700))
        assert ("00", "approved") == (blind.code, world.state(blind))
        sale = await world.ask(terminal.sale(SYBIL, 900))
        wrong = terminal.frame(
            "0220", _fields(terminal, 900) | {37: sale[37], 61: "0" * 12 + "0101"}
        )
        assert "25" == (await world.ask(wrong)).code
        assert "00" == (await world.ask(terminal.void(SYBIL, 900, sale))).code
        assert {DEBT: 700, SCHEME: -700} == {n: v for n, v in world.balances().items() if v}
        await world.agree()


async def test_too_old(open_world: OpenWorld) -> None:
    """12 once the payment is older than the merchant's days."""
    async with with_merchant(open_world, refund_days=0) as world:
        terminal, sale = await sold(world)
        assert "12" == (await world.ask(terminal.refund(SYBIL, 700, sale))).code
