"""Reversal: MTI 0400. The terminal undoes what it got no good answer for.

Answered as soon as the undo is stored, whether or not the bank can be reached. What happens to
the original is decided by ``plan`` from its state; the decision commits by compare-and-set and
is taken anew where the original changed meanwhile.
Source: terminal interface, part 4 ("Reversal"); postings, "Void, reversal".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from acquirer.ledger.entries import (
    Entry,
    InsertEntry,
    OrderRow,
    PostReversed,
    QueueEvent,
    Role,
    State,
    Step,
    UpdateEntry,
)
from acquirer.ledger.errors import BookBusy
from acquirer.switch.context import Context
from acquirer.switch.journal import (
    REVERSIBLE,
    new_entry,
    queue_reversal,
    unpay_step,
    unpay_steps,
)
from acquirer.switch.order_events import order_event
from acquirer.switch.request import Answer, Outcome, Request

TRIES_MAX = 20
CLAIMED_WAIT_S = 0.25
OTHER_REASON = "06"
AMOUNT_DIFFERS = "64"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reversal does.

    Attributes:
        response_code: of the answer.
        steps: to commit together with the reversal's own entry.
        to_bank: whether a message for the bank is among them.
    """

    response_code: str
    steps: tuple[Step, ...] = ()
    to_bank: bool = False


async def reversal(context: Context, request: Request) -> Outcome:
    """Store the undo of (terminal, batch, STAN) and answer 00; 25 where there is no original.

    Raises:
        BookBusy, BookUnavailable: nothing was stored; the terminal repeats its reversal.
    """
    terminal_id, batch, stan = request.terminal.terminal_id, request.de60.batch, request.stan
    for _ in range(TRIES_MAX):
        earlier = await context.book.find_entry(terminal_id, batch, stan, Role.REVERSAL)
        if earlier is not None:
            return Answer(earlier.response_code, dict(earlier.reply))
        original = await context.book.find_entry(terminal_id, batch, stan, Role.ORIGINAL)
        if original is None:
            if answer := await _remember_unknown(context, request):
                return answer
            continue
        if original.claimed_by is not None:
            # A void of it is at the bank at this moment; its outcome decides.
            await trio.sleep(CLAIMED_WAIT_S)
            continue
        if answer := await _undo(context, request, original):
            return answer
    raise BookBusy("the original kept changing while it was to be reversed")


async def _undo(context: Context, request: Request, original: Entry) -> Answer | None:
    entry = await new_entry(
        context,
        request,
        "reversal",
        State.APPROVED,
        role=Role.REVERSAL,
        original_id=original.id,
        order_no=original.order_no,
        amount_minor=original.amount_minor,
        response_code="00",
    )
    order = (
        await context.book.order(original.merchant_id, original.order_no)
        if original.order_no
        else None
    )
    plan = await _plan(context, request, original, entry, order)
    if plan.response_code == AMOUNT_DIFFERS:
        # Not recorded: it must not stand in the way of the right one.
        return Answer(AMOUNT_DIFFERS, entry.reply)
    if plan.response_code != "00":
        entry = replace(entry, state=State.REFUSED, response_code=plan.response_code)
    if await context.book.commit(InsertEntry(entry), *plan.steps):
        return None
    if plan.to_bank:
        context.saf_queued()
        context.events_queued()
    return Answer(entry.response_code, entry.reply)


async def _plan(
    context: Context, request: Request, original: Entry, entry: Entry, order: OrderRow | None
) -> Plan:
    if original.kind not in REVERSIBLE:
        return Plan("12" if original.state is State.APPROVED else "00")
    if request.message.get(4) and request.amount_minor != original.amount_minor:
        return Plan(AMOUNT_DIFFERS)
    if original.state not in (State.SENT, State.APPROVED):
        # Declined, refused, timed out, voided, reversing, reversed: undone already.
        return Plan("00")
    if order is not None and order.payment_id == original.id and order.status != "01":
        return Plan("12")

    reason = request.message.get(39) or OTHER_REASON
    take = UpdateEntry(original.id, (original.state,), state=State.REVERSING, check_claim=True)
    to_bank = await queue_reversal(context, original, reason, request.now_ms)
    if original.state is State.SENT:
        return Plan("00", (take, to_bank, *unpay_steps(original, order)), to_bank=True)
    back = PostReversed(original.id, entry.id, entry.business_date)
    return Plan(
        "00", (take, to_bank, back, *_restore(context, original, entry, order)), to_bank=True
    )


def _restore(
    context: Context, original: Entry, entry: Entry, order: OrderRow | None
) -> tuple[Step, ...]:
    """What an approved original had changed beside the books goes back too."""
    if original.kind == "void" and original.original_id is not None:
        # Claimed until the bank has undone the void, lest another void overtake the undo.
        claimed = UpdateEntry(
            original.original_id,
            (State.VOIDED,),
            state=State.APPROVED,
            set_claim=True,
            claimed_by=original.id,
        )
        return (claimed,)
    if order is not None and order.payment_id == original.id:
        notice = order_event(
            context, "order.cancelled", original, entry, order_status="00", reason="reversed"
        )
        return (unpay_step(order), QueueEvent(notice))
    return ()


async def _remember_unknown(context: Context, request: Request) -> Answer | None:
    """Answer 25, and take the STAN, so that the original arriving late is refused."""
    entry = await new_entry(
        context, request, "reversal", State.REFUSED, role=Role.REVERSAL, response_code="25"
    )
    unknown = await new_entry(
        context, request, "unknown_original", State.REFUSED, response_code="94"
    )
    placeholder = replace(unknown, fingerprint=b"", mti="", reply={})
    if await context.book.commit(InsertEntry(entry), InsertEntry(placeholder)):
        return None
    return Answer("25", entry.reply)
