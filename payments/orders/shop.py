"""What a shop's terminal asks for: orders that come into being at the till, items, the day's sums.

Price list, stock and orders are the merchant's; a sale, goods taken in and a count are orders of
types with a ``product``, opened by their query, and from there paid, confirmed and cancelled as
any other. An item and the day's takings are looked at and never stored as orders.
Source: docs/orders.md, "A shop's sales".
"""

from __future__ import annotations

from typing import cast

from acquirer.codecs.money import format_minor
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    OrderRow,
)
from acquirer.ledger.reports.takings import Takings
from acquirer.payments.kernel.business import OrderRules
from acquirer.payments.kernel.commands import Origin
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.orders.desk import Found, NoOrder, ask_system, signed_on_here
from acquirer.payments.orders.life import NOTHING_TO_PAY
from acquirer.payments.orders.types import OPENED
from acquirer.routing.orders.messages import (
    NewOrder,
    OrderFacts,
    OrderLine,
    ShopKind,
)


def order_opening(
    origin: Origin, order_no: str, lines: tuple[OrderLine, ...], rules: OrderRules
) -> NewOrder | NoOrder | None:
    """The order that a query with lines opens; None for one without; 12 where no order can be."""
    if not lines:
        return None
    if rules.product not in OPENED:
        return NoOrder(ResponseCode.INVALID_TRANSACTION)
    return NewOrder(
        order_no=order_no,
        merchant_id=origin.merchant_id,
        kind=cast(ShopKind, rules.product),
        lines=lines,
        terminal_id=origin.terminal_id,
        courier_id=origin.courier_id,
    )


async def look_up(
    ports: Ports, origin: Origin, shown_no: str, rules: OrderRules
) -> Found | NoOrder:
    """An item of the price list by its code or barcode, or the day's takings, as an order is shown.

    The courier who is named must be signed on at the terminal (else 58).

    Args:
        shown_no: of the item, or of the takings.
        rules: of a type with such a product.
    """
    courier = await ports.book.courier(origin.courier_id)
    if not signed_on_here(origin, origin.courier_id, courier):
        return NoOrder(ResponseCode.NOT_PERMITTED_TO_TERMINAL)
    if rules.product == "takings":
        facts: OrderFacts | NoOrder = await _takings(ports, origin, shown_no)
    else:
        facts = await ask_system(ports, origin, shown_no)
    if isinstance(facts, NoOrder):
        return facts
    text = facts.text if rules.words is None else rules.words.render(facts)
    shown = OrderRow(
        merchant_id=facts.merchant_id,
        order_no=shown_no,
        status=NOTHING_TO_PAY,
        amount_minor=0,
        currency_code=facts.currency_code,
        pay_ways="",
        text=text,
        queried_at_ms=origin.now_ms,
    )
    return Found(shown)


async def _takings(ports: Ports, origin: Origin, shown_no: str) -> OrderFacts:
    """Today's payments by means, as facts that the merchant's own words can show."""
    merchant = origin.merchant
    today, currency = ports.calendar.stamp(origin.now_ms).business_date, merchant.currency_code
    taken = await ports.book.takings(merchant.merchant_id, today, currency)
    fields = _fields(taken, currency) | {"date": today}
    text = (
        "{date}|Card {card_count}: {card}|Cash {cash_count}: {cash}|Nothing to pay {none_count}"
        "|Refunded {refund_count}: {refund}|Total {total}"
    )
    return OrderFacts(
        order_no=shown_no,
        merchant_id=merchant.merchant_id,
        status=NOTHING_TO_PAY,
        amount_minor=0,
        currency_code=currency,
        pay_ways="",
        text=text.format(**fields),
        fields=fields,
    )


def _fields(taken: Takings, currency_code: str) -> dict[str, str]:
    return {
        "card_count": str(taken.card_count),
        "card": format_minor(taken.card_minor, currency_code),
        "cash_count": str(taken.cash_count),
        "cash": format_minor(taken.cash_minor, currency_code),
        "none_count": str(taken.none_count),
        "refund_count": str(taken.refund_count),
        "refund": format_minor(taken.refund_minor, currency_code),
        "total": format_minor(taken.total_minor, currency_code),
    }
