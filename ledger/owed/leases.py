"""Claims whose owner is gone, found by watching: no clock that is written down decides.

Whoever works on an entry, a message for a bank or a notice holds it under an owner's name, for less
than a minute. A claim that stands unchanged before the eyes of a process for longer, by that
process's own monotonic clock, is let go, and anybody may take it. So clocks may jump, and those of
two machines may disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, bindparam, select, update

from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import UNSETTLED, journal, outbox, saf

LEASE_S = 60.0
WATCHED_MAX = 20_000

Held = Literal["journal", "saf", "outbox"]


class Lease(NamedTuple):
    """A claim: what is held, by whom, and since which claim of his."""

    held: Held
    key: int
    owner: str
    until_ms: int


def _held(table: Table, key: str, is_open: ColumnElement[bool]) -> Sql:
    columns = table.c[key], table.c.owner, table.c.lease_until_ms
    return Sql(select(*columns).where(is_open, table.c.owner != "").limit(bindparam("row_limit")))


def _let_go(table: Table, key: str, is_open: ColumnElement[bool]) -> Sql:
    return Sql(
        update(table)
        .where(
            is_open,
            table.c[key] == bindparam("key"),
            table.c.owner == bindparam("old_owner"),
            table.c.lease_until_ms == bindparam("old_until_ms"),
        )
        .values(owner="", lease_until_ms=0)
    )


_unsettled = and_(UNSETTLED)
_saf_open = and_(saf.c.finished_at_ms.is_(None), saf.c.dead_at_ms.is_(None))
_undelivered = outbox.c.delivered_at_ms.is_(None)

_HELD_ENTRIES = _held(journal, "id", _unsettled)
_HELD_SAF = _held(saf, "id", _saf_open)
_HELD_EVENTS = _held(outbox, "seq", _undelivered)
_LET_ENTRY_GO = _let_go(journal, "id", _unsettled)
_LET_SAF_GO = _let_go(saf, "id", _saf_open)
_LET_EVENT_GO = _let_go(outbox, "seq", _undelivered)

_STATEMENTS: Mapping[Held, tuple[Sql, Sql]] = MappingProxyType(
    {
        "journal": (_HELD_ENTRIES, _LET_ENTRY_GO),
        "saf": (_HELD_SAF, _LET_SAF_GO),
        "outbox": (_HELD_EVENTS, _LET_EVENT_GO),
    }
)


class LeaseWatch:
    """What one process has seen of all claims. Pure."""

    def __init__(self) -> None:
        self._since: dict[Lease, float] = {}

    def lapsed(self, leases: Iterable[Lease], now_s: float) -> list[Lease]:
        """Those that have stood for as long as no claim lasts.

        Args:
            leases: all that there are now.
            now_s: monotonic.
        """
        self._since = {lease: self._since.get(lease, now_s) for lease in leases}
        return [lease for lease, since in self._since.items() if now_s - since >= LEASE_S]


def leases(session: Session) -> list[Lease]:
    """All claims that there are."""
    return [
        Lease(held, *row)
        for held, (query, _) in _STATEMENTS.items()
        for row in session.rows(query, row_limit=WATCHED_MAX)
    ]


def let_go(session: Session, lapsed: Sequence[Lease]) -> int:
    """Free what is still claimed as it was seen; how many that were."""
    count = 0
    for held, key, owner, until_ms in lapsed:
        _, let_go_of = _STATEMENTS[held]
        count += session.changed(let_go_of, key=key, old_owner=owner, old_until_ms=until_ms)
    return count
