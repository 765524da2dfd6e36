"""What becomes of an order whose payment is refunded at a till, or elsewhere beside its courier.

A part leaves the order as it is, and its merchant is told what goes back (``order.refunded``).
The whole amount at once is a cancellation: the order is held while the bank is asked, and cancelled
with its notice; since no slip of a cancellation follows, its payment is forgotten at once.
Source: docs/orders.md, "Refunds".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
)
from acquirer.ledger.journal.steps import (
    QueueEvent,
    Step,
)
from acquirer.payments.kernel.holds import count_in, free_order_steps, move_order
from acquirer.payments.kernel.ports import Ports, RefundRule
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import NEXT, SIGNED_FOR


async def _begin(ports: Ports, payment: Entry, refund: Entry) -> tuple[Step, ...] | str:
    order = await _order(ports, payment)
    if order is None or ("refund", order.status) not in NEXT:
        return ResponseCode.INVALID_TRANSACTION
    if not _is_whole(payment, refund):
        return ()
    whole = await ports.book.order(order.merchant_id, order.part_of) if order.part_of else None
    if whole is not None and whole.status == SIGNED_FOR:
        return ResponseCode.INVALID_TRANSACTION
    # So that nobody signs for the order meanwhile.
    count = count_in(whole)
    free = replace(order, paying_id=None)
    return (move_order(free, (order.status, refund.id, payment.id)), *count)


async def _end(ports: Ports, payment: Entry, refund: Entry, stands: bool) -> tuple[Step, ...]:
    order = await _order(ports, payment)
    is_whole = _is_whole(payment, refund)
    if order is None or not (stands or is_whole):
        return ()
    if not stands:
        return free_order_steps(refund, order)
    after = NEXT["refund", order.status] if is_whole else order.status
    left = (after, None, None) if is_whole else (after, order.paying_id, payment.id)
    # The number of the payment is its own terminal's.
    notice = order_event(
        ports,
        "order.cancelled" if is_whole else "order.refunded",
        order,
        payment,
        replace(refund, terminal_id=payment.terminal_id),
        order_status=after,
        amount_minor=refund.amount_minor,
    )
    return (move_order(order, left), QueueEvent(notice))


async def _order(ports: Ports, payment: Entry) -> OrderRow | None:
    """The order that a payment pays; None where it pays none any more."""
    order = await ports.book.order(payment.merchant_id, payment.order_no)
    return order if order is not None and order.payment_id == payment.id else None


def _is_whole(payment: Entry, refund: Entry) -> bool:
    """Whether a refund gives back all at once; what is the rest of several parts is a part."""
    return refund.amount_minor == payment.amount_minor


RULE = RefundRule(_begin, _end)
