"""What the switch knows of an order, and what may happen to it next.

The merchant's order system says what is owed; the switch's own row says what has happened here
since. ``NEXT`` is the order's life as a table; a step that it does not list is refused (12).
Source: terminal interface, part 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acquirer.ledger.entries import OrderRow
from acquirer.routing.orders.client import OrderSystemDown, OrderSystemSilent, UnknownOrder
from acquirer.routing.orders.messages import OrderFacts
from acquirer.switch.context import Context
from acquirer.switch.request import Request

TO_PAY, PAID, CONFIRMED, SIGNED_FOR, CANCELLED, EXCEPTION, NOTHING_TO_PAY = (
    "00",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
)
WAYS = {"000000": "1", "900000": "2", "910000": "3"}

# (step, status before) → status after.
NEXT: dict[tuple[str, str], str] = {
    ("pay", TO_PAY): PAID,
    ("pay", NOTHING_TO_PAY): PAID,
    ("confirm", PAID): CONFIRMED,
    ("sign", PAID): SIGNED_FOR,
    ("sign", CONFIRMED): SIGNED_FOR,
    ("sign", NOTHING_TO_PAY): SIGNED_FOR,
    ("reverse", PAID): TO_PAY,
}


@dataclass(frozen=True, slots=True)
class NoOrder:
    """There is no order to work on; ``response_code`` says why (25, 91, 68)."""

    response_code: str


async def find_order(context: Context, request: Request, order_no: str) -> OrderRow | NoOrder:
    """Ask the merchant's order system, and lay what has happened here over its answer."""
    merchant_id = request.terminal.settings.merchant_id
    facts = await context.orders.query(merchant_id, order_no)
    if isinstance(facts, UnknownOrder):
        return NoOrder("25")
    if isinstance(facts, OrderSystemDown):
        return NoOrder("91")
    if isinstance(facts, OrderSystemSilent):
        return NoOrder("68")
    return overlay(facts, await context.book.order(merchant_id, order_no), request.now_ms)


def overlay(facts: OrderFacts, row: OrderRow | None, now_ms: int) -> OrderRow:
    """The order system's facts, unless money has moved or is moving here."""
    fresh = OrderRow(
        merchant_id=facts.merchant_id,
        order_no=facts.order_no,
        status=facts.status,
        amount_minor=facts.amount_minor,
        currency_code=facts.currency_code,
        pay_ways=facts.pay_ways,
        text=facts.text,
        queried_at_ms=now_ms,
    )
    if row is None:
        return fresh
    if row.paying_id is not None or row.payment_id is not None:
        return replace(row, text=facts.text, queried_at_ms=now_ms)
    return fresh


def due_minor(order: OrderRow) -> int:
    """What is to be paid now, in minor units."""
    return order.amount_minor if order.status == TO_PAY else 0


async def courier_is_here(context: Context, request: Request, courier_id: str) -> bool:
    """Whether this courier is signed on at the terminal that asks."""
    courier = context.couriers.get(courier_id)
    if courier is None or courier.merchant_id != request.terminal.settings.merchant_id:
        return False
    row = await context.book.courier(courier_id)
    return row is not None and row.terminal_id == request.terminal.terminal_id
