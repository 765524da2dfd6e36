"""Refund: a card gets back what it has paid, or a part of it.

The payment is claimed together with recording the refund, so that no void and no second refund can
race it; what all its refunds come to, and what the merchant may owe us then, is decided in that
commit, which holds the money. The bank is asked at once, and its refusal changes nothing. Where it
does not answer, or cannot be reached, the refund stands, and the bank is told until it takes it: a
refund is an advice. What hangs on the payment, such as its order, its kind's own rule says
(``Ports.refunds``).
Source: docs/interfaces/terminal.md, part 4 ("Refund");
docs/interfaces/postings.md, "Refund".
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import trio

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import MDR_INCOME
from acquirer.ledger.accounts.transfer_steps import (
    PostPending,
    PostPendingResolve,
    Resolution,
)
from acquirer.ledger.errors import BookBusy, BookUncertain
from acquirer.ledger.journal.details import Refund
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.owed.advices import LimitRefunded, LimitTipped
from acquirer.payments.kernel.bank_codes import TO_BE_SENT_AGAIN, reading_of
from acquirer.payments.kernel.bank_reply import brought_by
from acquirer.payments.kernel.calendar import DAY_MS
from acquirer.payments.kernel.commands import Answer, Command, Named, Outcome, Repeat
from acquirer.payments.kernel.commits import conclude, forward, outcome_step, undo_request
from acquirer.payments.kernel.giving_back import none_refunded, owe_refund, taken
from acquirer.payments.kernel.holds import NO_ANSWER
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import stored_pan
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.references import Reference, find_original
from acquirer.payments.kernel.tips import amount_with, tip_of
from acquirer.routing.banks.choice import Route, RouteFacts, choose
from acquirer.routing.outcomes import BankOutcome, NotSent, Replied

KIND = Kind.REFUND
TRIES_MAX = 20
CLAIMED_WAIT_S = 0.25
# Of the payments that may be given back to a card in this way.
REFUNDABLE = frozenset(
    {
        Kind.SALE,
        Kind.OFFLINE_SALE,
        Kind.INSTALMENT,
        Kind.COMPLETION,
        Kind.COMPLETION_ADVICE,
        Kind.ORDER_PAYMENT,
    }
)


class RefundRequested(Command, frozen=True):
    """A card is to get the origin's amount back.

    Attributes:
        pan: of the card; None where the payment was by a code.
        payment: as this terminal has named it; None where it is named by its RRN, or not at all.
        rrn: of the payment, of any terminal of the merchant; empty where it is not named by it.
        date: of the payment, MMDD, or empty.
        approval_code: of the payment, or empty.
        condition_code: 2 digits, or empty.
    """

    pan: Pan | None
    payment: Named | None = None
    rrn: str = ""
    date: str = ""
    approval_code: str = ""
    condition_code: str = ""

    @property
    def reference(self) -> Reference:
        """What says which payment it is."""
        return Reference(self.payment, self.rrn, self.date, self.approval_code)


async def refund(ports: Ports, command: RefundRequested) -> Outcome:
    """Give a payment back at its bank, and take it from the merchant.

    Raises:
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin = command.origin
    if not (origin.merchant.refund and origin.may_key(command.condition_code, is_keyed=False)):
        return await _refuse(ports, command, ResponseCode.NOT_PERMITTED_TO_TERMINAL)
    for _ in range(TRIES_MAX):
        payment = await find_original(ports, origin, command.reference)
        tip = await tip_of(ports, payment) if payment else None
        if payment is not None and tip is not None:
            payment = replace(payment, amount_minor=amount_with(payment, tip))
        # One that is suspended gives back only what it names.
        is_blind = origin.merchant.blind_refund and not origin.merchant.suspended
        if payment is None and is_blind and command.pan is not None:
            outcome = await _give_back_blind(ports, command, command.pan)
        elif payment is None:
            return await _refuse(ports, command, ResponseCode.NO_ORIGINAL)
        elif code := _refusal(ports, command, payment):
            return await _refuse(ports, command, code)
        elif await ports.book.advice_is_owed(payment.id) or (
            tip is not None and await ports.book.advice_is_owed(tip.id)
        ):
            # Its bank does not know of it yet, and would refuse the refund for good.
            return await _refuse(ports, command, ResponseCode.INVALID_TRANSACTION)
        elif payment.claimed_by is not None:
            await trio.sleep(CLAIMED_WAIT_S)
            continue
        else:
            outcome = await _give_back(ports, command, payment, tip)
        if outcome is not None:
            return outcome
    raise BookBusy("the payment kept changing while it was to be refunded")


async def _refuse(ports: Ports, command: RefundRequested, code: str) -> Outcome:
    return await refuse(ports, command.origin, KIND, code, pan=command.pan)


def _refusal(ports: Ports, command: RefundRequested, payment: Entry) -> str:
    """The code that refuses this refund, or the empty string."""
    origin = command.origin
    if not command.reference.fits(payment):
        return ResponseCode.NO_ORIGINAL
    if not (payment.card or payment.bank):
        return ResponseCode.INVALID_TRANSACTION
    token = ports.vault.token(command.pan) if command.pan else None
    if token != (payment.card.pan_token if payment.card else None):
        return ResponseCode.INVALID_CARD
    is_made = payment.state in (State.APPROVED, State.REFUNDED)
    age_ms = ports.clock.age_ms(payment.created_at_ms)
    if not is_made or payment.kind not in REFUNDABLE:
        return ResponseCode.INVALID_TRANSACTION
    if age_ms > origin.merchant.refund_days * DAY_MS:
        return ResponseCode.INVALID_TRANSACTION
    if origin.currency_code not in ("", payment.currency_code) or not origin.named_minor:
        return ResponseCode.INVALID_AMOUNT
    if payment.state is State.REFUNDED:
        return ResponseCode.OVER_AMOUNT_LIMIT
    is_of_today = payment.business_date == ports.calendar.stamp(origin.now_ms).business_date
    is_part = origin.named_minor != payment.amount_minor
    if payment.kind is Kind.INSTALMENT and is_of_today and is_part:
        # Its bank has made no repayments of it yet, of which it could cancel some.
        return ResponseCode.AMOUNT_DIFFERS
    if origin.named_minor > payment.amount_minor:
        return ResponseCode.OVER_AMOUNT_LIMIT
    return "" if payment.bank in ports.bank_settings else ResponseCode.NO_ROUTE


async def _give_back(
    ports: Ports, command: RefundRequested, payment: Entry, tip: Entry | None
) -> Outcome | None:
    """Refund a payment; None where it, or the merchant's balance, changed meanwhile.

    Args:
        payment: its amount with the tip's.
    """
    pan = stored_pan(ports, payment)
    if pan is None and payment.card is not None:
        return await _refuse(ports, command, ResponseCode.SECURITY_FAILED)
    refunded_minor, fee_minor = await _so_far(ports, command, payment, tip)
    sum_minor = refunded_minor + command.origin.named_minor
    if sum_minor > payment.amount_minor:
        return await _refuse(ports, command, ResponseCode.OVER_AMOUNT_LIMIT)
    entry = await _entry(ports, command, pan, payment.bank, payment, fee_minor)
    # Its share of the fee, and whether it is the last, were decided on what was made before.
    held: tuple[Step, ...]
    held = (UpdateEntry.claim(payment.id, entry.id), LimitRefunded(payment.id, sum_minor))
    if payment.kind is Kind.SALE:
        held += (LimitTipped(payment.id, tip.amount_minor if tip else 0),)
    if rule := ports.refunds.get(payment.kind):
        further = await rule.begin(ports, payment, entry)
        if isinstance(further, str):
            return await _refuse(ports, command, further)
        held += further
    is_whole = sum_minor == payment.amount_minor
    return await _record_and_ask(ports, command, entry, pan, held, payment, is_whole=is_whole)


async def _give_back_blind(ports: Ports, command: RefundRequested, pan: Pan) -> Outcome | None:
    """A refund of a payment that nobody here knows, at the bank that the card leads to."""
    origin = command.origin
    own_currency = origin.merchant.currency_code
    if origin.currency_code not in ("", own_currency) or not origin.named_minor:
        return await _refuse(ports, command, ResponseCode.INVALID_AMOUNT)
    chosen = choose(RouteFacts(pan, KIND, origin.merchant_id), origin.business.routes)
    if not isinstance(chosen, Route):
        return await _refuse(ports, command, ResponseCode.NO_ROUTE)
    bank = chosen.first_up(ports.banks.is_up)
    entry = await _entry(ports, command, pan, bank, None, 0)
    return await _record_and_ask(ports, command, entry, pan, (), None, is_whole=False)


async def _entry(
    ports: Ports,
    command: RefundRequested,
    pan: Pan | None,
    bank: str,
    payment: Entry | None,
    fee_minor: int,
) -> Entry:
    return await new_entry(
        ports,
        command.origin,
        KIND,
        State.SENT,
        pan=pan,
        bank=bank,
        order_no=payment.order_no if payment else "",
        original_id=payment.id if payment else None,
        detail=Refund("", fee_minor),
    )


async def _record_and_ask(
    ports: Ports,
    command: RefundRequested,
    entry: Entry,
    pan: Pan | None,
    held: tuple[Step, ...],
    payment: Entry | None,
    *,
    is_whole: bool,
) -> Outcome | None:
    """Commit 1, the bank's word, commit 2; None where commit 1 finds something changed.

    Args:
        held: what keeps others from the payment meanwhile.
        is_whole: whether nothing of the payment is left then.
    """
    origin = command.origin
    fee_minor = entry.detail.fee_minor if isinstance(entry.detail, Refund) else 0
    limits, postings = await taken(ports, entry, fee_minor, origin.merchant.debt_limit_minor)
    insert = InsertEntry(entry)
    holds = PostPending(entry.id, entry.currency_code, entry.business_date, postings)
    failed = await ports.book.commit(insert, *held, *limits, holds)
    if failed is not None:
        if failed.step is insert:
            return Repeat()
        if failed.step in limits[1:]:
            return await _refuse(ports, command, ResponseCode.INSUFFICIENT_FUNDS)
        return None

    message = undo_request(ports, origin, entry, pan, payment, command.condition_code)
    outcome = await forward(ports, origin, entry, message)

    return await _settle(ports, payment, entry, outcome, is_whole=is_whole)


async def _so_far(
    ports: Ports, command: RefundRequested, payment: Entry, tip: Entry | None
) -> tuple[int, int]:
    """What was given back of a payment before, and what of its fee goes back with this refund.

    The shares of the fee of all refunds come to the fee, to the cent, once all is given back.
    """
    made = await _made(ports, payment.id)
    refunded_minor = sum(one.amount_minor for one in made)
    if command.origin.merchant.refund_fee == "keep":
        return refunded_minor, 0
    posted = await ports.book.postings_of_event(payment.id)
    if tip is not None:
        posted = [*posted, *await ports.book.postings_of_event(tip.id)]
    fee_minor = sum(one.amount_minor for one in posted if one.credit == MDR_INCOME)
    returned_minor = sum(one.detail.fee_minor for one in made if isinstance(one.detail, Refund))
    part_minor = refunded_minor + command.origin.named_minor
    due_minor = fee_minor * part_minor // payment.amount_minor
    return refunded_minor, max(due_minor - returned_minor, 0)


async def _settle(
    ports: Ports, payment: Entry | None, entry: Entry, outcome: BankOutcome, *, is_whole: bool
) -> Outcome:
    """Commit 2: the refund stands, or the bank has refused it; then the answer.

    Raises:
        BookUncertain: what hangs on the payment kept changing; recovery ends the refund.
    """
    code = outcome.response_code if isinstance(outcome, Replied) else ""
    reading = "in_doubt" if code in TO_BE_SENT_AGAIN else reading_of(code)
    if reading == "refused":
        further = await _following(ports, payment, entry, stands=False)
        given_up = (_resolved(entry, Resolution.VOID), *_released(entry, None), *further)
        return await conclude(ports, entry, State.DECLINED, code, entry.reply, given_up)
    owed: tuple[Step, ...] = ()
    if isinstance(outcome, Replied) and reading == "approved":
        approval_code, _ = brought_by(outcome)
        reply = msgspec.structs.replace(entry.reply, approval_code=approval_code)
        entry = replace(entry, reply=reply)
    else:
        left = 0 if isinstance(outcome, NotSent) else 1
        owed = (await owe_refund(ports, entry, NO_ANSWER, attempts=left),)
    for _ in range(TRIES_MAX):
        stands = await _stands(ports, payment, entry, is_whole=is_whole)
        failed = await ports.book.commit(*stands, *owed)
        if failed is None or not isinstance(failed.step, UpdateOrder):
            break
    else:
        raise BookUncertain("what hangs on the payment kept changing")
    if failed:
        return Answer(ResponseCode.DUPLICATE)
    if owed:
        ports.saf_queued()
    if entry.order_no:
        ports.events_queued()
    return Answer(ResponseCode.APPROVED, entry.reply)


async def _stands(
    ports: Ports, payment: Entry | None, entry: Entry, *, is_whole: bool
) -> tuple[Step, ...]:
    return (
        outcome_step(entry, State.APPROVED, ResponseCode.APPROVED, entry.reply),
        _resolved(entry, Resolution.POST),
        *_released(entry, State.REFUNDED if is_whole else None),
        *await _following(ports, payment, entry, stands=True),
    )


async def _following(
    ports: Ports, payment: Entry | None, entry: Entry, *, stands: bool
) -> tuple[Step, ...]:
    """What becomes of that which hangs on the payment."""
    rule = ports.refunds.get(payment.kind) if payment else None
    return await rule.end(ports, payment, entry, stands) if payment and rule else ()


def _released(entry: Entry, after: State | None) -> tuple[Step, ...]:
    """The claim on the payment ends; none on a blind refund."""
    if entry.original_id is None:
        return ()
    return (UpdateEntry.release(entry.original_id, entry.id, after),)


def _resolved(entry: Entry, how: Resolution) -> PostPendingResolve:
    return PostPendingResolve(entry.id, entry.id, entry.business_date, how)


async def refund_in_doubt(ports: Ports, entry: Entry, now_ms: int) -> tuple[Step, ...]:
    """How a refund ends whose process died: it stands, and the bank is told again."""
    owed = await owe_refund(ports, entry, NO_ANSWER, attempts=1)
    payment, is_whole = None, False
    if entry.original_id is not None:
        payment = await ports.book.entry(entry.original_id)
        made = await _made(ports, entry.original_id)
        refunded_minor = entry.amount_minor + sum(one.amount_minor for one in made)
        if payment is not None:
            whole_minor = amount_with(payment, await tip_of(ports, payment))
            is_whole = refunded_minor == whole_minor
    return (*await _stands(ports, payment, entry, is_whole=is_whole), owed)


async def _made(ports: Ports, payment_id: int) -> list[Entry]:
    """The refunds of a payment that stand."""
    about = await ports.book.entries_of_original(payment_id)
    return [one for one in about if one.kind is KIND and one.state is State.APPROVED]


async def sale_reversed(ports: Ports, sale: Entry, reversal: Entry) -> tuple[Step, ...] | str:
    """A sale that was given back in part, or has a tip, is not undone any more (12)."""
    if await tip_of(ports, sale) is not None:
        return ResponseCode.INVALID_TRANSACTION
    none_given_back = await none_refunded(ports, sale)
    if isinstance(none_given_back, str) or sale.kind is not Kind.SALE:
        return none_given_back
    return (*none_given_back, LimitTipped(sale.id, 0))
