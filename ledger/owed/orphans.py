"""Entries that were begun and are not settled: one's own, and those that nobody works on any more.

Functions over a session, run by the writer inside its transaction; ``claims.py`` says what a
claim is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select, text

from acquirer.ledger.owed.claims import free, owner_prefixes, take
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.rows import ENTRY_COLUMNS, EntryRow, entry_or_bad
from acquirer.ledger.store.schema import UNSETTLED, journal

_ENTRY_COLUMNS: Sequence[Any] = [journal.c[name] for name in ENTRY_COLUMNS]

_ORPHANS = Sql(
    select(*_ENTRY_COLUMNS)
    .where(UNSETTLED, free(journal))
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
_TAKE_ENTRY = take(journal, "id")


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
