"""What a shop's terminal asks for: orders that come into being at the till, items, the day's sums.

Price list, stock and orders are the merchant's; a sale, goods taken in and a count are orders of
types with a ``product``, opened by their query, and from there paid, confirmed and cancelled as
any other. An item and the day's takings are looked at and never stored as orders.
Source: docs/orders.md, "A shop's sales".
"""

from __future__ import annotations

from typing import cast

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.money import format_minor
from acquirer.ledger.journal.entries import OrderRow
from acquirer.ledger.reports.takings import Takings
from acquirer.payments.kernel.ports import Context
from acquirer.payments.orders.desk import Found, NoOrder, ask_system, signed_on_here
from acquirer.payments.orders.life import NOTHING_TO_PAY
from acquirer.payments.orders.text import LINE_BREAK
from acquirer.payments.orders.types import OPENED, OrderRules
from acquirer.routing.orders.messages import (
    ITEM_CODE_CHARACTERS_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    NewOrder,
    OrderFacts,
    OrderLine,
    ShopKind,
)
from acquirer.switch.terminals.request import Request

LINES_TAG = "IT"
TIMES = "*"


def order_lines(text: str) -> tuple[OrderLine, ...]:
    """The lines of ``IT``.

    >>> order_lines("1001*2|2000000000022*1")[1]
    OrderLine(code='2000000000022', quantity=1)

    Raises:
        RemoteFormatError: no such lines, or too many.
    """
    lines = []
    for part in text.split(LINE_BREAK):
        code, _, digits = part.rpartition(TIMES)
        is_code = 1 <= len(code) <= ITEM_CODE_CHARACTERS_MAX and code.isprintable()
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(QUANTITY_MAX))
        if not (is_code and is_number):
            raise RemoteFormatError("a line is an item, * and 1 to 5 digits", field="59.IT")
        lines.append(OrderLine(code, int(digits)))
    if len(lines) > LINES_MAX:
        raise RemoteFormatError(f"more than {LINES_MAX} lines", field="59.IT")
    return tuple(lines)


def order_opening(
    request: Request, order_no: str, courier_id: str, rules: OrderRules
) -> NewOrder | NoOrder | None:
    """The order that a query with lines opens; None for one without; 12 where no order can be.

    Raises:
        RemoteFormatError: IT is no list of items.
    """
    if LINES_TAG not in request.de59:
        return None
    lines = order_lines(request.text(LINES_TAG))
    if rules.product not in OPENED:
        return NoOrder("12")
    return NewOrder(
        order_no=order_no,
        merchant_id=request.terminal.settings.merchant_id,
        kind=cast(ShopKind, rules.product),
        lines=lines,
        terminal_id=request.terminal.terminal_id,
        courier_id=courier_id,
    )


async def look_up(
    context: Context, request: Request, shown_no: str, courier_id: str, rules: OrderRules
) -> Found | NoOrder:
    """An item of the price list by its code or barcode, or the day's takings, as an order is shown.

    Args:
        shown_no: what ``ON`` has.
        courier_id: who must be signed on at the terminal (else 58).
        rules: of a type with such a product.
    """
    courier = await context.book.courier(courier_id)
    if not signed_on_here(context, request, courier_id, courier):
        return NoOrder("58")
    if rules.product == "takings":
        facts: OrderFacts | NoOrder = await _takings(context, request, shown_no)
    else:
        facts = await ask_system(context, request, shown_no)
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
        queried_at_ms=request.now_ms,
    )
    return Found(shown)


async def _takings(context: Context, request: Request, shown_no: str) -> OrderFacts:
    """Today's payments by means, as facts that the merchant's own words can show."""
    merchant = request.terminal.merchant
    today, currency = context.calendar.stamp(request.now_ms).business_date, merchant.currency_code
    taken = await context.book.takings(merchant.merchant_id, today, currency)
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
