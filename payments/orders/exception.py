"""Order exception: MTI 0220, DE3 930000, type 77. The order could not be delivered, and why.

Answered 00 only once the notice to the merchant is stored. Nothing is paid and nothing given
back: an order that was paid must be cancelled instead (12).
Source: docs/interfaces/terminal.md, part 5, row 9.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.order_codes import REASON_TEXTS
from acquirer.ledger.journal.details import OrderException
from acquirer.ledger.journal.entries import PutOrder
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import refuse
from acquirer.payments.orders.confirmation import (
    TRIES_MAX,
    advice_entry,
    commit_advice,
    refuse_unknown,
)
from acquirer.payments.orders.desk import (
    NoOrder,
    as_merchant_has_it,
    courier_here,
    find_order,
    standing_free,
)
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import EXCEPTION, NEXT, refusal_code
from acquirer.switch.terminals.request import Answer, Outcome, Request

KIND = Kind.ORDER_EXCEPTION


async def order_exception(context: Context, request: Request) -> Outcome:
    """Record why an order was not delivered.

    Raises:
        RemoteFormatError: ON or OX is missing, or OX is no reason of the interface.
        BookBusy: the order is held for too long; nothing was stored.
    """
    order_no, reason = request.need_text("ON"), request.need_text("OX")
    note = request.text("OD")
    if reason not in REASON_TEXTS:
        raise RemoteFormatError("no reason of the interface", field="59.OX")
    for _ in range(TRIES_MAX):
        order = (await standing_free(context, request, order_no)).order
        if order is None:
            found = await find_order(context, request, order_no)
            if isinstance(found, NoOrder):
                return await refuse_unknown(context, request, KIND, order_no, found)
            order = found.order
        else:
            known = await as_merchant_has_it(context, request, order)
            if isinstance(known, NoOrder):
                return await refuse_unknown(context, request, KIND, order_no, known)
            order = known
        after = NEXT.get(("except", order.status))
        if after is None:
            code = refusal_code("except", order.status)
            return await refuse(context, request, KIND, code, order_no=order_no)
        items = De59.build({"ON": order_no, "OS": after, "OX": reason}, request.encoding)
        draft = await advice_entry(context, request, KIND, None, {59: items.hex})
        entry = replace(
            draft,
            courier_id=await courier_here(context, request),
            detail=OrderException(reason, note),
        )
        notice = order_event(
            context,
            "order.exception",
            order,
            None,
            entry,
            order_status=EXCEPTION,
            reason=reason,
            note=note,
        )
        outcome = await commit_advice(
            context, entry, order, after, (notice,), before=(PutOrder(order),)
        )
        if outcome is not None:
            return outcome
    return Answer("96")
