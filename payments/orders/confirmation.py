"""Payment confirmation and receipt confirmation.

Answered 00 only once the notice to the merchant is stored; a repeated one gets 00 and no second
effect, one of a payment that was undone gets 12.
Source: docs/interfaces/terminal.md, part 5, rows 5 and 6.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    OrderRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
    QueueEvent,
    Step,
)
from acquirer.payments.kernel.commands import (
    APPROVED,
    Answer,
    Command,
    Named,
    Origin,
    Outcome,
    Repeat,
    answer_of,
)
from acquirer.payments.kernel.holds import move_order
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.orders.desk import NoOrder, Standing, as_merchant_has_it, standing_free
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import CONFIRMED, NEXT, PAID, SIGNED_FOR

TRIES_MAX = 5
# What an order system that is away, or silent, is to a terminal.
NOT_NOW = frozenset({ResponseCode.ISSUER_TIME_OUT, ResponseCode.UNAVAILABLE})


class PaymentConfirmed(Command, frozen=True):
    """The slip of an order's payment is printed; the origin may name the courier."""

    order_no: str
    payment: Named


class ReceiptConfirmed(Command, frozen=True):
    """The customer has signed for the delivery.

    Attributes:
        signed_by: his name.
        payment: of the order, where it is named.
    """

    order_no: str
    signed_by: str
    payment: Named | None = None


async def payment_confirmation(ports: Ports, command: PaymentConfirmed) -> Outcome:
    """The terminal has printed the slip: the payment stands.

    Raises:
        BookBusy: the order is held for too long; nothing was stored.
    """
    kind, origin, order_no = Kind.ORDER_CONFIRMATION, command.origin, command.order_no
    for _ in range(TRIES_MAX):
        found = await standing_free(ports, origin, order_no, command.payment)
        order, payment = found.order, found.named
        if payment is None or order is None:
            return await refuse(ports, origin, kind, ResponseCode.NO_ORIGINAL, order_no=order_no)
        after = NEXT.get(("confirm", order.status))
        stands = payment.state in (State.APPROVED, State.REFUNDED)
        if not stands or order.payment_id != payment.id or after is None:
            return await refuse(
                ports, origin, kind, ResponseCode.INVALID_TRANSACTION, order_no=order_no
            )
        entry = await advice_entry(ports, origin, kind, order_no, payment)
        events: tuple[Event, ...] = ()
        if after != order.status:
            events = (_confirmed(ports, order, payment, entry),)
        outcome = await commit_advice(ports, entry, order, after, events)
        if outcome is not None:
            return outcome
    return Answer(ResponseCode.SWITCH_FAULT)


async def receipt_confirmation(ports: Ports, command: ReceiptConfirmed) -> Outcome:
    """The customer has signed for the delivery.

    Raises:
        BookBusy: the order is held for too long; nothing was stored.
    """
    kind, origin, order_no = Kind.RECEIPT_CONFIRMATION, command.origin, command.order_no
    for _ in range(TRIES_MAX):
        found = await standing_free(ports, origin, order_no, command.payment)
        order, payment = found.order, found.payment
        if order is None or (command.payment is not None and found.named is None):
            return await refuse(ports, origin, kind, ResponseCode.NO_ORIGINAL, order_no=order_no)
        if found.named is not None and (payment is None or found.named.id != payment.id):
            return await refuse(
                ports, origin, kind, ResponseCode.INVALID_TRANSACTION, order_no=order_no
            )
        put: tuple[Step, ...] = ()
        if payment is None:
            known = await as_merchant_has_it(ports, origin, order)
            if isinstance(known, NoOrder):
                return await refuse_unknown(ports, origin, kind, order_no, known)
            if known.changes != order.changes:
                continue
            if known is not order:
                order, put = known, (PutOrder(known),)
        after = NEXT.get(("sign", order.status))
        if after is None or _may_be_undone(found):
            return await refuse(
                ports, origin, kind, ResponseCode.INVALID_TRANSACTION, order_no=order_no
            )
        entry = await advice_entry(ports, origin, kind, order_no, payment)
        events = []
        if order.status == PAID and payment is not None:
            # A signature says that the payment stands, even if its confirmation was lost.
            events.append(_confirmed(ports, order, payment, entry))
        if after != order.status:
            events.append(
                order_event(
                    ports,
                    "order.signed_for",
                    order,
                    payment,
                    entry,
                    order_status=SIGNED_FOR,
                    signed_by=command.signed_by,
                )
            )
        outcome = await commit_advice(ports, entry, order, after, tuple(events), before=put)
        if outcome is not None:
            return outcome
    return Answer(ResponseCode.SWITCH_FAULT)


def _may_be_undone(found: Standing) -> bool:
    """Whether a terminal may still reverse what pays an order; only that one can say it stands."""
    is_paid = found.order is not None and found.order.status == PAID and found.payment is not None
    return (is_paid and found.named is None) or found.has_open_parts


def _confirmed(ports: Ports, order: OrderRow, payment: Entry, entry: Entry) -> Event:
    return order_event(
        ports, "order.payment_confirmed", order, payment, entry, order_status=CONFIRMED
    )


async def refuse_unknown(
    ports: Ports, origin: Origin, kind: Kind, order_no: str, why: NoOrder
) -> Outcome:
    """The answer to an advice whose order cannot be had.

    Recorded, unless the terminal says it again until the merchant can be asked.
    """
    if why.response_code in NOT_NOW:
        return Answer(why.response_code)
    return await refuse(ports, origin, kind, why.response_code, order_no=order_no)


async def advice_entry(
    ports: Ports, origin: Origin, kind: Kind, order_no: str, payment: Entry | None
) -> Entry:
    """The journal row of an advice about an order, approved."""
    return await new_entry(
        ports,
        origin,
        kind,
        State.APPROVED,
        order_no=order_no,
        courier_id=origin.courier_id or (payment.courier_id if payment else ""),
        original_id=payment.id if payment else None,
        response_code=APPROVED,
    )


async def commit_advice(
    ports: Ports,
    entry: Entry,
    order: OrderRow,
    status: str,
    events: tuple[Event, ...],
    *,
    payment_id: int | None = None,
    before: tuple[Step, ...] = (),
) -> Outcome | None:
    """Store entry, order and notices together; None where the order changed meanwhile.

    Args:
        payment_id: the order's payment afterwards, where it is not to stay as it is; 0 for none.
        before: unconditional steps ahead of the order's.
    """
    paid_by = order.payment_id if payment_id is None else payment_id or None
    moved = move_order(order, (status, order.paying_id, paid_by))
    # Not for an order that has had a part paid since it was looked at.
    move = replace(moved, expected_changes=order.changes)
    failed = await ports.book.commit(
        InsertEntry(entry), *before, move, *(QueueEvent(event) for event in events)
    )
    if failed:
        return Repeat() if failed.is_taken else None
    if events:
        ports.events_queued()
    return answer_of(entry)
