"""A merchant whose orders live behind an ISO 8583 order host, under MAC: its day, good and bad."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from limits import HANG_S
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.settings import Fault, Rule
from acquirer.hosts_sim.orders.store import FILE_NAME

pytestmark = pytest.mark.anyio

MERCHANT, COURIER = "898110053310001", "C1001"
ALICE = next(card for card in load_estate().cards if card.name == "alice")
# Orders of this merchant that may be paid by card and meet none of the other tests' faults.
ORDERS = [
    order
    for order in load_estate().orders
    if order.merchant_id == MERCHANT and "1" in order.pay_ways and order.order_no[-2:] < "07"
]


async def ask(
    world: World,
    terminal: PosTerminal,
    row: tuple[str, str, str],
    order_no: str,
    fields: dict[int, str | bytes] | None = None,
    **items: str,
) -> Reply:
    """One order transaction: MTI, DE3 and type."""
    frame = terminal.order(*row, de59(ON=order_no, OC=COURIER, **items), fields)
    reply: Reply = await world.ask(frame)
    return reply


QUERY, PAY = ("0200", "380000", "71"), ("0200", "000000", "72")
CONFIRM, SIGN = ("0220", "000000", "73"), ("0220", "920000", "74")
CANCEL, CANCELLED = ("0200", "200000", "75"), ("0220", "200000", "76")


async def pay(world: World, terminal: PosTerminal, order_no: str, amount_minor: int) -> Reply:
    """By card."""
    fields = {4: f"{amount_minor:012d}", **terminal.card_fields(ALICE, None)}
    return await ask(world, terminal, PAY, order_no, fields)


def about(terminal: PosTerminal, paid: Reply) -> dict[int, str | bytes]:
    """What names a payment."""
    return {37: paid[37], 61: f"{terminal.batch}{paid[11]}{paid[13]}"}


def merchant_changes(folder: Path, order_no: str, amount_minor: int) -> None:
    """The merchant has another amount for an order."""
    with sqlite3.connect(folder / FILE_NAME, timeout=HANG_S) as books:
        books.execute(
            "UPDATE orders SET amount_minor = ? WHERE order_no = ?", (amount_minor, order_no)
        )
    books.close()


async def test_a_day_with_an_order_host(open_world: OpenWorld) -> None:
    """Paid and signed for, changed before it was paid, cancelled; an answer to a notice is lost."""
    plain, changed, cancelled = ORDERS[:3]
    lost = [Rule("lost_answer", on="events", order_no_pattern=plain.order_no, times=1)]
    async with open_world(hosted=[MERCHANT], order_rules=lost) as world:
        terminal = await world.with_courier()
        asked = await ask(world, terminal, QUERY, plain.order_no)
        assert (asked.code, asked[4]) == ("00", f"{plain.amount_minor:012d}")
        assert (asked.items["OS"], asked.items["OW"]) == (b"00", plain.pay_ways.encode())
        assert plain.text == asked.items["OT"].decode("gb18030")
        assert "25" == (await ask(world, terminal, QUERY, "NONE")).code
        paid = await pay(world, terminal, plain.order_no, plain.amount_minor)
        assert "00" == paid.code
        assert (
            "00"
            == (await ask(world, terminal, CONFIRM, plain.order_no, about(terminal, paid))).code
        )
        signed = await ask(world, terminal, SIGN, plain.order_no, about(terminal, paid), OR="王芳")
        assert "00" == signed.code

        await ask(world, terminal, QUERY, changed.order_no)
        merchant_changes(world.folder, changed.order_no, changed.amount_minor + 100)
        stale = await pay(world, terminal, changed.order_no, changed.amount_minor)
        assert "64" == stale.code
        fresh = await ask(world, terminal, QUERY, changed.order_no)
        assert f"{changed.amount_minor + 100:012d}" == fresh[4]
        paid = await pay(world, terminal, changed.order_no, changed.amount_minor + 100)
        assert "00" == paid.code

        paid = await pay(world, terminal, cancelled.order_no, cancelled.amount_minor)
        names = about(terminal, paid)
        for row in (CONFIRM, CANCEL, CANCELLED):
            assert "00" == (await ask(world, terminal, row, cancelled.order_no, names)).code

        await world.until(lambda: world.order(plain.order_no).state == "signed_for")
        await world.until(lambda: world.order(changed.order_no).state == "paid")
        await world.until(lambda: len(world.events(cancelled.order_no)) == 4)
        assert (world.order(plain.order_no).signed_by, world.order(plain.order_no).means) == (
            "王芳",
            "card",
        )
        assert "cancelled" == world.order(cancelled.order_no).state
        told = world.events(plain.order_no)
        assert [("order.paid", 2), ("order.payment_confirmed", 1), ("order.signed_for", 1)] == [
            (one.type, one.deliveries) for one in told
        ]
        await world.agree()


async def test_an_order_host_that_fails(open_world: OpenWorld) -> None:
    """Silent, wrong and gone; what is owed to it waits, and arrives in order when it is back."""
    order, *others = ORDERS[:5]
    faults: tuple[Fault, ...] = ("silence", "garbage", "wrong_order", "wrong_currency")
    rules = [
        Rule(fault, on="query", order_no_pattern=other.order_no)
        for fault, other in zip(faults, others, strict=True)
    ]
    async with open_world(hosted=[MERCHANT], order_rules=rules) as world:
        terminal = await world.with_courier()
        replies = [await ask(world, terminal, QUERY, other.order_no) for other in others]
        assert ["68", "68", "91", "91"] == [reply.code for reply in replies]
        wrong = await pay(world, terminal, others[3].order_no, others[3].amount_minor)
        assert "91" == wrong.code
        paid = await pay(world, terminal, order.order_no, order.amount_minor)
        await world.until(lambda: world.order(order.order_no).state == "paid")
        await world.stop("orders")
        assert "91" == (await ask(world, terminal, QUERY, others[0].order_no)).code
        for row in (CONFIRM, SIGN):
            assert (
                "00"
                == (
                    await ask(world, terminal, row, order.order_no, about(terminal, paid), OR="A")
                ).code
            )
        await world.start("orders")
        await world.until(lambda: world.order(order.order_no).state == "signed_for")
        assert ["order.paid", "order.payment_confirmed", "order.signed_for"] == [
            one.type for one in world.events(order.order_no)
        ]
        await world.agree()


async def test_a_query_is_answered_from_memory_while_the_merchant_allows_it(
    open_world: OpenWorld,
) -> None:
    """Another amount counts only after the time for which the merchant let the answer stand."""
    order = ORDERS[0]
    async with open_world(hosted=[MERCHANT], max_age_s=600) as world:
        terminal = await world.with_courier()
        first = await ask(world, terminal, QUERY, order.order_no)
        merchant_changes(world.folder, order.order_no, order.amount_minor + 100)
        again = await ask(world, terminal, QUERY, order.order_no)
        assert first[4] == again[4] == f"{order.amount_minor:012d}"


async def test_another_process_does_not_sell_a_cancelled_order_again(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """It has asked before: paid, cancelled and told by its sibling, the order is not to pay."""
    order = ORDERS[0]
    async with open_world(url=postgresql_url, hosted=[MERCHANT], max_age_s=600) as world:
        terminal = await world.with_courier()
        sibling = replace(world, changes={"instance": "switch-2"})
        sibling._data_key = world._data_key
        await sibling.start_switch()
        asked = await ask(sibling, terminal, QUERY, order.order_no)
        assert f"{order.amount_minor:012d}" == asked[4]
        paid = await pay(world, terminal, order.order_no, order.amount_minor)
        for row in (CANCEL, CANCELLED):
            assert (
                "00"
                == (await ask(world, terminal, row, order.order_no, about(terminal, paid))).code
            )
        await world.until(lambda: len(world.events(order.order_no)) == 3)
        assert "12" == (await pay(sibling, terminal, order.order_no, order.amount_minor)).code
        await sibling.drain()
        await world.agree()
