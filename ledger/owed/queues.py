"""Claims: SAF items, notices and orphaned entries, each taken by one owner under a lease.

Each query reads a partial index over what is unsettled, never the rows that are done with, of
which there are ever more; the plus in an ORDER BY keeps SQLite from walking the key instead.

Functions over a session, run by the writer inside its transaction. A claim is refused to others
until it is let go (``leases.py``); an earlier incarnation of the same instance is known to be dead,
so what it had claimed is free at once. On PostgreSQL rows that another process is claiming at this
moment are skipped, not waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)

from acquirer.ledger.journal.entries import (
    Event,
    SafItem,
)
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.rows import ENTRY_COLUMNS, EntryRow, entry_or_bad, event_of, saf_of
from acquirer.ledger.store.schema import UNSETTLED, journal, outbox, saf

# No pause between attempts is as long as this: what is due later is so by a clock that was wrong.
SAF_PAUSE_MAX_MS = 1_200_000
NOTICE_PAUSE_MAX_MS = 7_200_000
PENDING_ROWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue's length.

    Attributes:
        waiting: items not done, dead letters apart.
        dead: dead letters.
        oldest_ms: when the oldest that waits was queued, or None.
    """

    waiting: int
    dead: int
    oldest_ms: int | None


def _free(table: Table) -> ColumnElement[bool]:
    """Held by nobody, or by an earlier incarnation of this instance."""
    mine = bindparam("instance_prefix", type_=table.c.owner.type)
    incarnation = bindparam("owner_prefix", type_=table.c.owner.type)
    return or_(
        table.c.owner == "",
        and_(
            func.substr(table.c.owner, 1, func.length(mine)) == mine,
            func.substr(table.c.owner, 1, func.length(incarnation)) != incarnation,
        ),
    )


def _take(table: Table, key: str) -> Sql:
    return Sql(
        update(table)
        .where(table.c[key] == bindparam("key"))
        .values(owner=bindparam("new_owner"), lease_until_ms=bindparam("new_lease_until_ms"))
    )


def owner_prefixes(owner: str) -> dict[str, str]:
    """What all owners of an instance, and those of one incarnation of it, begin with.

    >>> owner_prefixes("switch-1#7.0")
    {'instance_prefix': 'switch-1#', 'owner_prefix': 'switch-1#7.'}
    """
    return {
        "instance_prefix": owner.partition("#")[0] + "#",
        "owner_prefix": owner.rpartition(".")[0] + ".",
    }


# --- store and forward ------------------------------------------------------------------------

_SAF_COLUMNS = tuple(saf.columns)[:10]
_saf_open = and_(saf.c.finished_at_ms.is_(None), saf.c.dead_at_ms.is_(None))

_head = saf.alias("head")
_before = saf.alias("before")

# The payment that a refund gives back.
_refunded = (
    select(journal.c.original_id)
    .where(journal.c.id == saf.c.original_id, saf.c.kind == "refund")
    .correlate(saf)
    .scalar_subquery()
)

# Only a window at the head is looked at, so that what is old is not overtaken without end; and
# what a bank is to learn of one original it learns in order, a refund after its payment.
_DUE_SAF = Sql(
    select(*_SAF_COLUMNS)
    .where(
        saf.c.id.in_(
            select(_head.c.id)
            .where(
                _head.c.finished_at_ms.is_(None),
                _head.c.dead_at_ms.is_(None),
                _head.c.bank == bindparam("bank"),
            )
            .order_by(_head.c.id)
            .limit(bindparam("window"))
        ),
        _saf_open,
        or_(
            saf.c.next_at_ms <= bindparam("now_ms"),
            saf.c.next_at_ms > bindparam("now_ms") + SAF_PAUSE_MAX_MS,
        ),
        _free(saf),
        ~select(_before.c.id)
        .where(
            or_(
                _before.c.original_id == saf.c.original_id,
                _before.c.original_id == _refunded,
            ),
            _before.c.id < saf.c.id,
            _before.c.finished_at_ms.is_(None),
            _before.c.dead_at_ms.is_(None),
        )
        .exists(),
    )
    .order_by(saf.c.id)
    .limit(bindparam("row_limit"))
    .with_for_update(skip_locked=True, of=saf)
)
_TAKE_SAF = _take(saf, "id")

_mine_saf = and_(_saf_open, saf.c.id == bindparam("key"), saf.c.owner == bindparam("mine"))

STAMP_SAF = Sql(
    update(saf)
    .where(_mine_saf)
    .values(
        attempts=bindparam("new_attempts"),
        stan=bindparam("new_stan"),
        transmission_at=bindparam("new_transmission_at"),
    )
)
RETRY_SAF = Sql(
    update(saf)
    .where(_mine_saf)
    .values(
        attempts=bindparam("new_attempts"),
        next_at_ms=bindparam("new_next_at_ms"),
        owner="",
        lease_until_ms=0,
    )
)
KILL_SAF = Sql(
    update(saf)
    .where(_saf_open, saf.c.id == bindparam("key"))
    .values(
        dead_at_ms=bindparam("new_dead_at_ms"),
        dead_reason=bindparam("new_reason"),
        owner="",
        lease_until_ms=0,
    )
)
SAF_PENDING = Sql(
    select(*_SAF_COLUMNS)
    .where(
        _saf_open,
        or_(bindparam("any_bank", type_=saf.c.id.type) == 1, saf.c.bank == bindparam("bank")),
    )
    .order_by(text("+saf.id"))
    .limit(bindparam("row_limit"))
)


SAF_WAITING = Sql(
    select(saf.c.bank, func.count(), func.min(saf.c.created_at_ms))
    .where(_saf_open)
    .group_by(saf.c.bank)
)
SAF_DEAD = Sql(
    select(saf.c.bank, func.count()).where(saf.c.dead_at_ms.is_not(None)).group_by(saf.c.bank)
)
OUTBOX_COUNTS = Sql(
    select(
        func.count().filter(outbox.c.dead_at_ms.is_(None)),
        func.count().filter(outbox.c.dead_at_ms.is_not(None)),
        func.min(outbox.c.created_at_ms).filter(outbox.c.dead_at_ms.is_(None)),
    ).where(outbox.c.delivered_at_ms.is_(None))
)
DEAD_SAF = Sql(
    select(*_SAF_COLUMNS)
    .where(
        saf.c.id == bindparam("key"), saf.c.finished_at_ms.is_(None), saf.c.dead_at_ms.is_not(None)
    )
    .limit(1)
)


def depths(session: Session) -> dict[str, Depth]:
    """How much waits for each bank, and as ``""`` for merchants."""
    found = {row[0]: Depth(row[1], 0, row[2]) for row in session.rows(SAF_WAITING)}
    for bank, dead in session.rows(SAF_DEAD):
        found[bank] = replace(found.get(bank, Depth(0, 0, None)), dead=dead)
    row = session.row(OUTBOX_COUNTS)
    return {**found, "": Depth(*row[:3]) if row else Depth(0, 0, None)}


def dead_saf(session: Session, id: int) -> SafItem | None:
    """A dead letter for a bank."""
    row = session.row(DEAD_SAF, key=id)
    return None if row is None else saf_of(row)


def claim_saf(
    session: Session,
    owner: str,
    bank: str,
    now_ms: int,
    lease_until_ms: int,
    limit: int,
    window: int,
) -> list[SafItem]:
    """Lease the oldest due items of a bank to ``owner``; see ``Book.claim_saf``."""
    rows = session.rows(
        _DUE_SAF,
        bank=bank,
        now_ms=now_ms,
        row_limit=limit,
        window=window,
        **owner_prefixes(owner),
    )
    items = []
    for row in rows:
        try:
            items.append(saf_of(row))
        except ValueError as error:
            # It has rotted, and is no message for a bank any more.
            session.run(KILL_SAF, key=row[0], new_dead_at_ms=now_ms, new_reason=str(error))
        else:
            session.run(_TAKE_SAF, key=row[0], new_owner=owner, new_lease_until_ms=lease_until_ms)
    return items


def saf_pending(session: Session, bank: str | None) -> list[SafItem]:
    """Open items of a bank or of all, oldest first."""
    rows = session.rows(
        SAF_PENDING, any_bank=int(bank is None), bank=bank or "", row_limit=PENDING_ROWS_MAX
    )
    return [saf_of(row) for row in rows]


# --- outbox -----------------------------------------------------------------------------------

_EVENT_COLUMNS = tuple(outbox.columns)[1:9]
_earlier = outbox.alias("earlier")

# A dead letter keeps its place: what follows it in its order waits until an operator has
# replayed it, because order.cancelled must never overtake order.paid.
_DUE_EVENTS = Sql(
    select(*_EVENT_COLUMNS)
    .where(
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.dead_at_ms.is_(None),
        or_(
            outbox.c.next_at_ms <= bindparam("now_ms"),
            outbox.c.next_at_ms > bindparam("now_ms") + NOTICE_PAUSE_MAX_MS,
        ),
        _free(outbox),
        ~select(_earlier.c.seq)
        .where(
            _earlier.c.delivered_at_ms.is_(None),
            _earlier.c.merchant_id == outbox.c.merchant_id,
            _earlier.c.order_no == outbox.c.order_no,
            _earlier.c.seq < outbox.c.seq,
        )
        .exists(),
    )
    .order_by(text("+outbox.seq"))
    .limit(bindparam("row_limit"))
    .with_for_update(skip_locked=True, of=outbox)
)
_TAKE_EVENT = _take(outbox, "id")

# The newest attempts of a notice; the text of the oldest is cut off where there are too many.
ATTEMPT_LOG_CHARACTERS_MAX = 16_384
_NEW_ATTEMPT = bindparam("new_attempt", type_=Text)
_LOGGED = literal_column(
    f"CASE WHEN length(attempt_log) > {ATTEMPT_LOG_CHARACTERS_MAX} THEN"
    f" substr(attempt_log, length(attempt_log) - {ATTEMPT_LOG_CHARACTERS_MAX - 1})"
    " ELSE attempt_log END",
    Text,
).op("||")(_NEW_ATTEMPT)
# A notice may be given up without a further attempt.
_ONE_MORE = case(
    (_NEW_ATTEMPT == literal_column("''"), literal_column("0")), else_=literal_column("1")
)

FINISH_EVENT = Sql(
    update(outbox)
    .where(outbox.c.id == bindparam("key"), outbox.c.delivered_at_ms.is_(None))
    .values(
        delivered_at_ms=bindparam("new_delivered_at_ms"),
        attempt_log=_LOGGED,
        owner="",
        lease_until_ms=0,
    )
)
RETRY_EVENT = Sql(
    update(outbox)
    .where(
        outbox.c.id == bindparam("key"),
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.owner == bindparam("mine"),
    )
    .values(
        attempts=bindparam("new_attempts"),
        next_at_ms=bindparam("new_next_at_ms"),
        attempt_log=_LOGGED,
        owner="",
        lease_until_ms=0,
    )
)
KILL_EVENT = Sql(
    update(outbox)
    .where(outbox.c.id == bindparam("key"), outbox.c.delivered_at_ms.is_(None))
    .values(
        dead_at_ms=bindparam("now_ms"),
        dead_reason=bindparam("new_reason"),
        attempts=outbox.c.attempts + _ONE_MORE,
        attempt_log=_LOGGED,
        owner="",
        lease_until_ms=0,
    )
)
REPLAY_EVENT = Sql(
    update(outbox)
    .where(
        outbox.c.id == bindparam("key"),
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.dead_at_ms.is_not(None),
    )
    .values(dead_at_ms=None, dead_reason="", attempts=0, next_at_ms=bindparam("new_next_at_ms"))
)


def claim_events(
    session: Session, owner: str, now_ms: int, lease_until_ms: int, limit: int
) -> list[Event]:
    """Lease due notices to ``owner``: of each order at most its oldest undelivered one."""
    rows = session.rows(_DUE_EVENTS, now_ms=now_ms, row_limit=limit, **owner_prefixes(owner))
    for row in rows:
        session.run(_TAKE_EVENT, key=row[0], new_owner=owner, new_lease_until_ms=lease_until_ms)
    return [event_of(row) for row in rows]


# --- orphans ----------------------------------------------------------------------------------

_ENTRY_COLUMNS: Sequence[Any] = [journal.c[name] for name in ENTRY_COLUMNS]

_ORPHANS = Sql(
    select(*_ENTRY_COLUMNS)
    .where(UNSETTLED, _free(journal))
    .order_by(text("+journal.id"))
    .limit(bindparam("row_limit"))
    .with_for_update(skip_locked=True)
)
_OWN = Sql(
    select(*_ENTRY_COLUMNS)
    .where(UNSETTLED, journal.c.owner == bindparam("mine"))
    .order_by(text("+journal.id"))
    .limit(bindparam("row_limit"))
)
_TAKE_ENTRY = _take(journal, "id")


def own_unsettled(session: Session, owner: str, limit: int) -> list[EntryRow]:
    """Unsettled entries of one owner, oldest first."""
    return [entry_or_bad(row) for row in session.rows(_OWN, mine=owner, row_limit=limit)]


def take_orphans(
    session: Session, new_owner: str, lease_until_ms: int, limit: int
) -> list[EntryRow]:
    """Make unsettled entries ours that nobody alive works on; see ``Book.take_orphans``."""
    rows = session.rows(_ORPHANS, row_limit=limit, **owner_prefixes(new_owner))
    taken: list[EntryRow] = []
    owner_at, lease_at = ENTRY_COLUMNS.index("owner"), ENTRY_COLUMNS.index("lease_until_ms")
    for row in rows:
        session.run(_TAKE_ENTRY, key=row[0], new_owner=new_owner, new_lease_until_ms=lease_until_ms)
        fields = list(row)
        fields[owner_at], fields[lease_at] = new_owner, lease_until_ms
        taken.append(entry_or_bad(tuple(fields)))
    return taken
