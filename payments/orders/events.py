"""Notices to a merchant's order system, made from journal entries. Pure but for the event id.

Every notice of one payment carries the payment's RRN. Source: docs/orders.md.
"""

from __future__ import annotations

from acquirer.codecs.order_codes import Means, OrderStatus, means_of
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    OrderRow,
)
from acquirer.payments.kernel.ports import Ports
from acquirer.routing.orders.messages import (
    EventData,
    EventType,
    build_event,
)


def order_event(
    ports: Ports,
    kind: EventType,
    order: OrderRow,
    payment: Entry | None,
    cause: Entry,
    *,
    order_status: str,
    amount_minor: int | None = None,
    reason: str = "",
    signed_by: str = "",
    note: str = "",
    fields: dict[str, str] | None = None,
) -> Event:
    """What became of an order.

    Args:
        order: whose amount is told where the payment moved no money.
        payment: the journal entry that paid it, or None where nothing was paid.
        cause: the entry that this notice is about; its order, terminal and time are told.
        amount_minor: what is told in place of what was paid.
    """
    about = payment or cause
    means = means_of(payment.processing_code) if payment else Means.NONE
    if amount_minor is None:
        amount_minor = order.amount_minor if means is Means.NONE else about.amount_minor
    data = EventData(
        order_no=cause.order_no,
        merchant_id=cause.merchant_id,
        order_status=OrderStatus(order_status),
        amount_minor=amount_minor,
        currency_code=order.currency_code,
        means=means,
        rrn=about.rrn,
        stan=about.stan,
        approval_code=about.approval_code,
        terminal_id=cause.terminal_id,
        courier_id=cause.courier_id or about.courier_id,
        signed_by=signed_by,
        reason=reason,
        note=note,
        fields=fields or {},
    )
    event = build_event(ports.new_event_id(), kind, data, cause.created_at_ms)
    return Event(
        event.id,
        event.merchant_id,
        event.order_no,
        event.type,
        event.body,
        event.created_at_ms,
        event.next_at_ms,
    )
