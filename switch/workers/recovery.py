"""Entries whose owner is gone: every one that may have reached a bank is undone.

Runs at start and then every few seconds. At start it takes what earlier incarnations of this
instance left; later, what any process left: a claim that stands too long is let go, of messages
that wait for banks and merchants, too.
Source: ARCHITECTURE.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
import trio

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.ledger.owed.leases import LeaseWatch
from acquirer.ledger.store.rows import BadRow, EntryRow
from acquirer.payments.kernel.errors import reason_of
from acquirer.payments.kernel.holds import NO_ANSWER
from acquirer.payments.kernel.looking import look_for_ever
from acquirer.payments.kernel.records import LEASE_MS
from acquirer.payments.kernel.undo import queue_reversal, undo_steps
from acquirer.switch.context import Context

log = structlog.get_logger("acquirer.recovery")

GROUP = 200
EVERY_S = 5.0


async def recover(context: Context) -> int:
    """Undo all orphans there are now.

    Returns:
        How many there were.

    Raises:
        BookError: the books could not be read or written; the rest is found next time.
    """
    count = 0
    while True:
        now_ms = context.clock.now_ms()
        orphans = await context.book.take_orphans(now_ms + LEASE_MS, GROUP)
        await _undo_all(context, orphans, now_ms)
        count += len(orphans)
        if len(orphans) < GROUP:
            break
    if count:
        context.ports.saf_queued()
        context.ports.events_queued()
        log.warning("recovered", entries=count)
    return count


async def undo_own(context: Context) -> int:
    """Undo what this process leaves behind when it stops; nothing of it may be running any more.

    Returns:
        How many there were.
    """
    tried: set[int] = set()
    try:
        while entries := [
            entry for entry in await context.book.own_unsettled(GROUP) if entry.id not in tried
        ]:
            await _undo_all(context, entries, context.clock.now_ms())
            tried.update(entry.id for entry in entries)
    except BookError as error:
        # The next start does it, or another process that has watched it for long enough.
        log.warning("books_refuse", reason=str(error))
    if tried:
        log.warning("undone_at_stop", entries=len(tried))
    return len(tried)


async def _undo_all(context: Context, orphans: Sequence[EntryRow], now_ms: int) -> None:
    """Undo entries side by side, so that the writer commits many at once; each fails alone.

    Raises:
        BookError: the database has a fault.
    """
    errors: list[BookError] = []

    async def undo(entry: EntryRow) -> None:
        try:
            if isinstance(entry, BadRow):
                await _give_up(context, entry, entry.reason, now_ms)
            else:
                await _undo(context, entry, now_ms)
        except BookError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for entry in orphans:
            nursery.start_soon(undo, entry)
    if errors:
        raise errors[0]


async def _undo(context: Context, entry: Entry, now_ms: int) -> None:
    try:
        await _end(context, entry, now_ms)
    except Exception as error:
        await _give_up(context, entry, reason_of(error), now_ms)


async def _give_up(context: Context, entry: EntryRow, reason: str, now_ms: int) -> None:
    """Owe the bank a reversal, though the entry cannot be ended; it is looked at again later.

    Where no message can be made of it either, the reversal is a dead letter with its reason.
    """
    log.error("orphan_not_undone", entry=entry.id, reason=reason)
    context.ports.row_failed()
    if entry.bank:
        await context.book.commit(await queue_reversal(context.ports, entry, NO_ANSWER, now_ms))


async def _end(context: Context, entry: Entry, now_ms: int) -> None:
    if entry.kind is Kind.ORDER_SHARE and await _is_open(context, entry.original_id):
        # Undone together with its payment, which is an orphan too.
        return
    if entry.state is State.RECEIVED:
        refuse = UpdateEntry(
            entry.id,
            (State.RECEIVED,),
            state=State.REFUSED,
            owner=entry.owner,
            response_code=ResponseCode.SWITCH_FAULT,
        )
        await context.book.commit(refuse)
        return
    await context.book.commit(*await undo_steps(context.ports, entry, NO_ANSWER, now_ms))


async def keep_recovering(context: Context) -> None:
    """Look for orphans every few seconds, for ever."""
    watch = LeaseWatch()

    async def look() -> None:
        await let_go(context, watch)
        await recover(context)

    await look_for_ever(EVERY_S, look, log)


async def let_go(context: Context, watch: LeaseWatch) -> None:
    """Free the claims that have stood for too long.

    Raises:
        BookError: the books could not be read or written.
    """
    lapsed = watch.lapsed(await context.book.leases(), context.ports.monotonic())
    if lapsed and (count := await context.book.let_go(lapsed)):
        log.warning("claims_let_go", count=count)


async def _is_open(context: Context, payment_id: int | None) -> bool:
    payment = await context.book.entry(payment_id) if payment_id is not None else None
    return payment is not None and payment.state is State.SENT
