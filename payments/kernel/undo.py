"""What turns an entry that may have reached a bank into one that is being undone, as steps.

Used alike by time-outs, reversals, recovery after a crash and lost leases.
"""

from __future__ import annotations

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import CLAIMING, REVERSIBLE
from acquirer.ledger.journal.steps import (
    QueueSaf,
    Step,
    UpdateEntry,
)
from acquirer.ledger.store.rows import EntryRow
from acquirer.payments.kernel.holds import NO_ANSWER, free_order_steps, freed
from acquirer.payments.kernel.numbers import bank_stan_of
from acquirer.payments.kernel.ports import Ports


async def queue_reversal(ports: Ports, entry: EntryRow, reason: str, now_ms: int) -> QueueSaf:
    """The step that owes the entry's bank a reversal, with an identity of its own."""
    number = await ports.numbers.take()
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
            transmission_at=ports.calendar.stamp(now_ms).transmission_at,
        )
    )


def release_steps(entry: Entry, order: OrderRow | None) -> tuple[Step, ...]:
    """Give back what an entry that moved no money holds: its original, and its order."""
    unclaim = unclaim_step(entry)
    return (*((unclaim,) if unclaim else ()), *free_order_steps(entry, order))


def unclaim_step(entry: Entry) -> UpdateEntry | None:
    """Give back what a void or a completion claims, once its bank is owed nothing of it."""
    if entry.kind not in CLAIMING or entry.original_id is None:
        return None
    return UpdateEntry.release(entry.original_id, entry.id)


async def undo_steps(ports: Ports, entry: Entry, reason: str, now_ms: int) -> tuple[Step, ...]:
    """End an entry whose outcome at the bank is not known.

    One that may have moved money is timed out and its undo queued, unless its kind has a rule of
    its own (``Ports.in_doubt``); an inquiry is declined. A void, cancellation or completion keeps
    its claim until the bank has undone it, lest a second one overtake the undo.
    Conditional (first step) on the entry still being ours and sent.
    """
    if rule := ports.in_doubt.get(entry.kind):
        return await rule(ports, entry, now_ms)
    end = UpdateEntry(
        entry.id,
        (State.SENT,),
        state=State.TIMED_OUT if entry.kind in REVERSIBLE else State.DECLINED,
        owner=entry.owner,
        response_code=NO_ANSWER,
        reply=entry.reply,
    )
    undo: tuple[Step, ...] = ()
    if entry.kind in REVERSIBLE:
        undo = (await queue_reversal(ports, entry, reason, now_ms),)
    return (end, *undo, *await freed(ports, entry))
