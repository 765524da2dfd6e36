"""Books that were brought back from a copy, made fit for use before a switch starts on them."""

from __future__ import annotations

from sqlalchemy import select

from acquirer.ledger.store.database import Database, Session, Sql
from acquirer.ledger.store.instances import lock_books, lock_folder, take_numbers
from acquirer.ledger.store.schema import journal
from acquirer.payments.kernel.numbers import skip_after_restore

_NEWEST = Sql(select(journal.c.created_at_ms).order_by(journal.c.id.desc()).limit(1))


def make_fit(database: Database, now_ms: int) -> None:
    """Skip the numbers that may have been handed out after the copy was taken.

    Args:
        database: the books; no switch may run on them.
        now_ms: wall clock.

    Raises:
        InstanceTaken: a switch runs on them.
        OSError: their folder cannot be locked.
        sqlite3.Error or psycopg.Error: they cannot be written.
    """
    lock = lock_folder(database.file) if database.file is not None else None
    session = Session(database)
    if session.is_postgresql:
        lock_books(session)
    session.begin()
    newest = session.row(_NEWEST)
    skipped = skip_after_restore(newest[0] if newest else now_ms, now_ms)
    # Of a copy from before the first number, too.
    take_numbers(session, skipped)
    session.commit()
    session.close()
    if lock is not None:
        lock.close()
