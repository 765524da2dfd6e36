"""The highest counter of each DUKPT terminal, as a step of a commit and as a read."""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert as upsert

from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import ksns

_statement = upsert(ksns).values(
    terminal_id=bindparam("terminal_id"),
    initial=bindparam("initial"),
    counter=bindparam("counter"),
)
_TAKE = Sql(
    _statement.on_conflict_do_update(
        index_elements=["terminal_id", "initial"],
        set_={"counter": _statement.excluded["counter"]},
        where=ksns.c.counter < _statement.excluded["counter"],
    )
)
_HIGHEST = Sql(
    select(ksns.c.counter).where(
        ksns.c.terminal_id == bindparam("terminal"), ksns.c.initial == bindparam("key")
    )
)


def take_ksn(session: Session, step: TakeKsn) -> bool:
    """See :class:`TakeKsn`."""
    changed = session.changed(
        _TAKE, terminal_id=step.terminal_id, initial=step.initial, counter=step.counter
    )
    return changed == 1


def highest_ksn(session: Session, terminal_id: str, initial: str) -> int:
    """The highest counter that was taken, 0 where none was."""
    row = session.row(_HIGHEST, terminal=terminal_id, key=initial)
    return 0 if row is None else int(row[0])
