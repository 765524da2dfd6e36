"""Order query: MTI 0200, DE3 380000, type 71. What is owed for an order, and how it may be paid.

A shop's terminal also opens orders with it (``IT``) and looks things up; see ``shop.py``. With
``PA`` it opens a part of an order; see ``part_payment.py``.
Source: docs/interfaces/terminal.md, part 5, row 3.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.ledger.journal.entries import InsertEntry, PutOrder, Role, State, Step
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.orders.desk import Found, NoOrder, find_order
from acquirer.payments.orders.parts import PART_TAG, open_part
from acquirer.payments.orders.shop import look_up, order_opening
from acquirer.payments.orders.types import SHOWN
from acquirer.switch.terminals.request import Answer, Outcome, Repeat, Request

log = structlog.get_logger("acquirer.orders")

KIND = Kind.ORDER_QUERY
ITEM_HEAD_BYTES = 5


async def order_query(context: Context, request: Request) -> Outcome:
    """Answer with the amount due (DE4) and the order's status, ways of payment and text (DE59).

    Raises:
        RemoteFormatError: ON or OC is missing, IT is no list of items, or PA no amount.
    """
    order_no, courier_id = request.need_text("ON"), request.need_text("OC")
    rules = context.order_types.rules_for(request.terminal.settings.merchant_id, order_no)
    opening = order_opening(request, order_no, courier_id, rules)
    is_shown = rules.product in SHOWN
    whole: tuple[Step, ...] = ()
    if isinstance(opening, NoOrder):
        found: Found | NoOrder = opening
    elif PART_TAG in request.de59:
        if await _is_known(context, request):
            # A part that was opened only now would take the place of a newer one.
            return Repeat()
        found = await open_part(context, request, order_no, courier_id)
        if isinstance(found, Found) and found.whole is not None:
            whole = (PutOrder(found.whole),)
    elif is_shown:
        found = await look_up(context, request, order_no, courier_id, rules)
    else:
        found = await find_order(context, request, order_no, courier_id, opening)
    if isinstance(found, NoOrder):
        return await _refuse(context, request, order_no, found)
    order, due = found.order, found.due_minor
    reply = {4: f"{due:012d}", 49: order.currency_code, 59: _items(context, found, request)}
    entry = await new_entry(
        context,
        request,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=courier_id,
        amount_minor=due,
        response_code="00",
        reply=reply,
    )
    # What is only looked at is no order, so that nothing can be done to it.
    kept: tuple[Step, ...] = () if is_shown else (*whole, PutOrder(order))
    if await context.book.commit(*kept, InsertEntry(entry)):
        return Repeat()
    return Answer("00", entry.reply)


async def _is_known(context: Context, request: Request) -> bool:
    key = (request.terminal.terminal_id, request.de60.batch, request.stan)
    return await context.book.find_entry(*key, Role.ORIGINAL) is not None


async def _refuse(
    context: Context, request: Request, order_no: str, why: NoOrder
) -> Answer | Repeat:
    reply = {59: fitted({"ON": order_no}, why.text, request.encoding)} if why.text else {}
    code = why.response_code
    return await refuse(context, request, KIND, code, order_no=order_no, reply=reply)


def _items(context: Context, found: Found, request: Request) -> str:
    """DE59 of the reply, hexadecimal."""
    order = found.order
    texts = {"ON": order.order_no, "OS": order.status}
    if order.pay_ways:
        texts["OW"] = order.pay_ways
    if found.reference:
        texts["OP"] = found.reference
    if asked := context.order_types.rules_for(order.merchant_id, order.order_no).ask:
        texts["OI"] = "|".join(asked)
    return fitted(texts, order.text, request.encoding)


def fitted(texts: Mapping[str, str], text: str, encoding: str) -> str:
    """Items with a text to show, cut to what fits, never inside a character.

    An item that the terminal's encoding lacks, or DE59 has no room for, is left out and logged.
    """
    items: dict[str, str | bytes] = {}
    room = BYTES_MAX - ITEM_HEAD_BYTES
    for tag, one in texts.items():
        value = _encoded(one, encoding)
        if value is None or ITEM_HEAD_BYTES + len(value) > room:
            log.warning("order_item_left_out", order_no=texts["ON"], tag=tag)
            continue
        items[tag] = value
        room -= ITEM_HEAD_BYTES + len(value)
    items["OT"] = text.encode(encoding, "replace")[:room].decode(encoding, "ignore")
    return De59.build(items, encoding).hex


def _encoded(text: str, encoding: str) -> bytes | None:
    """The text in the terminal's encoding; None where that lacks a character."""
    try:
        return text.encode(encoding)
    except UnicodeError:
        return None
