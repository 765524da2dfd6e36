"""The legs that card transactions share: ask the bank, settle.

Each transaction's own module reads from top to bottom and calls these; what differs between
transactions is given as steps, never as a branch on the kind in here.
Source: ARCHITECTURE.md, "One payment, from wire to books".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from acquirer.codecs.pan import Pan
from acquirer.codecs.track2 import Track2
from acquirer.ledger.journal.entries import Entry, State, Step, UpdateEntry
from acquirer.ledger.journal.kinds import KINDS
from acquirer.payments.kernel.bank_codes import OF_THE_LINK, reading_of
from acquirer.payments.kernel.bank_reply import fields_of_bank
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.ready_card import ProtectedPin, ReadyCard, expiry_of
from acquirer.payments.kernel.records import NO_ANSWER, undo_steps
from acquirer.payments.kernel.stand_in import advice_step, approval_code_of
from acquirer.routing.banks.messages import BankRequest, OriginalData
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent, NotSentReason
from acquirer.switch.terminals.request import Answer, Outcome, Request

log = structlog.get_logger("acquirer.switch")

ANSWER_MARGIN_S = 2.0


def bank_request(
    context: Context,
    request: Request,
    entry: Entry,
    pan: Pan,
    track: Track2 | None = None,
    pin: ProtectedPin | None = None,
    original: Entry | None = None,
) -> BankRequest:
    """What the bank is asked, from the request and its journal entry."""
    message = request.message
    merchant = request.terminal.merchant
    settings = context.bank_settings[entry.bank]
    kind = KINDS[entry.kind].bank_message
    assert kind is not None
    return BankRequest(
        kind=kind,
        processing_code=entry.processing_code,
        rrn=entry.rrn,
        stan=entry.bank_stan,
        transmission_at=entry.transmission_at,
        local_time=entry.reply[12],
        local_date=entry.reply[13],
        acquirer_id=settings.acquirer_id,
        terminal_id=entry.terminal_id,
        merchant_id=entry.merchant_id,
        merchant_name=merchant.name,
        mcc=merchant.mcc,
        pan=pan,
        expiry=expiry_of(request, track),
        track2=track.format() if track else None,
        entry_mode=message.get(22),
        card_sequence=message.get(23),
        condition_code=message.get(25),
        pin_block=pin.block if pin else None,
        zpk=pin.zpk if pin else "",
        icc=message.binary(55) or None,
        amount_minor=entry.amount_minor,
        currency_code=entry.currency_code,
        approval_code=original.approval_code if original else "",
        original=original_data(original, settings.acquirer_id) if original else None,
    )


def card_request(context: Context, request: Request, entry: Entry, card: ReadyCard) -> BankRequest:
    """What the bank is asked about a card that is there."""
    return bank_request(context, request, entry, card.pan, card.track, card.pin)


def original_data(entry: Entry, acquirer_id: str) -> OriginalData:
    """DE90 of a message about an earlier one: as that one left for the bank."""
    return OriginalData(entry.mti, entry.bank_stan, entry.transmission_at, acquirer_id)


async def forward(
    context: Context, request: Request, entry: Entry, bank_message: BankRequest
) -> BankOutcome:
    """Send a recorded entry to its bank and wait for the outcome.

    Nothing leaves once the terminal's time is used up, which ends before the entry's lease.
    """
    timeout_s = context.bank_settings[entry.bank].timeout_s
    give_up_at = request.started_at + context.limits.terminal_s - ANSWER_MARGIN_S
    deadline = min(context.monotonic() + timeout_s, give_up_at)
    if context.monotonic() >= give_up_at:
        return NotSent("expired")
    outcome = await context.banks.request(entry.bank, bank_message, deadline)
    is_away = isinstance(outcome, NotSent) and outcome.reason in ("link down", "window full")
    return Unreached() if is_away and not bank_message.pin_block else outcome


@dataclass(frozen=True, slots=True)
class Unreached(NotSent):
    """Nothing left, and no PIN is in the way of standing in for the bank."""

    reason: NotSentReason = "link down"


async def settle(
    context: Context,
    entry: Entry,
    outcome: BankOutcome,
    *,
    approved: Sequence[Step] = (),
    undone: Sequence[Step] = (),
) -> Outcome:
    """Commit 2: the outcome, the books and what is owed to others; then the answer.

    Args:
        approved: further steps of an approval (postings, the order, the merchant's notice).
        undone: steps that give back what the entry holds, when it was not approved.
    """
    if isinstance(outcome, NoReply):
        return await _time_out(context, entry)
    if isinstance(outcome, Unreached) and context.stand_in.rule_for(entry.bank, entry.kind):
        return await _stand_in(context, entry, approved, undone)
    if isinstance(outcome, NotSent):
        code = "96" if outcome.reason in ("format", "security") else "91"
        return await conclude(context, entry, State.REFUSED, code, entry.reply, undone)
    message = outcome.message
    code = message.get(39)
    reading = reading_of(code)
    if reading == "in_doubt":
        log.warning("bank_answer_in_doubt", bank=entry.bank, rrn=entry.rrn, response_code=code)
        return await _time_out(context, entry)
    reply = {**entry.reply, **fields_of_bank(message)}
    if reading == "approved":
        context.stand_in.note_approved(entry, context.monotonic())
        return await conclude(context, entry, State.APPROVED, code, reply, approved)
    reply.pop(38, None)
    code = "96" if code in OF_THE_LINK else code
    return await conclude(context, entry, State.DECLINED, code, reply, undone)


async def _stand_in(
    context: Context, entry: Entry, approved: Sequence[Step], undone: Sequence[Step]
) -> Outcome:
    """Approve in the bank's place and owe it an advice, or answer 91."""
    limit = context.stand_in.limit_of(entry, context.monotonic(), context.clock.since_ms)
    if limit is None:
        return await conclude(context, entry, State.REFUSED, "91", entry.reply, undone)
    advice = advice_step(entry, await context.numbers.take(), context.wall_ms())
    reply = {**entry.reply, 38: approval_code_of(entry)}
    end = outcome_step(entry, State.APPROVED, "00", reply)
    failed = await context.book.commit(end, *approved, advice, limit)
    if failed is not None and failed.step is limit:
        return await conclude(context, entry, State.REFUSED, "91", entry.reply, undone)
    if failed is not None:
        return Answer("94")
    context.stood_in()
    context.saf_queued()
    return Answer("00", reply)


async def conclude(
    context: Context,
    entry: Entry,
    state: State,
    code: str,
    reply: dict[int, str],
    steps: Sequence[Step],
) -> Outcome:
    """Commit an entry's known outcome with further steps, and answer.

    Args:
        reply: DE number → value of the answer.
    """
    failed = await context.book.commit(outcome_step(entry, state, code, reply), *steps)
    # Where the entry was taken away meanwhile (a reversal, a lost lease) its undo is queued
    # already, and an approval must not be shown.
    return Answer("94") if failed else Answer(code, reply)


def outcome_step(entry: Entry, state: State, code: str, reply: dict[int, str]) -> UpdateEntry:
    """The end of an entry that is still ours and sent."""
    return UpdateEntry(
        entry.id,
        (State.SENT,),
        state=state,
        owner=entry.owner,
        response_code=code,
        approval_code=reply.get(38, ""),
        reply=reply,
    )


async def _time_out(context: Context, entry: Entry) -> Outcome:
    now_ms = context.wall_ms()
    steps = await undo_steps(context, entry, NO_ANSWER, now_ms)
    if await context.book.commit(*steps):
        return Answer("94")
    context.saf_queued()
    return Answer(NO_ANSWER, entry.reply)
