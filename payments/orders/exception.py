"""Order exception: the order could not be delivered, and why.

Answered 00 only once the notice to the merchant is stored. Nothing is paid and nothing given
back: an order that was paid must be cancelled instead (12).
Source: docs/interfaces/terminal.md, part 5, row 9.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.details import OrderException
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    PutOrder,
)
from acquirer.payments.kernel.commands import Answer, Command, Outcome, Shown
from acquirer.payments.kernel.ports import Ports
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

KIND = Kind.ORDER_EXCEPTION


class OrderNotDelivered(Command, frozen=True):
    """An order could not be delivered; the origin may name the courier.

    Attributes:
        reason: of the terminal interface, 2 digits.
        note: free text.
    """

    order_no: str
    reason: str
    note: str = ""


async def order_exception(ports: Ports, command: OrderNotDelivered) -> Outcome:
    """Record why an order was not delivered.

    Raises:
        BookBusy: the order is held for too long; nothing was stored.
    """
    origin, order_no = command.origin, command.order_no
    for _ in range(TRIES_MAX):
        order = (await standing_free(ports, origin, order_no, None)).order
        if order is None:
            found = await find_order(ports, origin, order_no)
            if isinstance(found, NoOrder):
                return await refuse_unknown(ports, origin, KIND, order_no, found)
            order = found.order
        else:
            known = await as_merchant_has_it(ports, origin, order)
            if isinstance(known, NoOrder):
                return await refuse_unknown(ports, origin, KIND, order_no, known)
            order = known
        after = NEXT.get(("except", order.status))
        if after is None:
            code = refusal_code("except", order.status)
            return await refuse(ports, origin, KIND, code, order_no=order_no)
        draft = await advice_entry(ports, origin, KIND, order_no, None)
        shown = origin.display(Shown(order_no, status=after, reason=command.reason))
        entry = replace(
            draft,
            courier_id=await courier_here(ports, origin),
            detail=OrderException(command.reason, command.note),
            reply=msgspec.structs.replace(draft.reply, shown=shown),
        )
        notice = order_event(
            ports,
            "order.exception",
            order,
            None,
            entry,
            order_status=EXCEPTION,
            reason=command.reason,
            note=command.note,
        )
        outcome = await commit_advice(
            ports, entry, order, after, (notice,), before=(PutOrder(order),)
        )
        if outcome is not None:
            return outcome
    return Answer(ResponseCode.SWITCH_FAULT)
