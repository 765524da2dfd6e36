"""The two commits that card transactions share: ask the bank, settle.

Each transaction's own module reads from top to bottom and calls these; what differs between
transactions is given as steps, never as a branch on the kind in here.
Source: ARCHITECTURE.md, "One payment, from wire to books".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import msgspec
import structlog

from acquirer.codecs.bank_items import build_items
from acquirer.codecs.icc import kept
from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.kinds import KINDS
from acquirer.ledger.journal.replies import Reply, twelve_digits
from acquirer.ledger.journal.steps import (
    Step,
    UpdateEntry,
)
from acquirer.payments.kernel.bank_codes import OF_THE_LINK, reading_of
from acquirer.payments.kernel.bank_reply import brought_by, icc_of
from acquirer.payments.kernel.commands import Answer, Origin, Outcome
from acquirer.payments.kernel.holds import NO_ANSWER
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import ReadyCard
from acquirer.payments.kernel.stand_in import StandInRule, advice_step, rule_for, stand_in_code
from acquirer.payments.kernel.undo import undo_steps
from acquirer.routing.banks.messages import BankRequest, OriginalData, request_mti
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent, NotSentReason, Replied

log = structlog.get_logger("acquirer.switch")

ANSWER_MARGIN_S = 2.0
IN_PART = ResponseCode.APPROVED_IN_PART
# Why a bank is to undo what it has answered.
OTHER_REASON = "06"
NO_ITEMS: Mapping[str, str] = MappingProxyType({})


def card_request(
    ports: Ports,
    origin: Origin,
    entry: Entry,
    card: ReadyCard,
    items: Mapping[str, str] = NO_ITEMS,
    original: Entry | None = None,
) -> BankRequest:
    """What the bank is asked about a card that is there.

    Args:
        items: further ones of DE48, by tag.
        original: the earlier entry that it is about.
    """
    presented, pin = card.presented, card.pin
    fallback = "1" if presented.is_fallback else ""
    acquirer_id = ports.bank_settings[entry.bank].acquirer_id
    return _bank_request(
        ports,
        origin,
        entry,
        presented.pan,
        expiry=presented.expiry,
        track2=presented.track.format() if presented.track else None,
        entry_mode=presented.entry_mode,
        card_sequence=presented.sequence,
        condition_code=presented.condition_code,
        icc=presented.icc or None,
        additional=build_items(
            {**items, "QR": presented.code, "CV": presented.cvn2, "FB": fallback}
        ),
        pin_block=pin.block if pin else None,
        zpk=pin.zpk if pin else "",
        approval_code=original.approval_code if original else "",
        original=original_data(original, acquirer_id) if original else None,
    )


def undo_request(
    ports: Ports,
    origin: Origin,
    entry: Entry,
    pan: Pan | None,
    original: Entry | None,
    condition_code: str,
) -> BankRequest:
    """What the bank is asked about an earlier payment, with the card that was kept.

    Args:
        pan: None where the payment was by a code.
        original: the payment; None for a refund of one that is not known here.
        condition_code: of the request to undo it, 2 digits or empty.
    """
    acquirer_id = ports.bank_settings[entry.bank].acquirer_id
    return _bank_request(
        ports,
        origin,
        entry,
        pan,
        condition_code=condition_code,
        approval_code=original.approval_code if original else "",
        original=original_data(original, acquirer_id) if original else None,
    )


def _bank_request(
    ports: Ports,
    origin: Origin,
    entry: Entry,
    pan: Pan | None,
    *,
    expiry: str = "",
    track2: str | None = None,
    entry_mode: str = "",
    card_sequence: str = "",
    condition_code: str = "",
    icc: bytes | None = None,
    pin_block: bytes | None = None,
    zpk: str = "",
    approval_code: str = "",
    original: OriginalData | None = None,
    additional: str = "",
) -> BankRequest:
    kind = KINDS[entry.kind].bank_message
    assert kind is not None
    return BankRequest(
        kind=kind,
        processing_code=entry.processing_code,
        rrn=entry.rrn,
        stan=entry.bank_stan,
        transmission_at=entry.transmission_at,
        local_time=entry.reply.local_time,
        local_date=entry.reply.local_date,
        acquirer_id=ports.bank_settings[entry.bank].acquirer_id,
        terminal_id=entry.terminal_id,
        merchant_id=entry.merchant_id,
        merchant_name=origin.merchant.name,
        mcc=origin.merchant.mcc,
        pan=pan,
        expiry=expiry,
        track2=track2,
        entry_mode=entry_mode,
        card_sequence=card_sequence,
        condition_code=condition_code,
        pin_block=pin_block,
        zpk=zpk,
        icc=icc,
        amount_minor=entry.amount_minor,
        currency_code=entry.currency_code,
        approval_code=approval_code,
        original=original,
        additional=additional,
    )


def original_data(entry: Entry, acquirer_id: str) -> OriginalData:
    """DE90 of a message about an earlier one: as that one left for the bank."""
    kind = KINDS[entry.kind].bank_message
    assert kind is not None
    return OriginalData(request_mti(kind), entry.bank_stan, entry.transmission_at, acquirer_id)


async def forward(
    ports: Ports, origin: Origin, entry: Entry, bank_message: BankRequest
) -> BankOutcome:
    """Send a recorded entry to its bank and wait for the outcome.

    Nothing leaves once the asker's time is used up, which ends before the entry's lease.
    """
    timeout_s = ports.bank_settings[entry.bank].timeout_s
    give_up_at = origin.started_at + ports.answer_within_s - ANSWER_MARGIN_S
    now_s = ports.monotonic()
    if now_s >= give_up_at:
        return NotSent("expired")
    outcome = await ports.banks.request(
        entry.bank, bank_message, min(now_s + timeout_s, give_up_at)
    )
    is_away = isinstance(outcome, NotSent) and outcome.reason in ("link down", "window full")
    is_plain = not (bank_message.pin_block or bank_message.additional)
    return Unreached() if is_away and is_plain else outcome


@dataclass(frozen=True, slots=True)
class Unreached(NotSent):
    """Nothing left, and nothing that only the bank can check, such as a PIN or a code."""

    reason: NotSentReason = "link down"


async def settle(
    ports: Ports,
    origin: Origin,
    entry: Entry,
    outcome: BankOutcome,
    *,
    approved: Sequence[Step] = (),
    undone: Sequence[Step] = (),
    told: Mapping[str, str] = NO_ITEMS,
    in_part: Callable[[Entry], Sequence[Step]] | None = None,
    icc: bytes = b"",
) -> Outcome:
    """Commit 2: the outcome, the books and what is owed to others; then the answer.

    Args:
        approved: further steps of an approval (postings, the order, the merchant's notice).
        undone: steps that give back what the entry holds, when it was not approved.
        told: further members of an approval's reply.
        in_part: the further steps where less was approved, from the entry with that amount; None
            where nothing less is taken: then it is undone, and answered 51.
        icc: what a chip said, for the advice of one that is stood in for.
    """
    if isinstance(outcome, NoReply):
        return await _time_out(ports, entry)
    rules = origin.business.stand_in
    if isinstance(outcome, Unreached) and (rule := rule_for(rules, entry.bank, entry.kind)):
        return await _stand_in(ports, rule, entry, approved, undone, kept(icc))
    if isinstance(outcome, NotSent):
        is_ours = outcome.reason in ("format", "security")
        refused = ResponseCode.SWITCH_FAULT if is_ours else ResponseCode.UNAVAILABLE
        return await conclude(ports, entry, State.REFUSED, refused, entry.reply, undone)
    code = outcome.response_code
    reading = reading_of(code)
    if code == IN_PART and 0 < outcome.granted_minor < entry.amount_minor:
        if in_part is None or not origin.takes_part:
            return await _time_out(ports, entry, OTHER_REASON, ResponseCode.INSUFFICIENT_FUNDS)
        return await _conclude_in_part(ports, entry, outcome, in_part)
    if reading == "in_doubt":
        log.warning("bank_answer_in_doubt", bank=entry.bank, rrn=entry.rrn, response_code=code)
        return await _time_out(ports, entry)
    approval_code, balance = brought_by(outcome)
    answer = ports.vault.seal_icc(icc_of(outcome), entry.rrn)
    if reading == "approved":
        if rules:
            ports.stand_in.note_approved(entry, ports.monotonic())
        reply = msgspec.structs.replace(
            entry.reply, approval_code=approval_code, balance=balance, icc=answer, **told
        )
        return await conclude(ports, entry, State.APPROVED, code, reply, approved)
    reply = msgspec.structs.replace(entry.reply, balance=balance, icc=answer)
    code = ResponseCode.SWITCH_FAULT if code in OF_THE_LINK else code
    return await conclude(ports, entry, State.DECLINED, code, reply, undone)


async def _conclude_in_part(
    ports: Ports, entry: Entry, outcome: Replied, in_part: Callable[[Entry], Sequence[Step]]
) -> Outcome:
    """Commit an approval of less than was asked for, and answer it."""
    granted_minor = outcome.granted_minor
    approval_code, _ = brought_by(outcome)
    reply = msgspec.structs.replace(
        entry.reply, approval_code=approval_code, amount=twelve_digits(granted_minor)
    )
    end = outcome_step(entry, State.APPROVED, IN_PART, reply)
    end = msgspec.structs.replace(end, amount_minor=granted_minor)
    failed = await ports.book.commit(end, *in_part(replace(entry, amount_minor=granted_minor)))
    return Answer(ResponseCode.DUPLICATE) if failed else Answer(IN_PART, reply)


async def _stand_in(
    ports: Ports,
    rule: StandInRule,
    entry: Entry,
    approved: Sequence[Step],
    undone: Sequence[Step],
    icc: bytes,
) -> Outcome:
    """Approve in the bank's place and owe it an advice, or answer 91."""
    limit = ports.stand_in.limit_of(rule, entry, ports.monotonic(), ports.clock.since_ms)
    if limit is None:
        return await conclude(
            ports, entry, State.REFUSED, ResponseCode.UNAVAILABLE, entry.reply, undone
        )
    sealed = ports.vault.seal_icc(icc, entry.rrn)
    advice = advice_step(entry, await ports.numbers.take(), ports.clock.now_ms(), sealed)
    reply = msgspec.structs.replace(entry.reply, approval_code=stand_in_code(entry))
    end = outcome_step(entry, State.APPROVED, ResponseCode.APPROVED, reply)
    failed = await ports.book.commit(end, *approved, advice, limit)
    if failed is not None and failed.step is limit:
        return await conclude(
            ports, entry, State.REFUSED, ResponseCode.UNAVAILABLE, entry.reply, undone
        )
    if failed is not None:
        return Answer(ResponseCode.DUPLICATE)
    ports.stood_in()
    ports.saf_queued()
    return Answer(ResponseCode.APPROVED, reply)


async def conclude(
    ports: Ports,
    entry: Entry,
    state: State,
    code: str,
    reply: Reply,
    steps: Sequence[Step],
) -> Outcome:
    """Commit an entry's known outcome with further steps, and answer."""
    failed = await ports.book.commit(outcome_step(entry, state, code, reply), *steps)
    # Where the entry was taken away meanwhile (a reversal, a lost lease) its undo is queued
    # already, and an approval must not be shown.
    return Answer(ResponseCode.DUPLICATE) if failed else Answer(code, reply)


def outcome_step(entry: Entry, state: State, code: str, reply: Reply) -> UpdateEntry:
    """The end of an entry that is still ours and sent."""
    return UpdateEntry(
        entry.id,
        (State.SENT,),
        state=state,
        owner=entry.owner,
        response_code=code,
        approval_code=reply.approval_code,
        reply=reply,
    )


async def _time_out(
    ports: Ports, entry: Entry, reason: str = NO_ANSWER, code: str = NO_ANSWER
) -> Outcome:
    """Undo what may have moved money, or has moved some of it, and answer a code."""
    end, *undo = await undo_steps(ports, entry, reason, ports.clock.now_ms())
    if isinstance(end, UpdateEntry) and code != NO_ANSWER:
        end = msgspec.structs.replace(end, response_code=code)
    if await ports.book.commit(end, *undo):
        return Answer(ResponseCode.DUPLICATE)
    ports.saf_queued()
    return Answer(code, entry.reply)
