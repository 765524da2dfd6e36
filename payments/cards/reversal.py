"""Reversal: MTI 0400. The terminal undoes what it got no good answer for.

Answered as soon as the undo is stored, whether or not the bank can be reached. What happens to
the original is decided by ``plan`` from its state; the decision commits by compare-and-set and
is taken anew where the original changed meanwhile.
Source: docs/interfaces/terminal.md, part 4 ("Reversal"); docs/interfaces/postings.md, "Void,
reversal".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from acquirer.codecs.order_codes import Means, means_of
from acquirer.ledger.accounts.transfer_steps import PostReversed
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.entries import (
    Entry,
    InsertEntry,
    OrderRow,
    QueueEvent,
    Role,
    State,
    Step,
    UpdateEntry,
)
from acquirer.ledger.journal.kinds import REVERSIBLE, Kind
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import (
    free_order_steps,
    free_shares,
    new_entry,
    queue_reversal,
    unpay_step,
)
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import PAID
from acquirer.payments.orders.shares import unpay_shares
from acquirer.switch.terminals.request import Answer, Outcome, Request

TRIES_MAX = 20
CLAIMED_WAIT_S = 0.25
OTHER_REASON = "06"
# DE39 of a 0400: no answer, a bad MAC in the answer, other. A bank is told no reason but these.
REASONS = frozenset({"98", "A0", OTHER_REASON})
AMOUNT_DIFFERS = "64"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reversal does.

    Attributes:
        response_code: of the answer.
        steps: to commit together with the reversal's own entry.
    """

    response_code: str
    steps: tuple[Step, ...] = ()


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
        if original.claimed_by is not None and await _at_the_bank(context, original.claimed_by):
            await trio.sleep(CLAIMED_WAIT_S)
            continue
        if answer := await _undo(context, request, original):
            return answer
    raise BookBusy("the original kept changing while it was to be reversed")


async def _at_the_bank(context: Context, void_id: int) -> bool:
    """Whether a void or cancellation has no outcome yet, which must be waited for.

    One whose own undo is queued needs no waiting: both undos may reach the bank in any order.
    """
    void = await context.book.entry(void_id)
    return void is None or void.state not in (State.TIMED_OUT, State.REVERSING)


async def _undo(context: Context, request: Request, original: Entry) -> Answer | None:
    entry = await new_entry(
        context,
        request,
        Kind.REVERSAL,
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
    if plan.steps:
        context.saf_queued()
        context.events_queued()
    return Answer(entry.response_code, entry.reply)


async def _plan(
    context: Context, request: Request, original: Entry, entry: Entry, order: OrderRow | None
) -> Plan:
    if original.kind not in REVERSIBLE or (
        # The merchant has been told; a mistake is paid again, under a new order number.
        original.kind is Kind.ORDER_CANCELLATION and original.state is State.APPROVED
    ):
        return Plan("12" if original.state is State.APPROVED else "00")
    # Where nothing is paid, DE4 shows what the order is worth; no money of it has moved.
    moved = means_of(original.processing_code) is not Means.NONE
    if moved and request.message.get(4) and request.amount_minor != original.amount_minor:
        return Plan(AMOUNT_DIFFERS)
    if original.kind is Kind.SALE and original.state is State.VOIDED:
        # Undone already; reversed as well, it does not come back should the void be undone too.
        return Plan("00", (UpdateEntry(original.id, (State.VOIDED,), state=State.REVERSED),))
    if original.state not in (State.SENT, State.APPROVED):
        # Declined, refused, timed out, voided, reversing, reversed: undone already.
        return Plan("00")
    if original.kind is Kind.VOID and original.state is State.APPROVED and original.original_id:
        sale = await context.book.entry(original.original_id)
        if sale is None or sale.state is State.REVERSED:
            return Plan("00")
    if order is not None and order.payment_id == original.id and order.status != PAID:
        return Plan("12")

    take = UpdateEntry(
        original.id,
        (original.state,),
        state=State.REVERSING if original.bank else State.REVERSED,
        check_claim=True,
        expected_claim=original.claimed_by,
    )
    undo: tuple[Step, ...] = (take,)
    if original.bank:
        given = request.message.get(39)
        reason = given if given in REASONS else OTHER_REASON
        undo = (take, await queue_reversal(context, original, reason, request.now_ms))
    if original.state is State.SENT:
        freed = (*free_order_steps(original, order), *await free_shares(context, original))
        return Plan("00", (*undo, *freed))
    opened = await unpay_shares(context, original, entry)
    if opened is None:
        return Plan("12")
    back = PostReversed(original.id, entry.id, entry.business_date)
    return Plan("00", (*undo, back, *opened, *_restore(context, original, entry, order)))


def _restore(
    context: Context, original: Entry, entry: Entry, order: OrderRow | None
) -> tuple[Step, ...]:
    """What an approved original had changed beside the books goes back too."""
    if original.kind is Kind.VOID and original.original_id is not None:
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
        unpay = unpay_step(order)
        notice = order_event(
            context,
            "order.cancelled",
            order,
            original,
            entry,
            order_status=unpay.new[0],
            reason="reversed",
        )
        return (unpay, QueueEvent(notice))
    return ()


async def _remember_unknown(context: Context, request: Request) -> Answer | None:
    """Answer 25, and take the STAN, so that the original arriving late is refused."""
    entry = await new_entry(
        context, request, Kind.REVERSAL, State.REFUSED, role=Role.REVERSAL, response_code="25"
    )
    unknown = await new_entry(
        context, request, Kind.UNKNOWN_ORIGINAL, State.REFUSED, response_code="94"
    )
    placeholder = replace(unknown, fingerprint=b"", mti="", reply={})
    if await context.book.commit(InsertEntry(entry), InsertEntry(placeholder)):
        return None
    return Answer("25", entry.reply)
