"""Order cancellation (MTI 0200, DE3 200000, type 75) and its confirmation (MTI 0220, type 76).

A card payment is voided at its bank, with the card that the switch has kept; cash goes back from
the courier's hand; where nothing was paid only the order changes. Payment and order are claimed
together with recording the cancellation, so that nothing else can happen to them meanwhile.
Source: terminal interface, part 5, rows 7 and 8; postings, "Void, reversal".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from acquirer.ledger.entries import (
    CardRecord,
    Entry,
    InsertEntry,
    OrderRow,
    PostReversed,
    QueueEvent,
    State,
    Step,
    UpdateEntry,
)
from acquirer.switch.context import Context
from acquirer.switch.journal import PART, move_order, new_entry, refuse, release_steps
from acquirer.switch.order_desk import courier_here, standing, standing_free
from acquirer.switch.order_events import order_event
from acquirer.switch.order_life import CANCELLED, NEXT, refusal_code
from acquirer.switch.request import Answer, Outcome, Repeat, Request
from acquirer.switch.transactions.order_confirmation import (
    TRIES_MAX,
    advice_entry,
    commit_advice,
)
from acquirer.switch.transactions.steps import bank_request, forward, settle

KIND: Literal["order_cancellation"] = "order_cancellation"
CONFIRMATION = "order_cancel_confirmation"


async def order_cancellation(context: Context, request: Request) -> Outcome:
    """Undo the payment that DE61 and DE37 name, and cancel its order.

    Raises:
        RemoteFormatError: ON, DE37 or DE61 is missing.
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    order_no = request.need_text("ON")
    courier_id = await courier_here(context, request)
    if not courier_id:
        return await refuse(context, request, KIND, "58", order_no=order_no)
    for _ in range(TRIES_MAX):
        found = await standing(context, request, order_no)
        order, payment = found.order, found.named
        if payment is None or order is None or request.message.need(37) != payment.rrn:
            return await refuse(context, request, KIND, "25", order_no=order_no)
        if code := _refusal(context, request, order, payment):
            return await refuse(context, request, KIND, code, order_no=order_no)
        if payment.card is None:
            outcome = await _give_back(context, request, order, payment, courier_id)
        else:
            outcome = await _void(context, request, order, payment, payment.card, courier_id)
        if outcome is not None:
            return outcome
    return Answer("96")


def _refusal(context: Context, request: Request, order: OrderRow, payment: Entry) -> str:
    """The code that refuses this cancellation, or the empty string."""
    if order.paying_id is not None:
        return "94"
    if payment.state is not State.APPROVED or order.payment_id != payment.id:
        return "12"
    if payment.kind == PART:
        # One order of several that a swipe has paid: the bank could only void all of them.
        return "12"
    if ("cancel", order.status) not in NEXT:
        return refusal_code("cancel", order.status)
    rules = context.order_types.rules_for(order.merchant_id, order.order_no)
    age_ms = request.now_ms - payment.created_at_ms
    if rules.cancel_within_ms is not None and age_ms > rules.cancel_within_ms:
        return "12"
    if request.message.get(4) and payment.amount_minor:
        if request.amount_minor > payment.amount_minor:
            return "61"
        if request.amount_minor < payment.amount_minor:
            return "13"
    # Claimed though nothing holds the order: an earlier cancellation is still being undone.
    unreachable = payment.card is not None and context.banks.zpk(payment.bank) is None
    return "91" if unreachable or payment.claimed_by is not None else ""


async def _void(
    context: Context,
    request: Request,
    order: OrderRow,
    payment: Entry,
    card: CardRecord,
    courier_id: str,
) -> Outcome | None:
    """Void at the bank; None where payment or order changed before anything left."""
    pan = context.vault.open(card)
    draft = await new_entry(
        context,
        request,
        KIND,
        State.SENT,
        pan=pan,
        bank=payment.bank,
        order_no=order.order_no,
        courier_id=courier_id,
        original_id=payment.id,
        amount_minor=payment.amount_minor,
    )
    entry = replace(draft, currency_code=payment.currency_code)
    claim = UpdateEntry(
        payment.id, (State.APPROVED,), check_claim=True, set_claim=True, claimed_by=entry.id
    )
    hold = move_order(order, (order.status, entry.id, payment.id))
    if failed := await context.book.commit(InsertEntry(entry), claim, hold):
        return Repeat() if failed.step == 0 else None

    outcome = await forward(
        context, request, entry, bank_request(context, request, entry, KIND, pan, original=payment)
    )

    held = replace(order, paying_id=entry.id)
    voided = UpdateEntry(
        payment.id,
        (State.APPROVED,),
        state=State.VOIDED,
        check_claim=True,
        expected_claim=entry.id,
        set_claim=True,
        claimed_by=None,
    )
    answer = await settle(
        context,
        entry,
        outcome,
        approved=(voided, *_cancelled(context, held, payment, entry)),
        undone=release_steps(entry, held),
    )
    context.events_queued()
    return answer


async def _give_back(
    context: Context, request: Request, order: OrderRow, payment: Entry, courier_id: str
) -> Outcome | None:
    """Cash, or nothing, goes back at once; None where payment or order changed meanwhile."""
    draft = await new_entry(
        context,
        request,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=courier_id,
        original_id=payment.id,
        amount_minor=payment.amount_minor,
        response_code="00",
    )
    entry = replace(draft, currency_code=payment.currency_code)
    voided = UpdateEntry(payment.id, (State.APPROVED,), state=State.VOIDED, check_claim=True)
    steps = _cancelled(context, order, payment, entry)
    if failed := await context.book.commit(InsertEntry(entry), voided, *steps):
        return Repeat() if failed.step == 0 else None
    context.events_queued()
    return Answer("00", entry.reply)


def _cancelled(context: Context, order: OrderRow, payment: Entry, entry: Entry) -> tuple[Step, ...]:
    """The books, the order and the merchant's notice of a cancellation that took effect."""
    notice = order_event(context, "order.cancelled", order, payment, entry, order_status=CANCELLED)
    return (
        PostReversed(payment.id, entry.id, entry.business_date),
        move_order(order, (CANCELLED, None, payment.id)),
        QueueEvent(notice),
    )


async def cancel_confirmation(context: Context, request: Request) -> Outcome:
    """The terminal has printed the slip: the cancellation stands, and the payment is forgotten.

    Raises:
        RemoteFormatError: ON or DE61 is missing.
        BookBusy: the order is held for too long; nothing was stored.
    """
    order_no = request.need_text("ON")
    for _ in range(TRIES_MAX):
        found = await standing_free(context, request, order_no)
        order, payment = found.order, found.named
        if payment is None or order is None:
            return await refuse(context, request, CONFIRMATION, "25", order_no=order_no)
        about = await context.book.entries_of_original(payment.id)
        entry = await advice_entry(context, request, CONFIRMATION, payment)
        if any(e.kind == CONFIRMATION and e.state is State.APPROVED for e in about):
            outcome = await commit_advice(context, entry, order, order.status, ())
        elif ("confirm_cancel", order.status) in NEXT and order.payment_id == payment.id:
            notice = order_event(
                context,
                "order.cancel_confirmed",
                order,
                payment,
                entry,
                order_status=CANCELLED,
            )
            outcome = await commit_advice(context, entry, order, CANCELLED, (notice,), payment_id=0)
        else:
            return await refuse(context, request, CONFIRMATION, "12", order_no=order_no)
        if outcome is not None:
            return outcome
    return Answer("96")
