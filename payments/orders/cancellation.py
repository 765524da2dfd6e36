"""Order cancellation; ``cancel_confirmation.py`` has its confirmation.

A card payment is voided at its bank, with the card that the switch has kept; where a void cannot
be, it is refunded. Cash goes back from the courier's hand; where nothing was paid only the order
changes. Payment and order are claimed together with recording the cancellation, so that nothing
else can happen to them meanwhile.
Source: docs/interfaces/terminal.md, part 5, row 7; docs/interfaces/postings.md, "Void,
reversal".
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.transfer_steps import LimitBalance, PostReversed
from acquirer.ledger.errors import BookBusy, BookUncertain
from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import twelve_digits
from acquirer.ledger.journal.steps import (
    Failed,
    InsertEntry,
    QueueEvent,
    Step,
    UpdateEntry,
)
from acquirer.ledger.owed.advices import LimitRefunded
from acquirer.payments.kernel.commands import (
    APPROVED,
    Answer,
    Command,
    Named,
    Origin,
    Outcome,
    Repeat,
)
from acquirer.payments.kernel.commits import forward, outcome_step, settle, undo_request
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.payments.kernel.holds import count_in, move_order
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.undo import release_steps
from acquirer.payments.orders.confirmation import TRIES_MAX
from acquirer.payments.orders.desk import courier_here, standing
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import CANCELLED, NEXT, SIGNED_FOR, refusal_code
from acquirer.payments.orders.refunds import refund_steps, returned_fee
from acquirer.routing.outcomes import BankOutcome, Replied

log = structlog.get_logger("acquirer.orders")

KIND = Kind.ORDER_CANCELLATION
# The bank will not void this payment, for no fault of the void's: cleared already, or unknown where
# voids are looked up. Any other refusal leaves the order as paid as it was.
NOT_VOIDED = frozenset({"12", "21", "25", "40", "57"})
OTHER_REASON = "06"


class OrderCancellationRequested(Command, frozen=True):
    """An order's payment is to be undone; the origin may name the courier.

    Attributes:
        payment: which.
        rrn: of it, or of the swipe that it is a share of, as the slip says it.
        condition_code: 2 digits, or empty.
    """

    order_no: str
    payment: Named
    rrn: str
    condition_code: str = ""


async def order_cancellation(ports: Ports, command: OrderCancellationRequested) -> Outcome:
    """Undo a payment, and cancel its order.

    Raises:
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin, order_no = command.origin, command.order_no
    courier_id = await courier_here(ports, origin)
    if not courier_id:
        return await refuse(
            ports, origin, KIND, ResponseCode.NOT_PERMITTED_TO_TERMINAL, order_no=order_no
        )
    for _ in range(TRIES_MAX):
        found = await standing(ports, origin, order_no, command.payment)
        order, payment = found.order, found.named
        if payment is None or order is None:
            return await refuse(ports, origin, KIND, ResponseCode.NO_ORIGINAL, order_no=order_no)
        swiped = await _swiped(ports, payment)
        if command.rrn not in (payment.rrn, swiped.rrn):
            return await refuse(ports, origin, KIND, ResponseCode.NO_ORIGINAL, order_no=order_no)
        voidable = _voidable(ports, origin, payment)
        code = _refusal(ports, origin, order, payment, voidable=voidable)
        if code := code or _out_of_reach(ports, swiped):
            return await refuse(ports, origin, KIND, code, order_no=order_no)
        whole = await ports.book.order(order.merchant_id, order.part_of) if order.part_of else None
        if whole is not None and whole.status == SIGNED_FOR:
            return await refuse(
                ports, origin, KIND, ResponseCode.INVALID_TRANSACTION, order_no=order_no
            )
        # So that nobody signs for the order meanwhile.
        count = count_in(whole)
        if swiped.card is None:
            outcome = await _give_back(ports, command, order, payment, courier_id, count)
        elif voidable:
            outcome = await _void(ports, command, order, payment, swiped.card, courier_id, count)
        else:
            outcome = await _refund(ports, command, order, payment, swiped, courier_id, count)
        if outcome is not None:
            return outcome
    raise BookBusy("the order kept changing while it was to be cancelled")


async def _swiped(ports: Ports, payment: Entry) -> Entry:
    """What the bank has authorised: the payment, or that of several orders which it is part of."""
    if payment.kind is not Kind.ORDER_SHARE or payment.original_id is None:
        return payment
    return await ports.book.entry(payment.original_id) or payment


def _out_of_reach(ports: Ports, swiped: Entry) -> str:
    """The code where nothing could be said to a bank about this payment, or the empty string."""
    if swiped.card is None:
        return ""
    if swiped.bank not in ports.bank_settings:
        return ResponseCode.UNAVAILABLE
    try:
        ports.vault.open(swiped.card)
    except CardUnreadable as error:
        log.error("card_unreadable", rrn=swiped.rrn, reason=str(error))
        return ResponseCode.SECURITY_FAILED
    return ""


def _voidable(ports: Ports, origin: Origin, payment: Entry) -> bool:
    """Whether the bank may void it: all of one authorisation, of a day that is not closed."""
    today = ports.calendar.stamp(origin.now_ms).business_date
    return payment.kind is not Kind.ORDER_SHARE and payment.business_date >= today


def _refusal(
    ports: Ports, origin: Origin, order: OrderRow, payment: Entry, *, voidable: bool
) -> str:
    """The code that refuses this cancellation, or the empty string."""
    if order.paying_id is not None:
        return ResponseCode.DUPLICATE
    if payment.state is not State.APPROVED or order.payment_id != payment.id:
        return ResponseCode.INVALID_TRANSACTION
    if ("cancel", order.status) not in NEXT:
        return refusal_code("cancel", order.status)
    rules = origin.business.order_types.rules_for(order.merchant_id, order.order_no)
    age_ms = ports.clock.age_ms(payment.created_at_ms)
    if rules.cancel_within_ms is not None and age_ms > rules.cancel_within_ms:
        return ResponseCode.INVALID_TRANSACTION
    named_minor = origin.amount_minor
    if named_minor is not None and payment.amount_minor:
        if named_minor > payment.amount_minor:
            return ResponseCode.OVER_AMOUNT_LIMIT
        if named_minor < payment.amount_minor:
            return ResponseCode.INVALID_AMOUNT
    # Claimed though nothing holds the order: an earlier cancellation is still being undone.
    by_void = voidable and payment.card is not None
    unreachable = by_void and ports.banks.zpk(payment.bank) is None
    return ResponseCode.UNAVAILABLE if unreachable or payment.claimed_by is not None else ""


async def _void(
    ports: Ports,
    command: OrderCancellationRequested,
    order: OrderRow,
    payment: Entry,
    card: CardRecord,
    courier_id: str,
    count: tuple[Step, ...],
) -> Outcome | None:
    """Void at the bank; None where payment or order changed before anything left."""
    origin, pan = command.origin, ports.vault.open(card)
    draft = await new_entry(
        ports,
        origin,
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
    limit = LimitRefunded(payment.id, 0)
    if failed := await ports.book.commit(InsertEntry(entry), claim, hold, limit, *count):
        return await _not_stored(ports, command, failed, limit)

    message = undo_request(ports, origin, entry, pan, payment, command.condition_code)
    outcome = await forward(ports, origin, entry, message)

    held = replace(order, paying_id=entry.id)
    if refused_with := _not_voided(outcome):
        answer = await _refund_instead(ports, origin, held, payment, entry, refused_with)
        ports.saf_queued()
    else:
        answer = await settle(
            ports,
            origin,
            entry,
            outcome,
            approved=(
                UpdateEntry.release(payment.id, entry.id, State.VOIDED),
                PostReversed(payment.id, entry.id, entry.business_date),
                *_cancelled(ports, held, payment, entry),
            ),
            undone=release_steps(entry, held),
        )
    ports.events_queued()
    return answer


async def _refund_instead(
    ports: Ports, origin: Origin, order: OrderRow, payment: Entry, entry: Entry, refused_with: str
) -> Outcome:
    """Commit 2 of a cancellation whose void the bank has refused.

    Raises:
        BookUncertain: what the merchant is owed kept changing; recovery undoes the cancellation.
    """
    release = UpdateEntry.release(payment.id, entry.id, State.REFUNDED)
    end = outcome_step(entry, State.APPROVED, APPROVED, entry.reply)
    for _ in range(TRIES_MAX):
        refund = await _refunded(ports, origin, order, payment, payment, entry, refused_with)
        failed = await ports.book.commit(end, release, *refund)
        if failed is None:
            return Answer(APPROVED, entry.reply)
        if not isinstance(failed.step, LimitBalance):
            return Answer(ResponseCode.DUPLICATE)
    raise BookUncertain("what the merchant is owed kept changing")


def _not_voided(outcome: BankOutcome) -> str:
    """The code with which the bank has said for good that it does not void; empty otherwise."""
    code = outcome.response_code if isinstance(outcome, Replied) else ""
    return code if code in NOT_VOIDED else ""


async def _refund(
    ports: Ports,
    command: OrderCancellationRequested,
    order: OrderRow,
    payment: Entry,
    swiped: Entry,
    courier_id: str,
    count: tuple[Step, ...],
) -> Outcome | None:
    """The card gets the money back by an advice; None where payment or order changed meanwhile."""
    entry = await _entry(ports, command.origin, order, payment, courier_id)
    refunded = UpdateEntry.unclaimed(payment.id, State.REFUNDED)
    stands = UpdateEntry.unclaimed(swiped.id)
    steps = await _refunded(ports, command.origin, order, payment, swiped, entry, OTHER_REASON)
    held: tuple[Step, ...] = (stands, refunded)
    limit = None
    if payment.id == swiped.id:
        held, limit = (refunded,), LimitRefunded(payment.id, payment.amount_minor)
    unit = (InsertEntry(entry), *held, *steps, *count, *((limit,) if limit else ()))
    if failed := await ports.book.commit(*unit):
        return await _not_stored(ports, command, failed, limit)
    ports.saf_queued()
    ports.events_queued()
    return Answer(APPROVED, entry.reply)


async def _not_stored(
    ports: Ports,
    command: OrderCancellationRequested,
    failed: Failed,
    limit: LimitRefunded | None,
) -> Outcome | None:
    """The answer where commit 1 did not hold; None where payment or order changed.

    Args:
        limit: the step under which no part of the payment was refunded before.
    """
    if limit is not None and failed.step == limit:
        code = ResponseCode.INVALID_TRANSACTION
        return await refuse(ports, command.origin, KIND, code, order_no=command.order_no)
    return Repeat() if failed.is_taken else None


async def _refunded(
    ports: Ports,
    origin: Origin,
    order: OrderRow,
    payment: Entry,
    swiped: Entry,
    entry: Entry,
    reason: str,
) -> tuple[Step, ...]:
    """The refund, the order and the merchant's notice of a cancellation without a void."""
    share = payment if payment.kind is Kind.ORDER_SHARE else None
    fee_minor = await returned_fee(ports, origin.merchant, swiped, share)
    refund = await refund_steps(ports, entry, swiped, payment.amount_minor, fee_minor, reason)
    return (*refund, *_cancelled(ports, order, payment, entry))


async def _give_back(
    ports: Ports,
    command: OrderCancellationRequested,
    order: OrderRow,
    payment: Entry,
    courier_id: str,
    count: tuple[Step, ...],
) -> Outcome | None:
    """Cash, or nothing, goes back at once; None where payment or order changed meanwhile."""
    entry = await _entry(ports, command.origin, order, payment, courier_id)
    voided = UpdateEntry.unclaimed(payment.id, State.VOIDED)
    back = PostReversed(payment.id, entry.id, entry.business_date)
    steps = _cancelled(ports, order, payment, entry)
    if failed := await ports.book.commit(InsertEntry(entry), voided, back, *steps, *count):
        return Repeat() if failed.is_taken else None
    ports.events_queued()
    return Answer(APPROVED, entry.reply)


async def _entry(
    ports: Ports, origin: Origin, order: OrderRow, payment: Entry, courier_id: str
) -> Entry:
    """The row of a cancellation that needs no word of a bank.

    Of one order of several its reply says what goes back: the terminal knows the sum only.
    """
    is_share = payment.kind is Kind.ORDER_SHARE
    said = {"amount": twelve_digits(payment.amount_minor)} if is_share else None
    draft = await new_entry(
        ports,
        origin,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=courier_id,
        original_id=payment.id,
        amount_minor=payment.amount_minor,
        response_code=APPROVED,
        said=said,
    )
    return replace(draft, currency_code=payment.currency_code)


def _cancelled(ports: Ports, order: OrderRow, payment: Entry, entry: Entry) -> tuple[Step, ...]:
    """The order and the merchant's notice of a cancellation that took effect."""
    notice = order_event(ports, "order.cancelled", order, payment, entry, order_status=CANCELLED)
    return (move_order(order, (CANCELLED, None, payment.id)), QueueEvent(notice))


async def cancellation_reversed(
    ports: Ports, cancellation: Entry, reversal: Entry
) -> tuple[Step, ...] | str:
    """A cancellation stands: the merchant has been told. A mistake is paid as a new order."""
    return ResponseCode.INVALID_TRANSACTION
