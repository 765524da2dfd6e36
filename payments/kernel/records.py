"""From a request to a journal entry, and the steps that every transaction shares.

``new_entry`` makes the row of commit 1; ``refuse`` records a request that went nowhere;
``undo_steps`` is what turns an entry that may have reached a bank into one that is being undone,
used alike by time-outs, by recovery after a crash and by lost leases.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.pan import Pan
from acquirer.ledger.journal.details import Detail, Share
from acquirer.ledger.journal.entries import (
    Entry,
    InsertEntry,
    OrderRow,
    QueueSaf,
    Role,
    SafItem,
    State,
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.journal.kinds import REVERSIBLE, UNDOING, Kind
from acquirer.ledger.store.rows import EntryRow
from acquirer.payments.kernel.numbers import bank_stan_of, rrn_of
from acquirer.payments.kernel.ports import Context
from acquirer.switch.terminals.request import Answer, Repeat, Request

LEASE_MS = 60_000
NO_ANSWER = "98"


async def new_entry(
    context: Context,
    request: Request,
    kind: Kind,
    state: State,
    *,
    pan: Pan | None = None,
    bank: str = "",
    order_no: str = "",
    courier_id: str = "",
    original_id: int | None = None,
    role: Role | None = None,
    amount_minor: int | None = None,
    response_code: str = "",
    detail: Detail | None = None,
    reply: dict[int, str] | None = None,
) -> Entry:
    """A journal row for this request, with numbers of its own; nothing is stored yet.

    Args:
        role: the request's own where it is None.
        reply: further fields of the answer; an empty value takes one of the usual ones out.
    """
    number = await context.numbers.take()
    stamp = context.calendar.stamp(request.now_ms)
    message = request.message
    rrn = rrn_of(number, stamp.rrn_day)
    fields = {
        12: stamp.local_time,
        13: stamp.local_date,
        15: stamp.local_date,
        37: rrn,
        **(reply or {}),
    }
    fields = {field: value for field, value in fields.items() if value}
    return Entry(
        id=number,
        rrn=rrn,
        role=role or request.role,
        kind=kind,
        mti=message.mti,
        processing_code=message.processing_code,
        transaction_type=request.de60.transaction_type,
        terminal_id=request.terminal.terminal_id,
        merchant_id=request.terminal.settings.merchant_id,
        batch=request.de60.batch,
        stan=request.stan,
        amount_minor=request.amount_minor if amount_minor is None else amount_minor,
        currency_code=message.get(49) or request.terminal.merchant.currency_code,
        fingerprint=request.fingerprint,
        state=state,
        owner=context.book.owner,
        lease_until_ms=request.now_ms + LEASE_MS,
        created_at_ms=request.now_ms,
        business_date=stamp.business_date,
        card=context.vault.seal(pan) if pan else None,
        bank=bank,
        bank_stan=bank_stan_of(number) if bank else "",
        transmission_at=stamp.transmission_at if bank else "",
        order_no=order_no,
        courier_id=courier_id,
        original_id=original_id,
        response_code=response_code,
        detail=detail,
        reply=fields,
    )


async def own_entry(
    context: Context,
    kind: Kind,
    now_ms: int,
    *,
    key: tuple[str, str, str],
    merchant_id: str,
    amount_minor: int,
    currency_code: str,
    role: Role = Role.ORIGINAL,
    order_no: str = "",
    courier_id: str = "",
    original_id: int | None = None,
    detail: Detail | None = None,
) -> Entry:
    """A journal row of something that no terminal asked for: an operator, or a rule, did it.

    Args:
        key: terminal id, batch and STAN, which name it once together with the role.
    """
    number = await context.numbers.take()
    stamp = context.calendar.stamp(now_ms)
    terminal_id, batch, stan = key
    rrn = rrn_of(number, stamp.rrn_day)
    times = {12: stamp.local_time, 13: stamp.local_date, 15: stamp.local_date, 37: rrn}
    return Entry(
        id=number,
        rrn=rrn,
        role=role,
        kind=kind,
        mti="",
        processing_code="",
        transaction_type="",
        terminal_id=terminal_id,
        merchant_id=merchant_id,
        batch=batch,
        stan=stan,
        amount_minor=amount_minor,
        currency_code=currency_code,
        fingerprint=b"",
        state=State.APPROVED,
        owner=context.book.owner,
        lease_until_ms=now_ms,
        created_at_ms=now_ms,
        business_date=stamp.business_date,
        order_no=order_no,
        courier_id=courier_id,
        original_id=original_id,
        response_code="00",
        detail=detail,
        reply=times,
    )


async def share_entry(
    context: Context, payment: Entry, place: int, *, order_no: str, amount_minor: int
) -> Entry:
    """The journal row of one order's share of a payment; the bank knows the payment only."""
    number = await context.numbers.take()
    rrn = rrn_of(number, context.calendar.stamp(payment.created_at_ms).rrn_day)
    times = {field: payment.reply[field] for field in (12, 13, 15)}
    return replace(
        payment,
        id=number,
        rrn=rrn,
        kind=Kind.ORDER_SHARE,
        role=Role.share(place),
        detail=Share(place),
        amount_minor=amount_minor,
        fingerprint=b"",
        card=None,
        bank="",
        bank_stan="",
        transmission_at="",
        order_no=order_no,
        original_id=payment.id,
        reply={**times, 37: rrn},
    )


async def refuse(
    context: Context,
    request: Request,
    kind: Kind,
    response_code: str,
    *,
    pan: Pan | None = None,
    order_no: str = "",
    reply: dict[int, str] | None = None,
) -> Answer | Repeat:
    """Record a request that is answered without going anywhere, and answer it.

    The STAN is used up: the same request again gets the same refusal.
    """
    entry = await new_entry(
        context,
        request,
        kind,
        State.REFUSED,
        pan=pan,
        order_no=order_no,
        response_code=response_code,
        reply=reply,
    )
    if await context.book.commit(InsertEntry(entry)):
        return Repeat()
    return Answer(response_code, entry.reply)


async def queue_reversal(context: Context, entry: EntryRow, reason: str, now_ms: int) -> QueueSaf:
    """The step that owes the entry's bank a reversal, with an identity of its own."""
    number = await context.numbers.take()
    return QueueSaf(
        SafItem(
            id=number,
            bank=entry.bank,
            kind=BankMessage.REVERSAL,
            original_id=entry.id,
            reason=reason,
            created_at_ms=now_ms,
            next_at_ms=now_ms,
            stan=bank_stan_of(number),
            transmission_at=context.calendar.stamp(now_ms).transmission_at,
        )
    )


def release_steps(entry: Entry, order: OrderRow | None) -> tuple[Step, ...]:
    """Give back what an entry that moved no money holds: its original, and its order."""
    unclaim = unclaim_step(entry)
    return (*((unclaim,) if unclaim else ()), *free_order_steps(entry, order))


def unclaim_step(entry: Entry) -> UpdateEntry | None:
    """Give a void's original back, once nothing of the void is owed to the bank any more."""
    if entry.kind not in UNDOING or entry.original_id is None:
        return None
    return UpdateEntry.release(entry.original_id, entry.id)


def free_order_steps(entry: Entry, order: OrderRow | None) -> tuple[Step, ...]:
    """Let go of the order that an unfinished payment or cancellation holds: it is as it was."""
    if order is None or order.paying_id != entry.id:
        return ()
    return (move_order(order, (order.status, None, order.payment_id)),)


def unpay_step(order: OrderRow) -> UpdateOrder:
    """The order is to be paid again: nobody is paying it and nobody has."""
    return move_order(order, ("00" if order.amount_minor else "06", None, None))


def claim_steps(
    order: OrderRow, whole: OrderRow | None, new: tuple[str, int | None, int | None]
) -> tuple[UpdateOrder, ...]:
    """Take an order for a payment, unless anything has happened to it since it was asked about.

    Args:
        whole: the order that it is a part of. It must not have changed either, in particular by
            a payment of its own or of another part, and counts this as a change: so of all
            payments of one family only those follow each other that know of each other.
    """
    claim = replace(move_order(order, new), expected_changes=order.changes)
    if whole is None:
        return (claim,)
    note = move_order(whole, (whole.status, None, None))
    return (claim, replace(note, expected_changes=whole.changes))


def count_in(whole: OrderRow | None) -> tuple[UpdateOrder, ...]:
    """Count what is done to a part as a change of its order, if that is still as it was read.

    Args:
        whole: None where it is no part.
    """
    if whole is None:
        return ()
    return (move_order(whole, (whole.status, whole.paying_id, whole.payment_id)),)


def move_order(order: OrderRow, new: tuple[str, int | None, int | None]) -> UpdateOrder:
    """The step that changes an order's status, payer and payment, unless somebody else has."""
    expected = (order.status, order.paying_id, order.payment_id)
    return UpdateOrder(order.merchant_id, order.order_no, expected, new)


async def free_shares(context: Context, payment: Entry) -> tuple[Step, ...]:
    """Let go of the orders that an unfinished payment of several holds; none of a single one."""
    if payment.kind is not Kind.ORDER_GROUP:
        return ()
    steps: list[Step] = []
    for share in await context.book.entries_of_original(payment.id):
        if share.kind is Kind.ORDER_SHARE and share.state is State.SENT:
            order = await context.book.order(share.merchant_id, share.order_no)
            decline = UpdateEntry(
                share.id, (State.SENT,), state=State.DECLINED, response_code=NO_ANSWER
            )
            steps += [decline, *free_order_steps(share, order)]
    return tuple(steps)


async def undo_steps(context: Context, entry: Entry, reason: str, now_ms: int) -> tuple[Step, ...]:
    """End an entry whose outcome at the bank is not known.

    One that may have moved money is timed out and its undo queued; an inquiry is declined. A
    void or cancellation keeps its claim until the bank has undone it, lest a second one overtake
    the undo.
    Conditional (first step) on the entry still being ours and sent.
    """
    end = UpdateEntry(
        entry.id,
        (State.SENT,),
        state=State.TIMED_OUT if entry.kind in REVERSIBLE else State.DECLINED,
        owner=entry.owner,
        response_code=NO_ANSWER,
        reply=entry.reply,
    )
    order = await context.book.order(entry.merchant_id, entry.order_no) if entry.order_no else None
    undo: tuple[Step, ...] = ()
    if entry.kind in REVERSIBLE:
        undo = (await queue_reversal(context, entry, reason, now_ms),)
    freed = (*free_order_steps(entry, order), *await free_shares(context, entry))
    return (end, *undo, *freed)
