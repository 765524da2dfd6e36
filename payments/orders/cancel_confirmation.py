"""The confirmation of a cancellation: its slip is printed, and the payment is forgotten.

Source: docs/interfaces/terminal.md, part 5, row 8.
"""

from __future__ import annotations

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import State
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commands import Answer, Command, Named, Outcome
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import refuse
from acquirer.payments.orders.confirmation import TRIES_MAX, advice_entry, commit_advice
from acquirer.payments.orders.desk import standing_free
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import CANCELLED, NEXT

CONFIRMATION = Kind.ORDER_CANCEL_CONFIRMATION


class CancellationConfirmed(Command, frozen=True):
    """The slip of a cancellation is printed.

    Attributes:
        payment: that was cancelled, or the cancellation.
    """

    order_no: str
    payment: Named


async def cancel_confirmation(ports: Ports, command: CancellationConfirmed) -> Outcome:
    """The terminal has printed the slip: the cancellation stands, and the payment is forgotten.

    Raises:
        BookBusy: the order is held for too long; nothing was stored.
    """
    origin, order_no = command.origin, command.order_no
    for _ in range(TRIES_MAX):
        found = await standing_free(ports, origin, order_no, command.payment)
        order, payment = found.order, found.named
        if payment is None or order is None:
            return await refuse(
                ports, origin, CONFIRMATION, ResponseCode.NO_ORIGINAL, order_no=order_no
            )
        about = await ports.book.entries_of_original(payment.id)
        entry = await advice_entry(ports, origin, CONFIRMATION, order_no, payment)
        if any(e.kind is CONFIRMATION and e.state is State.APPROVED for e in about):
            outcome = await commit_advice(ports, entry, order, order.status, ())
        elif ("confirm_cancel", order.status) in NEXT and order.payment_id == payment.id:
            notice = order_event(
                ports, "order.cancel_confirmed", order, payment, entry, order_status=CANCELLED
            )
            outcome = await commit_advice(ports, entry, order, CANCELLED, (notice,), payment_id=0)
        else:
            return await refuse(
                ports, origin, CONFIRMATION, ResponseCode.INVALID_TRANSACTION, order_no=order_no
            )
        if outcome is not None:
            return outcome
    return Answer(ResponseCode.SWITCH_FAULT)
