"""Reversal: whoever asked undoes what it got no good answer for.

Answered as soon as the undo is stored, whether or not the bank can be reached. What happens to
the original is decided from its state and by its kind's own rule (``Ports.reversals``); the
decision commits by compare-and-set and is taken anew where the original changed meanwhile.
Source: docs/interfaces/terminal.md, part 4 ("Reversal"); docs/interfaces/postings.md, "Void,
reversal".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.transfer_steps import PostReversed
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import REVERSIBLE, Kind
from acquirer.ledger.journal.replies import NO_REPLY
from acquirer.ledger.journal.steps import (
    InsertEntry,
    Step,
    UpdateEntry,
)
from acquirer.payments.cards.void import VOIDABLE as SALES
from acquirer.payments.kernel.commands import Answer, Command, Outcome, answer_of
from acquirer.payments.kernel.holds import NO_ANSWER, freed
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import new_entry
from acquirer.payments.kernel.undo import queue_reversal

TRIES_MAX = 20
CLAIMED_WAIT_S = 0.25
OTHER_REASON = "06"
# No answer, a bad MAC in the answer, other. A bank is told no reason but these.
REASONS = frozenset({NO_ANSWER, "A0", OTHER_REASON})
AMOUNT_DIFFERS = ResponseCode.AMOUNT_DIFFERS
# What a terminal may void, and a bank's refusal of that undo brings back.
VOIDABLE = SALES | {Kind.PREAUTH, Kind.COMPLETION}


class ReversalRequested(Command, frozen=True):
    """The origin's own number is to be undone.

    Attributes:
        reason: as the terminal gives it, two characters, or empty.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reversal does.

    Attributes:
        response_code: of the answer.
        steps: to commit together with the reversal's own entry.
    """

    response_code: str
    steps: tuple[Step, ...] = ()


async def reversal(ports: Ports, command: ReversalRequested) -> Outcome:
    """Store the undo of (terminal, batch, STAN) and answer 00; 25 where there is no original.

    Raises:
        BookBusy, BookUnavailable: nothing was stored; the terminal repeats its reversal.
    """
    origin = command.origin
    key = origin.terminal_id, origin.batch, origin.stan
    for _ in range(TRIES_MAX):
        earlier = await ports.book.find_entry(*key, Role.REVERSAL)
        if earlier is not None:
            return answer_of(earlier)
        original = await ports.book.find_entry(*key, Role.ORIGINAL)
        if original is None:
            if answer := await _remember_unknown(ports, command):
                return answer
            continue
        if original.claimed_by is not None and await _at_the_bank(ports, original.claimed_by):
            await trio.sleep(CLAIMED_WAIT_S)
            continue
        if answer := await _undo(ports, command, original):
            return answer
    raise BookBusy("the original kept changing while it was to be reversed")


async def _at_the_bank(ports: Ports, void_id: int) -> bool:
    """Whether a void or cancellation has no outcome yet, which must be waited for.

    One whose own undo is queued needs no waiting: both undos may reach the bank in any order.
    """
    void = await ports.book.entry(void_id)
    return void is None or void.state not in (State.TIMED_OUT, State.REVERSING)


async def _undo(ports: Ports, command: ReversalRequested, original: Entry) -> Answer | None:
    entry = await new_entry(
        ports,
        command.origin,
        Kind.REVERSAL,
        State.APPROVED,
        role=Role.REVERSAL,
        original_id=original.id,
        order_no=original.order_no,
        amount_minor=original.amount_minor,
        response_code=ResponseCode.APPROVED,
    )
    plan = await _plan(ports, command, original, entry)
    if plan.response_code == AMOUNT_DIFFERS:
        # Not recorded: it must not stand in the way of the right one.
        return Answer(AMOUNT_DIFFERS, entry.reply)
    if plan.response_code != ResponseCode.APPROVED:
        entry = replace(entry, state=State.REFUSED, response_code=plan.response_code)
    if await ports.book.commit(InsertEntry(entry), *plan.steps):
        return None
    if plan.steps:
        ports.saf_queued()
        ports.events_queued()
    return answer_of(entry)


async def _plan(ports: Ports, command: ReversalRequested, original: Entry, entry: Entry) -> Plan:
    # One that has run out here may still be held at its bank.
    is_approved = original.state in (State.APPROVED, State.EXPIRED)
    if original.kind not in REVERSIBLE:
        may_stand = is_approved or original.state in (State.RECEIVED, State.SENT)
        return Plan(ResponseCode.INVALID_TRANSACTION if may_stand else ResponseCode.APPROVED)
    named_minor = command.origin.amount_minor
    # Where nothing was paid, the amount named is what an order is worth.
    if original.amount_minor and named_minor not in (None, original.amount_minor):
        # Of what was approved in part the terminal names what it has asked for.
        is_in_part = original.response_code == ResponseCode.APPROVED_IN_PART
        if not is_in_part or (named_minor or 0) < original.amount_minor:
            return Plan(AMOUNT_DIFFERS)
    if original.state is State.COMPLETED:
        return Plan(ResponseCode.INVALID_TRANSACTION)
    if original.kind in VOIDABLE and original.state is State.VOIDED:
        # Undone already; reversed as well, it does not come back should the void be undone too.
        return Plan(
            ResponseCode.APPROVED,
            (UpdateEntry(original.id, (State.VOIDED,), state=State.REVERSED),),
        )
    if not is_approved and original.state is not State.SENT:
        # Declined, refused, timed out, voided, reversing, reversed: undone already.
        return Plan(ResponseCode.APPROVED)
    given_back: tuple[Step, ...] | str
    if is_approved:
        rule = ports.reversals.get(original.kind)
        given_back = await rule(ports, original, entry) if rule else ()
    else:
        given_back = await freed(ports, original)
    if isinstance(given_back, str):
        return Plan(given_back)

    take = UpdateEntry(
        original.id,
        (original.state,),
        state=State.REVERSING if original.bank else State.REVERSED,
        check_claim=True,
        expected_claim=original.claimed_by,
    )
    undo: tuple[Step, ...] = (take,)
    if original.bank:
        reason = command.reason if command.reason in REASONS else OTHER_REASON
        undo = (take, await queue_reversal(ports, original, reason, command.origin.now_ms))
    if not is_approved:
        return Plan(ResponseCode.APPROVED, (*undo, *given_back))
    back = PostReversed(original.id, entry.id, entry.business_date)
    return Plan(ResponseCode.APPROVED, (*undo, back, *given_back))


async def _remember_unknown(ports: Ports, command: ReversalRequested) -> Answer | None:
    """Answer 25, and take the STAN, so that the original arriving late is refused."""
    origin = command.origin
    entry = await new_entry(
        ports,
        origin,
        Kind.REVERSAL,
        State.REFUSED,
        role=Role.REVERSAL,
        response_code=ResponseCode.NO_ORIGINAL,
    )
    unknown = await new_entry(
        ports,
        origin,
        Kind.UNKNOWN_ORIGINAL,
        State.REFUSED,
        role=Role.ORIGINAL,
        response_code=ResponseCode.DUPLICATE,
    )
    placeholder = replace(unknown, fingerprint=b"", mti="", reply=NO_REPLY)
    if await ports.book.commit(InsertEntry(entry), InsertEntry(placeholder)):
        return None
    return answer_of(entry)
