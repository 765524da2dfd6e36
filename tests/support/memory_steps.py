"""What each step of a unit does to books in memory; see ``memory_books.py``.

Each function changes the tables and says whether its step held; whoever calls them keeps a copy of
the tables for where one did not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    Post,
    Posting,
    PostPending,
    PostPendingResolve,
    PostReversed,
    Resolution,
)
from acquirer.ledger.accounts.transfers import normal_side
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.entries import (
    CourierRow,
    Entry,
    Event,
    OrderRow,
    Role,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import KINDS, PAYMENTS, Kind
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutCourier,
    PutOrder,
    QueueEvent,
    QueueSaf,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.owed.advices import LimitAdvised, LimitRefunded, LimitTipped


@dataclass(frozen=True, slots=True)
class Transfer:
    """A posting that was made.

    Attributes:
        reverses: place of the transfer that it turns back, or None.
        phase: ``posted``, ``pending``, and ``post`` or ``void`` of what ends a pending one.
        resolves: place of the pending transfer that it ends, or None.
        released_minor: how much of that was held.
    """

    event_id: int
    currency_code: str
    posting: Posting
    reverses: int | None = None
    phase: str = "posted"
    resolves: int | None = None
    released_minor: int = 0

    @property
    def posted_minor(self) -> int:
        """What it has moved."""
        return self.posting.amount_minor if self.phase in ("posted", "post") else 0

    @property
    def held_minor(self) -> int:
        """What it holds, or less than nothing where it lets go."""
        return self.posting.amount_minor if self.phase == "pending" else -self.released_minor


@dataclass(slots=True)
class Tables:
    """All that the books hold; rows are values, so that a copy of the tables is a snapshot.

    Attributes:
        told: ids of the notices that were delivered.
        key_versions: of the terminals' keys, which a test sets; none of a terminal without keys.
    """

    entries: dict[int, Entry] = field(default_factory=dict)
    orders: dict[tuple[str, str], OrderRow] = field(default_factory=dict)
    couriers: dict[str, CourierRow] = field(default_factory=dict)
    saf: dict[int, SafItem] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    key_versions: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Tables:
        """The same rows in tables of their own."""
        return Tables(*(getattr(self, one.name).copy() for one in fields(self)))


def entry_named(rows: Tables, key: tuple[str, str, str, Role]) -> Entry | None:
    """The entry of a terminal, batch, STAN and role."""
    for entry in rows.entries.values():
        if (entry.terminal_id, entry.batch, entry.stan, entry.role) == key:
            return entry
    return None


def sums(rows: Tables, name: str, currency_code: str) -> tuple[int, int, int, int]:
    """Debits and credits posted, debits and credits pending of an account, minor units."""
    own = [one for one in rows.transfers if one.currency_code == currency_code]
    debits = [one for one in own if one.posting.debit == name]
    credits = [one for one in own if one.posting.credit == name]
    return (
        sum(one.posted_minor for one in debits),
        sum(one.posted_minor for one in credits),
        sum(one.held_minor for one in debits),
        sum(one.held_minor for one in credits),
    )


def _insert_entry(rows: Tables, step: InsertEntry) -> bool:
    entry = step.entry
    if entry.key_version not in (None, rows.key_versions.get(entry.terminal_id)):
        return False
    if entry_named(rows, (entry.terminal_id, entry.batch, entry.stan, entry.role)):
        return False
    if entry.id in rows.entries or entry.rrn in [one.rrn for one in rows.entries.values()]:
        raise UnitRefused("an entry's id and RRN are its own")
    rows.entries[entry.id] = replace(entry, key_version=None, limits=())
    return True


def _update_entry(rows: Tables, step: UpdateEntry) -> bool:
    entry = rows.entries.get(step.id)
    if entry is None or entry.state not in step.expected:
        return False
    if step.owner is not None and entry.owner != step.owner:
        return False
    if step.check_claim and entry.claimed_by != step.expected_claim:
        return False
    written = {
        "state": step.state,
        "response_code": step.response_code,
        "approval_code": step.approval_code,
        "amount_minor": step.amount_minor,
        "late_response_code": step.late_response_code,
        "reply": step.reply,
        "owner": step.new_owner,
        "lease_until_ms": step.lease_until_ms,
    }
    changes: dict[str, Any] = {name: new for name, new in written.items() if new is not None}
    if step.set_claim:
        changes["claimed_by"] = step.claimed_by
    rows.entries[step.id] = replace(entry, **changes)
    return True


def _post(rows: Tables, step: Post | PostPending) -> bool:
    phase = "posted" if isinstance(step, Post) else "pending"
    for posting in step.postings:
        normal_side(posting.debit), normal_side(posting.credit)
        if posting.amount_minor <= 0 or posting.debit == posting.credit:
            raise UnitRefused("a posting is above zero, between two accounts")
        rows.transfers.append(Transfer(step.event_id, step.currency_code, posting, phase=phase))
    return True


def _post_reversed(rows: Tables, step: PostReversed) -> bool:
    def later(of: list[int]) -> list[int]:
        return [at for at, one in enumerate(rows.transfers) if one.reverses in of]

    standing = [
        at
        for at, one in enumerate(rows.transfers)
        if one.event_id == step.event_id and one.posted_minor
    ]
    is_reversed = False
    while turned := later(standing):
        standing, is_reversed = turned, not is_reversed
    if is_reversed:
        return False
    for at in standing:
        one = rows.transfers[at]
        back = replace(one.posting, debit=one.posting.credit, credit=one.posting.debit)
        rows.transfers.append(Transfer(step.by_event_id, one.currency_code, back, at))
    return True


def _resolve(rows: Tables, step: PostPendingResolve) -> bool:
    waiting = [
        at
        for at, one in enumerate(rows.transfers)
        if one.event_id == step.event_id and one.phase == "pending"
        if not any(later.resolves == at for later in rows.transfers)
    ]
    if not waiting:
        return False
    is_posted = step.resolution is Resolution.POST
    held = [rows.transfers[at].posting.amount_minor for at in waiting]
    amounts = (step.amounts_minor or held) if is_posted else [0] * len(held)
    for at, held_minor, posted_minor in zip(waiting, held, amounts, strict=True):
        one = rows.transfers[at]
        code = "expire" if step.resolution is Resolution.EXPIRE else one.posting.code
        posting = replace(one.posting, amount_minor=posted_minor or held_minor, code=code)
        phase = "post" if posted_minor else "void"
        rows.transfers.append(
            Transfer(step.by_event_id, one.currency_code, posting, None, phase, at, held_minor)
        )
    return True


def _limit_balance(rows: Tables, step: LimitBalance) -> bool:
    debits, credits, debits_pending, _ = sums(rows, step.name, step.currency_code)
    balance = debits + debits_pending - credits
    is_low = step.low_minor is not None and balance < step.low_minor
    is_high = step.high_minor is not None and balance > step.high_minor
    return not is_low and not is_high


def _limit_advised(rows: Tables, step: LimitAdvised) -> bool:
    amounts = [
        entry.amount_minor
        for item in rows.saf.values()
        if item.kind is BankMessage.ADVICE and item.created_at_ms >= step.since_ms
        if (entry := rows.entries.get(item.original_id)) is not None
        and entry.card is not None
        and entry.card.pan_token == step.pan_token
    ]
    return len(amounts) <= step.count_max and sum(amounts) <= step.sum_minor_max


def _limit_refunded(rows: Tables, step: LimitRefunded) -> bool:
    amounts = [
        entry.amount_minor
        for entry in rows.entries.values()
        if entry.original_id == step.payment_id and entry.kind is Kind.REFUND
        if entry.state in (State.RECEIVED, State.SENT, State.APPROVED)
    ]
    return sum(amounts) <= step.sum_minor_max


def _limit_daily(rows: Tables, step: LimitDaily) -> bool:
    found = [
        entry
        for entry in rows.entries.values()
        if (entry.business_date, entry.currency_code) == (step.business_date, step.currency_code)
        and entry.kind in PAYMENTS
        and entry.state in (State.RECEIVED, State.SENT, State.APPROVED, State.REFUNDED)
        and (
            entry.card is not None and entry.card.pan_token == step.pan_token
            if step.pan_token
            else entry.merchant_id in step.merchants and step.terminal_id in ("", entry.terminal_id)
        )
    ]
    count = len([entry for entry in found if not KINDS[entry.kind].adds])
    total = sum(entry.amount_minor for entry in found)
    return (count if step.measure == "count" else total) <= step.maximum


def _limit_tipped(rows: Tables, step: LimitTipped) -> bool:
    amounts = [
        entry.amount_minor
        for entry in rows.entries.values()
        if entry.original_id == step.payment_id and entry.kind is Kind.TIP
        if entry.state is State.APPROVED
    ]
    return sum(amounts) == step.sum_minor


def _put_order(rows: Tables, step: PutOrder) -> bool:
    new = step.order
    key = (new.merchant_id, new.order_no)
    row = rows.orders.get(key)
    if row is None:
        rows.orders[key] = new
    elif row.changes == new.changes:
        is_moving = row.paying_id is not None or row.payment_id is not None
        facts = row if is_moving else new
        rows.orders[key] = replace(
            new,
            status=facts.status,
            amount_minor=facts.amount_minor,
            currency_code=facts.currency_code,
            paying_id=row.paying_id,
            payment_id=row.payment_id,
        )
    return True


def _update_order(rows: Tables, step: UpdateOrder) -> bool:
    key = (step.merchant_id, step.order_no)
    row = rows.orders.get(key)
    if row is None or (row.status, row.paying_id, row.payment_id) != step.expected:
        return False
    if step.expected_changes not in (None, row.changes):
        return False
    status, paying_id, payment_id = step.new
    rows.orders[key] = replace(
        row, status=status, paying_id=paying_id, payment_id=payment_id, changes=row.changes + 1
    )
    return True


def _put_courier(rows: Tables, step: PutCourier) -> bool:
    row = rows.couriers.get(step.row.courier_id)
    if row is not None and replace(step.expected, courier_id=row.courier_id) != row:
        return False
    rows.couriers[step.row.courier_id] = step.row
    return True


def _queue_saf(rows: Tables, step: QueueSaf) -> bool:
    item = step.item
    if (item.original_id, item.kind) in [(one.original_id, one.kind) for one in rows.saf.values()]:
        return False
    if item.id in rows.saf:
        raise UnitRefused("an item's id is its own")
    rows.saf[item.id] = item
    return True


def _queue_event(rows: Tables, step: QueueEvent) -> bool:
    if step.event.id in rows.events:
        raise UnitRefused("a notice's id is its own")
    rows.events[step.event.id] = step.event
    return True


RUN: Mapping[type[Any], Callable[[Tables, Any], bool]] = MappingProxyType(
    {
        InsertEntry: _insert_entry,
        UpdateEntry: _update_entry,
        Post: _post,
        PostPending: _post,
        PostReversed: _post_reversed,
        PostPendingResolve: _resolve,
        LimitBalance: _limit_balance,
        LimitAdvised: _limit_advised,
        LimitRefunded: _limit_refunded,
        LimitTipped: _limit_tipped,
        LimitDaily: _limit_daily,
        PutOrder: _put_order,
        UpdateOrder: _update_order,
        PutCourier: _put_courier,
        QueueSaf: _queue_saf,
        QueueEvent: _queue_event,
    }
)
