"""Completion of a pre-authorisation, asked of the bank or told to it, and the completion's void.

What is taken of the amount held is posted, the rest released; above it, up to the merchant's
``completion_over_percent``, it is posted beside. The pre-authorisation is claimed together with
recording the completion, so that there is one at most, and neither a void nor its end by time
comes between.
Source: docs/interfaces/terminal.md, part 4 ("Completion");
docs/interfaces/postings.md, "Completion".
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.icc import kept
from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import completion as completion_postings
from acquirer.ledger.accounts.transfer_steps import (
    Post,
    PostPendingResolve,
    PostReversed,
    Resolution,
)
from acquirer.ledger.journal.entries import Entry, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import InsertEntry, Step, UpdateEntry
from acquirer.ledger.owed.advices import LimitRefunded
from acquirer.payments.cards.bank_void import void_at_bank
from acquirer.payments.cards.preauth import given_up_step, refusal_of, reopened_steps
from acquirer.payments.cards.refund import sale_reversed
from acquirer.payments.kernel.commands import (
    Answer,
    Command,
    Origin,
    Outcome,
    PresentedCard,
    Repeat,
)
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import ReadyCard, carried_by, ready_card, stored_pan
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.references import Reference, find_original, find_preauth
from acquirer.payments.kernel.stand_in import advice_step
from acquirer.payments.kernel.undo import release_steps

COMPLETIONS = frozenset({Kind.COMPLETION, Kind.COMPLETION_ADVICE})


class CompletionRequested(Command, frozen=True):
    """The origin's amount is to be taken of a pre-authorisation.

    Attributes:
        card: None where it is not there: then the one that was kept.
    """

    reference: Reference
    card: PresentedCard | None = None
    condition_code: str = ""


class CompletionTold(CompletionRequested, frozen=True):
    """The origin's amount has been taken of a pre-authorisation."""


class CompletionVoidRequested(Command, frozen=True):
    """A completion is to be undone.

    Attributes:
        pan: of the card, where it is there; it must be the completion's.
        condition_code: 2 digits, or empty.
    """

    reference: Reference
    pan: Pan | None = None
    condition_code: str = ""


async def completion(ports: Ports, command: CompletionRequested) -> Outcome:
    """Have a pre-authorisation completed at its bank, and post it.

    Raises:
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin, kind = command.origin, Kind.COMPLETION
    found = await _open_preauth(ports, command)
    if isinstance(found, str):
        return await _refuse(ports, command, kind, found)
    shown = _shown(ports, command, found)
    if shown is None:
        return await _refuse(ports, command, kind, ResponseCode.SECURITY_FAILED)
    card = await ready_card(ports, origin, shown, kind, bank=found.bank)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        ports, origin, kind, State.SENT, pan=shown.pan, bank=found.bank, original_id=found.id
    )
    claim = UpdateEntry.claim(found.id, entry.id)
    if failed := await ports.book.commit(InsertEntry(entry), claim):
        if failed.is_taken:
            return Repeat()
        return await _refuse(ports, command, kind, ResponseCode.INVALID_TRANSACTION)

    message = card_request(ports, origin, entry, card, original=found)
    outcome = await forward(ports, origin, entry, message)

    completed = UpdateEntry.release(found.id, entry.id, State.COMPLETED)
    return await settle(
        ports,
        origin,
        entry,
        outcome,
        approved=(completed, *_taken(origin, entry, found)),
        undone=release_steps(entry, None),
    )


async def completion_advice(ports: Ports, command: CompletionTold) -> Outcome:
    """Take a completion that has been made; its bank is told until it takes it.

    Raises:
        BookBusy, BookUnavailable: it is not taken.
    """
    origin, kind = command.origin, Kind.COMPLETION_ADVICE
    found = await _open_preauth(ports, command)
    if isinstance(found, str):
        return await _refuse(ports, command, kind, found)
    shown = _shown(ports, command, found)
    if shown is None:
        return await _refuse(ports, command, kind, ResponseCode.SECURITY_FAILED)
    bank = carried_by(ports, origin, kind, found.bank, shown)
    if isinstance(bank, ResponseCode):
        return await _refuse(ports, command, kind, bank)
    entry = await new_entry(
        ports, origin, kind, State.APPROVED, pan=shown.pan, bank=bank, original_id=found.id
    )
    entry = replace(
        entry,
        response_code=ResponseCode.APPROVED,
        approval_code=found.approval_code,
        reply=msgspec.structs.replace(entry.reply, approval_code=found.approval_code),
    )
    completed = UpdateEntry.unclaimed(found.id, State.COMPLETED)
    number, now_ms = await ports.numbers.take(), ports.clock.now_ms()
    icc = ports.vault.seal_icc(kept(shown.icc), entry.rrn)
    owed = advice_step(entry, number, now_ms, icc, BankMessage.COMPLETION)
    steps = (completed, *_taken(origin, entry, found), owed)
    if failed := await ports.book.commit(InsertEntry(entry), *steps):
        if failed.is_taken:
            return Repeat()
        return await _refuse(ports, command, kind, ResponseCode.INVALID_TRANSACTION)
    ports.saf_queued()
    return Answer(ResponseCode.APPROVED, entry.reply)


async def completion_void(ports: Ports, command: CompletionVoidRequested) -> Outcome:
    """Have a completion undone at its bank and in the books; its pre-authorisation is open again.

    Raises:
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin, kind = command.origin, Kind.COMPLETION_VOID
    if not origin.may_key(command.condition_code, is_keyed=False):
        return await refuse(ports, origin, kind, ResponseCode.NOT_PERMITTED_TO_TERMINAL)
    made = await find_original(ports, origin, command.reference)
    code = await _void_refusal(ports, command, made)
    if made is None or made.original_id is None or code:
        return await refuse(ports, origin, kind, code or ResponseCode.NO_ORIGINAL)
    held = await ports.book.entry(made.original_id)
    assert held is not None

    def given_back(entry: Entry) -> tuple[Step, ...]:
        back = PostReversed(made.id, entry.id, entry.business_date)
        return (*reopened_steps(held, State.COMPLETED, entry.business_date), back)

    # Not one that was refunded in part.
    none_refunded = LimitRefunded(made.id, 0)
    return await void_at_bank(
        ports, origin, kind, made, command.condition_code, given_back, (none_refunded,)
    )


async def _refuse(ports: Ports, command: CompletionRequested, kind: Kind, code: str) -> Outcome:
    pan = command.card.pan if command.card else None
    return await refuse(ports, command.origin, kind, code, pan=pan)


async def _open_preauth(ports: Ports, command: CompletionRequested) -> Entry | str:
    """The pre-authorisation that may be completed so, or the code that refuses it."""
    origin, pan = command.origin, command.card.pan if command.card else None
    if not origin.may_key(command.condition_code, is_keyed=False):
        return ResponseCode.NOT_PERMITTED_TO_TERMINAL
    found = await find_preauth(ports, origin, command.reference, pan)
    code = refusal_of(ports, command.reference, found, pan)
    if found is None or code:
        return code or ResponseCode.NO_ORIGINAL
    if origin.currency_code not in ("", found.currency_code) or not origin.named_minor:
        return ResponseCode.INVALID_AMOUNT
    most_minor = found.amount_minor * (100 + origin.merchant.completion_over_percent) // 100
    if origin.named_minor > most_minor:
        return ResponseCode.OVER_AMOUNT_LIMIT
    return found if found.bank in ports.bank_settings else ResponseCode.NO_ROUTE


def _shown(ports: Ports, command: CompletionRequested, preauth: Entry) -> PresentedCard | None:
    """The card that is presented, or else the one that was kept; None where that is unreadable."""
    if command.card is not None:
        return command.card
    pan = stored_pan(ports, preauth)
    return PresentedCard(pan, condition_code=command.condition_code) if pan else None


def _taken(origin: Origin, entry: Entry, preauth: Entry) -> tuple[Step, ...]:
    """What a completion posts."""
    taken_minor, postings = completion_postings(
        entry.amount_minor,
        preauth.amount_minor,
        origin.fee_rate,
        bank=entry.bank,
        merchant_id=entry.merchant_id,
    )
    date = entry.business_date
    return (
        PostPendingResolve(preauth.id, entry.id, date, Resolution.POST, (taken_minor,)),
        Post(entry.id, entry.currency_code, date, postings),
    )


async def _void_refusal(ports: Ports, command: CompletionVoidRequested, made: Entry | None) -> str:
    """The code that refuses this void, or the empty string."""
    if made is None or made.kind not in COMPLETIONS or made.card is None:
        return ResponseCode.NO_ORIGINAL
    if not command.reference.fits(made):
        return ResponseCode.NO_ORIGINAL
    if command.pan is not None and ports.vault.token(command.pan) != made.card.pan_token:
        return ResponseCode.INVALID_CARD
    is_held = made.state is not State.APPROVED or made.claimed_by is not None
    if is_held or command.origin.has_closed(made):
        return ResponseCode.INVALID_TRANSACTION
    if await ports.book.advice_is_owed(made.id):
        # Its bank does not know of it yet, and would refuse the void.
        return ResponseCode.INVALID_TRANSACTION
    named_minor = command.origin.named_minor
    if named_minor > made.amount_minor:
        return ResponseCode.OVER_AMOUNT_LIMIT
    return ResponseCode.INVALID_AMOUNT if named_minor < made.amount_minor else ""


async def completion_reversed(ports: Ports, made: Entry, reversal: Entry) -> tuple[Step, ...] | str:
    """Its pre-authorisation is open again, claimed until the bank has undone the completion."""
    assert made.original_id is not None
    given_back = await sale_reversed(ports, made, reversal)
    held = await ports.book.entry(made.original_id)
    if isinstance(given_back, str) or held is None:
        return ResponseCode.INVALID_TRANSACTION
    reopened = reopened_steps(held, State.COMPLETED, reversal.business_date, made.id)
    return (*reopened, *given_back)


async def completion_void_reversed(
    ports: Ports, void: Entry, reversal: Entry
) -> tuple[Step, ...] | str:
    """Its completion stands again, claimed until the bank has undone the void.

    Not where the pre-authorisation was used otherwise meanwhile (12).
    """
    assert void.original_id is not None
    made = await ports.book.entry(void.original_id)
    if made is None or made.state is State.REVERSED:
        return ResponseCode.APPROVED
    assert made.original_id is not None
    held = await ports.book.entry(made.original_id)
    if held is None or held.state not in (State.APPROVED, State.EXPIRED) or held.claimed_by:
        return ResponseCode.INVALID_TRANSACTION
    stands = UpdateEntry(
        made.id, (State.VOIDED,), state=State.APPROVED, set_claim=True, claimed_by=void.id
    )
    completed = UpdateEntry(held.id, (held.state,), state=State.COMPLETED, check_claim=True)
    if held.state is State.EXPIRED:
        return (stands, completed)
    return (stands, completed, given_up_step(held, reversal.id, reversal.business_date))
