"""What a commit may consist of: a *unit* is a tuple of steps that commit together or not at all.

Some steps are conditional (a unique key, a compare-and-set): if one does not hold, nothing of its
unit is written and the caller is told which step it was, so that every decision stays with the
caller, who reads, decides and tries again. Pure values; ``ledger/store/steps.py`` carries them out.
Start reading at :data:`Step`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    OpenAccount,
    Post,
    PostPending,
    PostPendingResolve,
    PostReversed,
)
from acquirer.ledger.journal.batches import PutBatch, PutBatchItem, PutCertificate
from acquirer.ledger.journal.entries import (
    CourierRow,
    Entry,
    Event,
    OrderRow,
    SafItem,
    State,
    TerminalRow,
)
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.owed.advices import LimitAdvised, LimitRefunded, LimitTipped
from acquirer.ledger.store.configuration import ChangeConfiguration


class InsertEntry(msgspec.Struct, frozen=True):
    """Conditional on (terminal_id, batch, stan, role) being free, and on the entry's
    ``key_version``: another process may have changed the terminal's keys, or ended them.

    Conditional on the entry's ``limits`` too. Where one of those does not hold, the entry is stored
    as refused and nothing else of the unit is; so it is taken, and the books have its answer."""

    entry: Entry


class UpdateEntry(msgspec.Struct, frozen=True):
    """Compare-and-set on a journal entry.

    Holds only while the entry's state is one of ``expected`` and, where ``owner`` is given, it
    still owns the entry; ``claimed_by`` is compared where ``check_claim`` is true. The fields
    that are not None are written.
    """

    id: int
    expected: tuple[State, ...]
    state: State | None = None
    owner: str | None = None
    check_claim: bool = False
    expected_claim: int | None = None
    set_claim: bool = False
    claimed_by: int | None = None
    response_code: str | None = None
    approval_code: str | None = None
    amount_minor: int | None = None
    late_response_code: str | None = None
    reply: Reply | None = None
    new_owner: str | None = None
    lease_until_ms: int | None = None

    @classmethod
    def claim(cls, id: int, by: int) -> UpdateEntry:
        """An approved entry that nobody is undoing is claimed by the entry that will."""
        return cls(id, (State.APPROVED,), check_claim=True, set_claim=True, claimed_by=by)

    @classmethod
    def release(cls, id: int, by: int, state: State | None = None) -> UpdateEntry:
        """The claim on an approved entry ends; it becomes ``state``, or stays as it was."""
        return cls(
            id,
            (State.APPROVED,),
            state=state,
            check_claim=True,
            expected_claim=by,
            set_claim=True,
            claimed_by=None,
        )

    @classmethod
    def unclaimed(cls, id: int, state: State | None = None) -> UpdateEntry:
        """An approved entry that nobody is undoing becomes ``state``, or stays as it was."""
        return cls(id, (State.APPROVED,), state=state, check_claim=True)


@dataclass(frozen=True, slots=True)
class PutOrder:
    """Write the order system's answer: insert, or refresh a row that is still unpaid.

    A row with a payment, or with one in flight, keeps its status, amount and payment. One that has
    changed since the question (``changes`` differ) stays as it is: the answer is out of date.
    """

    order: OrderRow


@dataclass(frozen=True, slots=True)
class UpdateOrder:
    """Compare-and-set on an order: all three of status, paying_id and payment_id must be as
    ``expected``; they are then written as ``new`` says. Where ``expected_changes`` is not None, the
    order's count of changes must be that too. Any such step adds one to it."""

    merchant_id: str
    order_no: str
    expected: tuple[str, int | None, int | None]
    new: tuple[str, int | None, int | None]
    expected_changes: int | None = None


@dataclass(frozen=True, slots=True)
class PutTerminal:
    """Insert or replace a terminal row; conditional on ``expected_version`` of its keys where
    that is not None (a row that does not exist yet has version 0)."""

    row: TerminalRow
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class PutCourier:
    """Compare-and-set on a courier row, which one that does not exist yet equals by default."""

    row: CourierRow
    expected: CourierRow


@dataclass(frozen=True, slots=True)
class QueueSaf:
    """Queue a message for a bank; conditional on there being none of its kind and original."""

    item: SafItem


@dataclass(frozen=True, slots=True)
class FinishSaf:
    """A bank has answered: take the item off the queue and keep the answer beside it."""

    id: int
    response_code: str
    finished_at_ms: int


@dataclass(frozen=True, slots=True)
class ReviveSaf:
    """Make a dead letter due again, as a repeat, as old as it is; conditional on its being one."""

    id: int
    at_ms: int


# In place of a bank's DE39, which has digits and letters of its own.
WRITTEN_OFF = "WO"


@dataclass(frozen=True, slots=True)
class WriteOffSaf:
    """Give a dead letter up for good; conditional on its being one. Posts nothing by itself."""

    id: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """Put a notice into the outbox."""

    event: Event


Step = (
    InsertEntry
    | UpdateEntry
    | Post
    | PostReversed
    | PostPending
    | PostPendingResolve
    | LimitBalance
    | OpenAccount
    | PutOrder
    | UpdateOrder
    | PutTerminal
    | PutCourier
    | PutBatch
    | PutBatchItem
    | PutCertificate
    | QueueSaf
    | FinishSaf
    | ReviveSaf
    | WriteOffSaf
    | LimitAdvised
    | LimitRefunded
    | LimitTipped
    | LimitDaily
    | TakeKsn
    | QueueEvent
    | ChangeConfiguration
)


@dataclass(frozen=True, slots=True)
class Failed:
    """A unit that wrote nothing, but for the refusal of an entry above a limit.

    Attributes:
        step: the first conditional step that did not hold.
    """

    step: Step

    @property
    def is_taken(self) -> bool:
        """Whether an entry of this (terminal, batch, STAN) is there, or the keys of its message
        are to be looked at again."""
        return isinstance(self.step, InsertEntry)


CommitResult = Failed | None
