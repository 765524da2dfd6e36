"""What holds an order while it is paid or cancelled, as steps: claim, let go, move, count."""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.order_codes import OrderStatus
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.payments.kernel.ports import Ports

NO_ANSWER = ResponseCode.NO_ANSWER


def free_order_steps(entry: Entry, order: OrderRow | None) -> tuple[Step, ...]:
    """Let go of the order that an unfinished payment or cancellation holds: it is as it was."""
    if order is None or order.paying_id != entry.id:
        return ()
    return (move_order(order, (order.status, None, order.payment_id)),)


def unpay_step(order: OrderRow) -> UpdateOrder:
    """The order is to be paid again: nobody is paying it and nobody has."""
    status = OrderStatus.TO_PAY if order.amount_minor else OrderStatus.NOTHING_TO_PAY
    return move_order(order, (status, None, None))


def claim_steps(
    order: OrderRow, whole: OrderRow | None, new: tuple[str, int | None, int | None]
) -> tuple[UpdateOrder, ...]:
    """Take an order for a payment, unless anything has happened to it since it was asked about.

    Args:
        whole: the order that it is a part of. It must not have changed either, in particular by
            a payment of its own or of another part, and counts this as a change: so of all
            payments of one family only those follow each other that know of each other.
    """
    claim = replace(move_order(order, new), expected_changes=order.changes)
    if whole is None:
        return (claim,)
    note = move_order(whole, (whole.status, None, None))
    return (claim, replace(note, expected_changes=whole.changes))


def count_in(whole: OrderRow | None) -> tuple[UpdateOrder, ...]:
    """Count what is done to a part as a change of its order, if that is still as it was read.

    Args:
        whole: None where it is no part.
    """
    if whole is None:
        return ()
    return (move_order(whole, (whole.status, whole.paying_id, whole.payment_id)),)


def move_order(order: OrderRow, new: tuple[str, int | None, int | None]) -> UpdateOrder:
    """The step that changes an order's status, payer and payment, unless somebody else has."""
    expected = (order.status, order.paying_id, order.payment_id)
    return UpdateOrder(order.merchant_id, order.order_no, expected, new)


async def freed(ports: Ports, entry: Entry) -> tuple[Step, ...]:
    """Let go of all orders that an unfinished payment or cancellation holds."""
    order = await ports.book.order(entry.merchant_id, entry.order_no) if entry.order_no else None
    return (*free_order_steps(entry, order), *await _free_shares(ports, entry))


async def _free_shares(ports: Ports, payment: Entry) -> tuple[Step, ...]:
    """Those of a payment of several; none of a single one."""
    if payment.kind is not Kind.ORDER_GROUP:
        return ()
    steps: list[Step] = []
    for share in await ports.book.entries_of_original(payment.id):
        if share.kind is Kind.ORDER_SHARE and share.state is State.SENT:
            order = await ports.book.order(share.merchant_id, share.order_no)
            decline = UpdateEntry(
                share.id, (State.SENT,), state=State.DECLINED, response_code=NO_ANSWER
            )
            steps += [decline, *free_order_steps(share, order)]
    return tuple(steps)
