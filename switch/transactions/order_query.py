"""Order query: MTI 0200, DE3 380000, type 71. What is owed for an order, and how it may be paid.

Source: terminal interface, part 5, row 3.
"""

from __future__ import annotations

from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.ledger.entries import InsertEntry, PutOrder, State
from acquirer.switch.context import Context
from acquirer.switch.journal import new_entry, refuse
from acquirer.switch.order_desk import Found, NoOrder, find_order
from acquirer.switch.request import Answer, Outcome, Repeat, Request

ITEM_HEAD_BYTES = 5


async def order_query(context: Context, request: Request) -> Outcome:
    """Answer with the amount due (DE4) and the order's status, ways of payment and text (DE59).

    Raises:
        RemoteFormatError: ON or OC is missing.
    """
    order_no, courier_id = request.need_text("ON"), request.need_text("OC")
    found = await find_order(context, request, order_no, courier_id)
    if isinstance(found, NoOrder):
        return await refuse(context, request, "order_query", found.response_code, order_no=order_no)
    order, due = found.order, found.due_minor
    reply = {4: f"{due:012d}", 49: order.currency_code, 59: _items(context, found, request)}
    entry = await new_entry(
        context,
        request,
        "order_query",
        State.APPROVED,
        order_no=order_no,
        courier_id=courier_id,
        amount_minor=due,
        response_code="00",
        reply=reply,
    )
    if await context.book.commit(PutOrder(order), InsertEntry(entry)):
        return Repeat()
    return Answer("00", entry.reply)


def _items(context: Context, found: Found, request: Request) -> str:
    """DE59 of the reply, hexadecimal; the text is cut to what fits, never inside a character."""
    order, encoding = found.order, request.encoding
    texts = {"ON": order.order_no, "OS": order.status, "OW": order.pay_ways}
    if found.reference:
        texts["OP"] = found.reference
    if asked := context.order_types.rules_for(order.merchant_id, order.order_no).ask:
        texts["OI"] = "|".join(asked)
    used = sum(ITEM_HEAD_BYTES + len(text.encode(encoding)) for text in texts.values())
    room = BYTES_MAX - used - ITEM_HEAD_BYTES
    text = order.text.encode(encoding, "replace")[:room].decode(encoding, "ignore")
    return De59.build({**texts, "OT": text}, encoding).hex
