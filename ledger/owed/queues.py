"""What banks are owed: SAF items, of which one owner takes what is due; and the queues' lengths.

Each query reads a partial index over what is unsettled, never the rows that are done with, of
which there are ever more; the plus in an ORDER BY keeps SQLite from walking the key instead.

Functions over a session, run by the writer inside its transaction; ``claims.py`` says what a claim
is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import and_, bindparam, func, or_, select, text, update

from acquirer.ledger.journal.entries import SafItem
from acquirer.ledger.owed.claims import free, owner_prefixes, take
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.rows import saf_of
from acquirer.ledger.store.schema import journal, outbox, saf

# No pause between attempts is as long as this: what is due later is so by a clock that was wrong.
SAF_PAUSE_MAX_MS = 1_200_000
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


_SAF_COLUMNS = (*tuple(saf.columns)[:10], saf.c.icc)
_saf_open = and_(saf.c.finished_at_ms.is_(None), saf.c.dead_at_ms.is_(None))

_head = saf.alias("head")
_before = saf.alias("before")

# The payment that a refund gives back or a tip adds to, the pre-authorisation that is completed.
_refunded = (
    select(journal.c.original_id)
    .where(
        journal.c.id == saf.c.original_id, text("saf.kind IN ('refund', 'completion', 'advice')")
    )
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
        free(saf),
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
_TAKE_SAF = take(saf, "id")

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
