"""Order cancellation (MTI 0200, DE3 200000, type 75) and its confirmation (MTI 0220, type 76).

A card payment is voided at its bank, with the card that the switch has kept; where a void cannot
be, it is refunded. Cash goes back from the courier's hand; where nothing was paid only the order
changes. Payment and order are claimed together with recording the cancellation, so that nothing
else can happen to them meanwhile.
Source: docs/interfaces/terminal.md, part 5, rows 7 and 8; docs/interfaces/postings.md, "Void,
reversal".
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from acquirer.ledger.accounts.transfer_steps import LimitBalance, PostReversed
from acquirer.ledger.errors import BookBusy, BookUncertain
from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    InsertEntry,
    OrderRow,
    QueueEvent,
    State,
    Step,
    UpdateEntry,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commits import bank_request, forward, outcome_step, settle
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import (
    count_in,
    move_order,
    new_entry,
    refuse,
    release_steps,
)
from acquirer.payments.orders.confirmation import (
    TRIES_MAX,
    advice_entry,
    commit_advice,
)
from acquirer.payments.orders.desk import courier_here, standing, standing_free
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import CANCELLED, NEXT, SIGNED_FOR, refusal_code
from acquirer.payments.orders.refunds import refund_steps, returned_fee
from acquirer.routing.outcomes import BankOutcome, Replied
from acquirer.switch.terminals.request import Answer, Outcome, Repeat, Request

log = structlog.get_logger("acquirer.orders")

KIND = Kind.ORDER_CANCELLATION
CONFIRMATION = Kind.ORDER_CANCEL_CONFIRMATION
# The bank will not void this payment, for no fault of the void's: cleared already, or unknown where
# voids are looked up. Any other refusal leaves the order as paid as it was.
NOT_VOIDED = frozenset({"12", "21", "25", "40", "57"})
OTHER_REASON = "06"


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
        if payment is None or order is None:
            return await refuse(context, request, KIND, "25", order_no=order_no)
        swiped = await _swiped(context, payment)
        if request.message.need(37) not in (payment.rrn, swiped.rrn):
            return await refuse(context, request, KIND, "25", order_no=order_no)
        voidable = _voidable(context, request, payment)
        code = _refusal(context, request, order, payment, voidable=voidable)
        if code := code or _out_of_reach(context, swiped):
            return await refuse(context, request, KIND, code, order_no=order_no)
        whole = (
            await context.book.order(order.merchant_id, order.part_of) if order.part_of else None
        )
        if whole is not None and whole.status == SIGNED_FOR:
            return await refuse(context, request, KIND, "12", order_no=order_no)
        # So that nobody signs for the order meanwhile.
        count = count_in(whole)
        if swiped.card is None:
            outcome = await _give_back(context, request, order, payment, courier_id, count)
        elif voidable:
            outcome = await _void(context, request, order, payment, swiped.card, courier_id, count)
        else:
            outcome = await _refund(context, request, order, payment, swiped, courier_id, count)
        if outcome is not None:
            return outcome
    raise BookBusy("the order kept changing while it was to be cancelled")


async def _swiped(context: Context, payment: Entry) -> Entry:
    """What the bank has authorised: the payment, or that of several orders which it is part of."""
    if payment.kind is not Kind.ORDER_SHARE or payment.original_id is None:
        return payment
    return await context.book.entry(payment.original_id) or payment


def _out_of_reach(context: Context, swiped: Entry) -> str:
    """The code where nothing could be said to a bank about this payment, or the empty string."""
    if swiped.card is None:
        return ""
    if swiped.bank not in context.bank_settings:
        return "91"
    try:
        context.vault.open(swiped.card)
    except CardUnreadable as error:
        log.error("card_unreadable", rrn=swiped.rrn, reason=str(error))
        return "A7"
    return ""


def _voidable(context: Context, request: Request, payment: Entry) -> bool:
    """Whether the bank may void it: all of one authorisation, of a day that is not closed."""
    today = context.calendar.stamp(request.now_ms).business_date
    return payment.kind is not Kind.ORDER_SHARE and payment.business_date >= today


def _refusal(
    context: Context, request: Request, order: OrderRow, payment: Entry, *, voidable: bool
) -> str:
    """The code that refuses this cancellation, or the empty string."""
    if order.paying_id is not None:
        return "94"
    if payment.state is not State.APPROVED or order.payment_id != payment.id:
        return "12"
    if ("cancel", order.status) not in NEXT:
        return refusal_code("cancel", order.status)
    rules = context.order_types.rules_for(order.merchant_id, order.order_no)
    age_ms = context.clock.age_ms(payment.created_at_ms)
    if rules.cancel_within_ms is not None and age_ms > rules.cancel_within_ms:
        return "12"
    if request.message.get(4) and payment.amount_minor:
        if request.amount_minor > payment.amount_minor:
            return "61"
        if request.amount_minor < payment.amount_minor:
            return "13"
    # Claimed though nothing holds the order: an earlier cancellation is still being undone.
    by_void = voidable and payment.card is not None
    unreachable = by_void and context.banks.zpk(payment.bank) is None
    return "91" if unreachable or payment.claimed_by is not None else ""


async def _void(
    context: Context,
    request: Request,
    order: OrderRow,
    payment: Entry,
    card: CardRecord,
    courier_id: str,
    count: tuple[Step, ...],
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
    claim = UpdateEntry.claim(payment.id, entry.id)
    hold = move_order(order, (order.status, entry.id, payment.id))
    if failed := await context.book.commit(InsertEntry(entry), claim, hold, *count):
        return Repeat() if failed.is_taken else None

    outcome = await forward(
        context, request, entry, bank_request(context, request, entry, pan, original=payment)
    )

    held = replace(order, paying_id=entry.id)
    if refused_with := _not_voided(outcome):
        answer = await _refund_instead(context, held, payment, entry, refused_with)
        context.saf_queued()
    else:
        answer = await settle(
            context,
            entry,
            outcome,
            approved=(
                UpdateEntry.release(payment.id, entry.id, State.VOIDED),
                PostReversed(payment.id, entry.id, entry.business_date),
                *_cancelled(context, held, payment, entry),
            ),
            undone=release_steps(entry, held),
        )
    context.events_queued()
    return answer


async def _refund_instead(
    context: Context, order: OrderRow, payment: Entry, entry: Entry, refused_with: str
) -> Outcome:
    """Commit 2 of a cancellation whose void the bank has refused.

    Raises:
        BookUncertain: what the merchant is owed kept changing; recovery undoes the cancellation.
    """
    release = UpdateEntry.release(payment.id, entry.id, State.REFUNDED)
    end = outcome_step(entry, State.APPROVED, "00", entry.reply)
    for _ in range(TRIES_MAX):
        refund = await _refunded(context, order, payment, payment, entry, refused_with)
        failed = await context.book.commit(end, release, *refund)
        if failed is None:
            return Answer("00", entry.reply)
        if not isinstance(failed.step, LimitBalance):
            return Answer("94")
    raise BookUncertain("what the merchant is owed kept changing")


def _not_voided(outcome: BankOutcome) -> str:
    """The code with which the bank has said for good that it does not void; empty otherwise."""
    code = outcome.message.get(39) if isinstance(outcome, Replied) else ""
    return code if code in NOT_VOIDED else ""


async def _refund(
    context: Context,
    request: Request,
    order: OrderRow,
    payment: Entry,
    swiped: Entry,
    courier_id: str,
    count: tuple[Step, ...],
) -> Outcome | None:
    """The card gets the money back by an advice; None where payment or order changed meanwhile."""
    entry = await _entry(context, request, order, payment, courier_id)
    refunded = UpdateEntry.unclaimed(payment.id, State.REFUNDED)
    stands = UpdateEntry.unclaimed(swiped.id)
    steps = await _refunded(context, order, payment, swiped, entry, OTHER_REASON)
    held = (stands, refunded) if payment.id != swiped.id else (refunded,)
    insert = InsertEntry(entry)
    if failed := await context.book.commit(insert, *held, *steps, *count):
        return Repeat() if failed.step is insert else None
    context.saf_queued()
    context.events_queued()
    return Answer("00", entry.reply)


async def _refunded(
    context: Context,
    order: OrderRow,
    payment: Entry,
    swiped: Entry,
    entry: Entry,
    reason: str,
) -> tuple[Step, ...]:
    """The refund, the order and the merchant's notice of a cancellation without a void."""
    share = payment if payment.kind is Kind.ORDER_SHARE else None
    fee_minor = await returned_fee(context, swiped, share)
    refund = await refund_steps(context, entry, swiped, payment.amount_minor, fee_minor, reason)
    return (*refund, *_cancelled(context, order, payment, entry))


async def _give_back(
    context: Context,
    request: Request,
    order: OrderRow,
    payment: Entry,
    courier_id: str,
    count: tuple[Step, ...],
) -> Outcome | None:
    """Cash, or nothing, goes back at once; None where payment or order changed meanwhile."""
    entry = await _entry(context, request, order, payment, courier_id)
    voided = UpdateEntry.unclaimed(payment.id, State.VOIDED)
    back = PostReversed(payment.id, entry.id, entry.business_date)
    steps = _cancelled(context, order, payment, entry)
    if failed := await context.book.commit(InsertEntry(entry), voided, back, *steps, *count):
        return Repeat() if failed.is_taken else None
    context.events_queued()
    return Answer("00", entry.reply)


async def _entry(
    context: Context, request: Request, order: OrderRow, payment: Entry, courier_id: str
) -> Entry:
    """The row of a cancellation that needs no word of a bank.

    Of one order of several its reply says in DE4 what goes back: the terminal knows the sum only.
    """
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
        reply={4: f"{payment.amount_minor:012d}"} if payment.kind is Kind.ORDER_SHARE else None,
    )
    return replace(draft, currency_code=payment.currency_code)


def _cancelled(context: Context, order: OrderRow, payment: Entry, entry: Entry) -> tuple[Step, ...]:
    """The order and the merchant's notice of a cancellation that took effect."""
    notice = order_event(context, "order.cancelled", order, payment, entry, order_status=CANCELLED)
    return (move_order(order, (CANCELLED, None, payment.id)), QueueEvent(notice))


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
