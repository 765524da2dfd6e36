"""Refunds of order payments at a till: to the card, the order system and the books, once each."""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World, card

from acquirer.cli.journal_story import story
from acquirer.hosts_sim.bank.settings import Match
from acquirer.hosts_sim.bank.settings import Rule as BankRule
from acquirer.hosts_sim.orders.settings import Rule
from acquirer.ledger.reports.orders import OpenOrder, open_orders, order_lines
from acquirer.ledger.reports.payment import Payment, payment_of
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

MERCHANT, COURIER = "898110053310001", "C1001"
ALICE, ORDER, AMOUNT = card("alice"), "SP20261121001", 21_478
REFUND = Match(mti="0220", processing_code="20")
CONFIRM, SIGN = ("0220", "000000", "73"), ("0220", "920000", "74")
CANCEL = ("0200", "200000", "75")


def payment(terminal: PosTerminal) -> bytes:
    """Row 4, by card."""
    fields = {4: f"{AMOUNT:012d}", **terminal.card_fields(ALICE, None)}
    return terminal.order("0200", "000000", "72", de59(ON=ORDER, OC=COURIER), fields)


async def tell(
    world: World, terminal: PosTerminal, row: tuple[str, str, str], paid: Reply, **items: str
) -> str:
    """The code of what is said about a payment."""
    about: dict[int, str | bytes] = {
        37: paid[37],
        61: f"{terminal.batch}{paid[11]}{paid[13]}",
    }
    frame = terminal.order(*row, de59(ON=ORDER, OC=COURIER, **items), about)
    code: str = (await world.ask(frame)).code
    return code


async def paid_order(world: World) -> tuple[PosTerminal, Reply]:
    """A terminal, and an order that it was paid and has confirmed."""
    terminal = await world.with_courier()
    paid = await world.ask(payment(terminal))
    assert ("00", "00") == (paid.code, await tell(world, terminal, CONFIRM, paid))
    await world.until(lambda: 2 == len(told(world)))
    return terminal, paid


def told(world: World) -> list[tuple[str, int]]:
    """The merchant's events of the order: type, and how often each came."""
    return [(event.type.removeprefix("order."), event.deliveries) for event in world.events(ORDER)]


@pytest.mark.parametrize("hosted", [[], [MERCHANT]], ids=["http", "iso"])
async def test_parts_go_back_before_the_receipt_and_after(
    open_world: OpenWorld, hosted: list[str]
) -> None:
    """From any till of the merchant; each is told once, though an answer to a notice is lost."""
    lost = [Rule("lost_answer", on="events", order_no_pattern=ORDER, times=1)]
    async with open_world(hosted=hosted, order_rules=lost) as world:
        terminal, paid = await paid_order(world)
        other = await world.signed_on("10000002")
        named = {37: paid[37], 38: paid[38], 61: "0" * 16}
        fields = other.sale_fields(ALICE, 1_478, pin="") | {
            3: "200000",
            60: f"25{other.batch}00050",
            63: "000",
        }
        frame = other.frame("0220", fields | named)
        first = await world.ask(frame)
        assert ("0230", "00") == (first.mti, first.code)
        assert first.without(12, 13, 64) == (await world.ask(frame)).without(12, 13, 64)
        await world.until(lambda: 1_478 == world.order(ORDER).refunded_minor)
        assert "confirmed" == world.order(ORDER).state
        assert "12" == await tell(world, terminal, CANCEL, paid)
        assert "00" == await tell(world, terminal, SIGN, paid, OR="Li")
        assert "61" == (await world.ask(terminal.refund(ALICE, 20_001, paid))).code
        assert "00" == (await world.ask(terminal.refund(ALICE, 20_000, paid))).code
        await world.until(lambda: AMOUNT == world.order(ORDER).refunded_minor)
        assert ("signed_for", "refunded") == (world.order(ORDER).state, world.state(paid))
        await world.agree()
        assert ["paid", "payment_confirmed", "refunded", "signed_for", "refunded"] == [
            kind for kind, _ in told(world)
        ]
        assert 0 == world.receivable()


@pytest.mark.parametrize("signed", [False, True])
async def test_all_at_once_cancels_the_order(open_world: OpenWorld, signed: bool) -> None:
    """Before the receipt or after; the payment cannot be cancelled or reversed any more."""
    async with open_world() as world:
        terminal, paid = await paid_order(world)
        if signed:
            assert "00" == await tell(world, terminal, SIGN, paid, OR="Li")
        assert "00" == (await world.ask(terminal.refund(ALICE, AMOUNT, paid))).code
        await world.until(lambda: world.order(ORDER).state == "cancelled")
        assert "12" == await tell(world, terminal, CANCEL, paid)
        assert "61" == (await world.ask(terminal.refund(ALICE, 1, paid))).code
        await world.agree()
        assert (0, "cancelled") == (world.receivable(), told(world)[-1][0])
        assert "refunded" == world.state(paid)


async def test_only_one_of_those_at_once(open_world: OpenWorld) -> None:
    """A cancellation and a refund of all of it: one of them, and the merchant is told of one."""
    async with open_world() as world:
        terminal, paid = await paid_order(world)
        about: dict[int, str | bytes] = {37: paid[37], 61: f"{terminal.batch}{paid[11]}{paid[13]}"}
        cancel = terminal.order(*CANCEL, de59(ON=ORDER), about)
        replies = await world.ask_all(cancel, terminal.refund(ALICE, AMOUNT, paid))
        assert 1 == [reply.code for reply in replies].count("00")
        await world.agree()
        await world.until(lambda: world.order(ORDER).state == "cancelled")
        assert 1 == [kind for kind, _ in told(world)].count("cancelled")
        assert 0 == world.receivable()


async def test_operators_see_it(open_world: OpenWorld) -> None:
    """While its bank is asked, in the payment's story, and in the list of orders at the end."""
    rules = [BankRule(REFUND, fault="delay", delay_s=3_600.0, times=1)]
    async with open_world(bank_rules=rules) as world:
        terminal, paid = await paid_order(world)
        async with world.line() as line:
            await line.send(terminal.refund(ALICE, 1_000, paid))
            await world.until(lambda: ["refunding"] == [one.why for one in reading(world)[0]])
            assert "00" == (await line.receive()).code
        assert "00" == (await world.ask(terminal.refund(ALICE, AMOUNT - 1_000, paid))).code
        open_now, listed, payment = reading(world, paid[37])
        assert ([], [(ORDER, "card", paid[37])]) == (open_now, listed)
        assert payment is not None
        told = [step.text for step in story(payment) if step.text.startswith("refund of")]
        assert ["refund of 10.00", "refund of 204.78"] == [text.split(" (")[0] for text in told]
        assert not any("because of" in text for text in told)


def reading(
    world: World, rrn: str = ""
) -> tuple[list[OpenOrder], list[tuple[str, str, str]], Payment | None]:
    """Orders at a bank, orders with what pays them, and a payment with all about it."""
    with Database(world.url).read_only_engine().connect() as connection:
        lines = [(one.order_no, one.means, one.rrn) for one in order_lines(connection)]
        return list(open_orders(connection)), lines, payment_of(connection, rrn)


@pytest.mark.parametrize("amount_minor", [100, AMOUNT])
async def test_the_switch_dies_while_the_bank_is_asked(
    open_world: OpenWorld, amount_minor: int
) -> None:
    """The next start lets the refund stand, tells bank and merchant, and answers the repeat."""
    rules = [BankRule(REFUND, fault="delay", delay_s=3_600.0, times=1)]
    async with open_world(bank_rules=rules) as world:
        terminal, paid = await paid_order(world)
        frame = terminal.refund(ALICE, amount_minor, paid)
        async with world.line() as line:
            await line.send(frame)
            await world.until(lambda: any(one.kind == "refund" for one in world.journal()))
            await world.stop("switch")
        assert ["paid", "payment_confirmed"] == [kind for kind, _ in told(world)]
        await world.start_switch()
        kind = "cancelled" if amount_minor == AMOUNT else "refunded"
        await world.until(lambda: kind == told(world)[-1][0])
        assert "00" == (await world.ask(frame)).code
        await world.agree()
        assert (AMOUNT - amount_minor, 3) == (world.receivable(), len(told(world)))


async def test_what_the_bank_refuses_nobody_is_told(open_world: OpenWorld) -> None:
    """Its code, and the order is as it was: it can be signed for, refunded, cancelled."""
    async with open_world(bank_rules=[BankRule(REFUND, "57", times=1)]) as world:
        terminal, paid = await paid_order(world)
        assert "57" == (await world.ask(terminal.refund(ALICE, AMOUNT, paid))).code
        assert "00" == await tell(world, terminal, CANCEL, paid)
        await world.agree()
        await world.until(lambda: world.order(ORDER).state == "cancelled")
        assert ["paid", "payment_confirmed", "cancelled"] == [kind for kind, _ in told(world)]
