"""Cancellations by refund: where the bank does not void, and of one order of several."""

from __future__ import annotations

from typing import Any

import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.switch.surroundings import Surroundings, wall_ms

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
ORDER, AMOUNT = "SP20261121001", 21_478
VOID = Match(mti="0200", processing_code="20")
REFUND = Match(mti="022", processing_code="20")
INCOME, DEBT = "income:mdr", "assets:merchant-debt:898110053310001"
DAY_MS = 86_400_000


def about(terminal: PosTerminal, paid: Reply) -> dict[int, str | bytes]:
    """DE61 and DE37 of a payment."""
    return {61: f"{terminal.batch}{paid[11]}{paid[13]}", 37: paid[37]}


def payment(terminal: PosTerminal, *numbers: str, amount_minor: int) -> bytes:
    """Row 4, for one order or several."""
    tags = {f"N{place}": number for place, number in enumerate(numbers[1:], start=2)}
    items = de59(ON=numbers[0], OC="C1001", **tags)
    fields = {4: f"{amount_minor:012d}", **terminal.card_fields(ALICE, None)}
    return terminal.order("0200", "000000", "72", items, fields)


def cancellation(terminal: PosTerminal, order_no: str, paid: Reply) -> bytes:
    """Row 7."""
    return terminal.order("0200", "200000", "75", de59(ON=order_no), about(terminal, paid))


def refunds(world: World) -> list[tuple[str, int, str]]:
    """The bank's refunds: MTI, amount, state."""
    return [
        (row["mti"], row["amount_minor"], row["state"])
        for row in world.bank_rows()
        if row["kind"] == "refund"
    ]


@pytest.mark.parametrize(
    ("fee", "left"),
    [("return", {}), ("keep", {INCOME: -258, DEBT: 258})],
)
async def test_a_void_that_the_bank_refuses_becomes_a_refund(
    open_world: OpenWorld, fee: str, left: dict[str, int]
) -> None:
    """Its first answer is lost: it is repeated, and the card gets the money once."""
    rules = [Rule(VOID, "12"), Rule(REFUND, fault="drop", times=1)]
    async with open_world(bank_rules=rules) as world:
        merchants = [{**one, "refund_fee": fee} for one in await merchant_tables(world)]
        world.changes["merchants"] = merchants
        await world.take_over()
        terminal = await world.with_courier()
        frame = payment(terminal, ORDER, amount_minor=AMOUNT)
        paid = await world.ask(frame)
        cancelling = cancellation(terminal, ORDER, paid)
        cancelled = await world.ask(cancelling)
        assert ("00", "refunded") == (cancelled.code, world.state(paid))
        assert cancelled.without(12, 13, 64) == (await world.ask(cancelling)).without(12, 13, 64)
        await world.agree()
        assert [("0220", AMOUNT, "approved")] == refunds(world)
        assert left == {name: net for name, net in world.balances().items() if net}
        await world.until(lambda: world.order(ORDER).state == "cancelled")
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        assert "12" == (await world.ask(terminal.reversal(cancelling))).code
        confirm = terminal.order("0220", "200000", "76", de59(ON=ORDER), about(terminal, paid))
        assert "00" == (await world.ask(confirm)).code
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        await world.agree()
        assert 0 == world.receivable()


async def merchant_tables(world: World) -> list[dict[str, Any]]:
    """The merchants of the switch's file."""
    return [
        {name: getattr(one, name) for name in one.__struct_fields__}
        for one in (await world.settings()).merchants
    ]


async def test_a_sign_on_meanwhile_keeps_nobody_from_his_money(open_world: OpenWorld) -> None:
    """Keys that change while the bank refuses the void: the refund was asked for under the old."""
    rules = [Rule(VOID, "12", fault="delay", delay_s=0.2)]
    async with open_world(bank_rules=rules) as world:
        terminal = await world.with_courier()
        paid = await world.ask(payment(terminal, ORDER, amount_minor=AMOUNT))
        async with world.line() as line:
            await line.send(cancellation(terminal, ORDER, paid))
            await world.until(lambda: world.journal()[-1].state == "sent")
            assert "00" == (await world.ask(terminal.sign_on())).code
            assert "00" == (await line.receive()).code
        await world.agree()
        assert [("0220", AMOUNT, "approved")] == refunds(world)


async def test_another_refusal_leaves_the_order_paid(open_world: OpenWorld) -> None:
    """05 says nothing about voids as such; and a void whose answer is lost is undone first."""
    rules = [Rule(VOID, "05", times=1), Rule(VOID, fault="drop", times=1)]
    async with open_world(bank_rules=rules) as world:
        terminal = await world.with_courier()
        paid = await world.ask(payment(terminal, ORDER, amount_minor=AMOUNT))
        assert "05" == (await world.ask(cancellation(terminal, ORDER, paid))).code
        assert "98" == (await world.ask(cancellation(terminal, ORDER, paid))).code
        await world.agree()
        assert ([], "approved", AMOUNT) == (refunds(world), world.state(paid), world.receivable())
        assert "00" == (await world.ask(cancellation(terminal, ORDER, paid))).code
        await world.agree()
        assert ([], "voided", 0) == (refunds(world), world.state(paid), world.receivable())


async def test_a_payment_of_a_closed_day_is_refunded_at_once(
    open_world: OpenWorld,
) -> None:
    """No void is tried, and the bank may even be down; two at once give back once."""
    off_ms = 0
    around = Surroundings(wall_ms=lambda: wall_ms() + off_ms)
    async with open_world(around=around) as world:
        terminal = await world.with_courier()
        paid = await world.ask(payment(terminal, ORDER, amount_minor=AMOUNT))
        off_ms = DAY_MS
        await world.drain()
        await world.start_switch()
        await world.stop("bank")
        replies = await world.ask_all(
            cancellation(terminal, ORDER, paid), cancellation(terminal, ORDER, paid)
        )
        assert ["00", "12"] == sorted(reply.code for reply in replies)
        await world.start("bank")
        await world.agree()
        assert ["sale", "refund"] == [row["kind"] for row in world.bank_rows()]
        assert 0 == world.receivable()


async def test_a_reversal_races_the_cancellation_of_one_order(
    open_world: OpenWorld,
) -> None:
    """Either all orders are open again, or one is cancelled and the others stay paid."""
    orders = {order.order_no: order.amount_minor for order in load_estate().orders}
    numbers = ("SP20261121001", "SP20261121002")
    total = sum(orders[number] for number in numbers)
    async with open_world() as world:
        terminal = await world.with_courier()
        outcomes = {("00", "12"): 0, ("00", "94"): 0, ("12", "00"): orders[numbers[1]]}
        frame = payment(terminal, *numbers, amount_minor=total)
        paid = await world.ask(frame)
        replies = await world.ask_all(
            terminal.reversal(frame), cancellation(terminal, numbers[0], paid)
        )
        await world.agree()
        assert outcomes[replies[0].code, replies[1].code] == world.receivable()


async def test_one_order_of_several_is_refunded_alone(open_world: OpenWorld) -> None:
    """The others go on as they are, until the last one is given back too; never more than that."""
    orders = {order.order_no: order.amount_minor for order in load_estate().orders}
    first, second, third = ("SP20261121001", "SP20261121002", "SP20261121003")
    total = sum(orders[number] for number in (first, second, third))
    async with open_world() as world:
        terminal = await world.with_courier()
        frame = payment(terminal, first, second, third, amount_minor=total)
        paid = await world.ask(frame)
        twice = await world.ask_all(
            cancellation(terminal, first, paid), cancellation(terminal, first, paid)
        )
        assert ["00", "12"] == sorted(reply.code for reply in twice)
        await world.agree()
        assert total - orders[first] == world.receivable()
        await world.until(lambda: world.order(first).state == "cancelled")
        assert "12" == (await world.ask(terminal.reversal(frame))).code
        cancelled = next(reply for reply in twice if reply.code == "00")
        assert f"{orders[first]:012d}" == cancelled[4]
        names = {61: f"{terminal.batch}{cancelled[11]}{cancelled[13]}"}
        confirm = terminal.order("0220", "200000", "76", de59(ON=first), names)
        assert "00" == (await world.ask(confirm)).code
        assert "12" == (await world.ask(terminal.reversal(frame))).code
        confirm = terminal.order("0220", "000000", "73", de59(ON=second), about(terminal, paid))
        assert "00" == (await world.ask(confirm)).code
        replies = await world.ask_all(
            cancellation(terminal, second, paid), cancellation(terminal, third, paid)
        )
        assert ["00", "00"] == [reply.code for reply in replies]
        await world.agree()
        assert 3 == len(refunds(world))
        assert {} == {name: net for name, net in world.balances().items() if net}
        assert "approved" == world.state(paid)
