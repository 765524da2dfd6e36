"""Payment confirmation (type 73) and receipt confirmation (type 74): MTI 0220.

Answered 00 only once the notice to the merchant is stored; a repeated one gets 00 and no second
effect, one of a payment that was undone gets 12.
Source: terminal interface, part 5, rows 5 and 6.
"""

from __future__ import annotations

from acquirer.ledger.entries import (
    Entry,
    Event,
    InsertEntry,
    OrderRow,
    QueueEvent,
    Role,
    State,
    UpdateOrder,
)
from acquirer.switch.context import Context
from acquirer.switch.journal import new_entry, refuse
from acquirer.switch.order_desk import CONFIRMED, NEXT, PAID, SIGNED_FOR
from acquirer.switch.order_events import order_event
from acquirer.switch.request import Answer, Outcome, Repeat, Request

TRIES_MAX = 5


async def payment_confirmation(context: Context, request: Request) -> Outcome:
    """The terminal has printed the slip: the payment stands.

    Raises:
        RemoteFormatError: ON or DE61 is missing.
    """
    order_no = request.need_text("ON")
    request.original()
    for _ in range(TRIES_MAX):
        order = await context.book.order(request.terminal.settings.merchant_id, order_no)
        payment = await _payment(context, request, order_no)
        if payment is None or order is None:
            return await refuse(context, request, "order_confirmation", "25", order_no=order_no)
        if payment.state is not State.APPROVED or order.payment_id != payment.id:
            return await refuse(context, request, "order_confirmation", "12", order_no=order_no)
        entry = await _entry(context, request, "order_confirmation", payment)
        if order.status != PAID:
            # Confirmed before, or signed for, which implies it.
            outcome = await _commit(context, entry, order, order.status, ())
        else:
            notice = order_event(
                context, "order.payment_confirmed", payment, entry, order_status=CONFIRMED
            )
            outcome = await _commit(context, entry, order, CONFIRMED, (notice,))
        if outcome is not None:
            return outcome
    return Answer("96")


async def receipt_confirmation(context: Context, request: Request) -> Outcome:
    """The customer has signed for the delivery.

    Raises:
        RemoteFormatError: ON or OR is missing.
    """
    order_no, signed_by = request.need_text("ON"), request.need_text("OR")
    kind = "receipt_confirmation"
    for _ in range(TRIES_MAX):
        order = await context.book.order(request.terminal.settings.merchant_id, order_no)
        if order is None:
            return await refuse(context, request, kind, "25", order_no=order_no)
        payment = await context.book.entry(order.payment_id) if order.payment_id else None
        if request.message.get(61):
            named = await _payment(context, request, order_no)
            if named is None:
                return await refuse(context, request, kind, "25", order_no=order_no)
            if payment is None or named.id != payment.id:
                return await refuse(context, request, kind, "12", order_no=order_no)
        entry = await _entry(context, request, kind, payment)
        if order.status == SIGNED_FOR:
            outcome = await _commit(context, entry, order, SIGNED_FOR, ())
        elif ("sign", order.status) not in NEXT or order.paying_id is not None:
            return await refuse(context, request, kind, "12", order_no=order_no)
        else:
            events = []
            if order.status == PAID:
                # A signature says that the payment stands, even if its confirmation was lost.
                events.append(
                    order_event(
                        context, "order.payment_confirmed", payment, entry, order_status=CONFIRMED
                    )
                )
            events.append(
                order_event(
                    context,
                    "order.signed_for",
                    payment,
                    entry,
                    order_status=SIGNED_FOR,
                    signed_by=signed_by,
                )
            )
            outcome = await _commit(context, entry, order, SIGNED_FOR, tuple(events))
        if outcome is not None:
            return outcome
    return Answer("96")


async def _payment(context: Context, request: Request, order_no: str) -> Entry | None:
    """The order payment of this terminal that DE61 names."""
    de61 = request.original()
    payment = await context.book.find_entry(
        request.terminal.terminal_id, de61.original_batch, de61.original_stan, Role.ORIGINAL
    )
    if payment is None or payment.kind != "order_payment" or payment.order_no != order_no:
        return None
    return payment


async def _entry(context: Context, request: Request, kind: str, payment: Entry | None) -> Entry:
    return await new_entry(
        context,
        request,
        kind,
        State.APPROVED,
        order_no=request.need_text("ON"),
        courier_id=request.text("OC") or (payment.courier_id if payment else ""),
        original_id=payment.id if payment else None,
        response_code="00",
    )


async def _commit(
    context: Context, entry: Entry, order: OrderRow, status: str, events: tuple[Event, ...]
) -> Outcome | None:
    """Store entry, order and notices together; None where the order changed meanwhile."""
    before = (order.status, order.paying_id, order.payment_id)
    after = (status, order.paying_id, order.payment_id)
    move = UpdateOrder(order.merchant_id, order.order_no, before, after)
    failed = await context.book.commit(
        InsertEntry(entry), move, *(QueueEvent(event) for event in events)
    )
    if failed:
        return Repeat() if failed.step == 0 else None
    if events:
        context.events_queued()
    return Answer("00", entry.reply)
