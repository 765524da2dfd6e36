"""What the first connection to the books needs, and what each later one takes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import bindparam, select

from acquirer.config.private import close_to_others
from acquirer.ledger.errors import BooksGone, BooksMissing, BookUnavailable
from acquirer.ledger.store import instances
from acquirer.ledger.store.book_files import BookFiles, book_files
from acquirer.ledger.store.database import Database, Fault, Session, Sql
from acquirer.ledger.store.migrate import migrate, stored_version
from acquirer.ledger.store.schema import instances as starts

_OWN = Sql(select(starts.c.started_at_ms).where(starts.c.owner == bindparam("mine")))


@contextmanager
def own_files(database: Database, may_create: bool) -> Iterator[BookFiles | None]:
    """SQLite books for this process alone; None where the books are no files.

    Args:
        may_create: whether books may be made where there never were any.

    Raises:
        InstanceTaken: another process runs on them.
        BookUnavailable: the folder cannot be written.
        BooksMissing: there were books, and they are gone.
    """
    if database.file is None:
        yield None
        return
    close_to_others(*book_files(database.file))
    try:
        lock = instances.lock_folder(database.file)
    except OSError as error:
        raise BookUnavailable(f"cannot lock {database.file}: {error.strerror}") from error
    with lock:
        files = BookFiles(database.file, lock)
        files.check_for_books(may_create)
        yield files


class Opening:
    """The tables, the instance's lock, an incarnation.

    Args:
        may_create: whether tables are made where there are none.

    Attributes:
        owner: the incarnation's name; empty before the first connection.
        past: the clock of the incarnations before it.
    """

    def __init__(self, instance: str, clock_ms: Callable[[], int], may_create: bool) -> None:
        self._instance = instance
        self._clock_ms = clock_ms
        self._may_create = may_create
        self._started_at_ms = 0
        self.owner = ""
        self.past = instances.Past()

    def on_connect(self, session: Session) -> None:
        """Prepare the first connection; later ones take the lock again, of the same books.

        Raises:
            BooksMissing: there are no tables, and there must be.
            BooksGone: these are not the books of the first connection.
        """
        if self.owner:
            self.check(session)
            if session.is_postgresql:
                instances.relock_name(session, self._instance)
                instances.settle(session, self.owner)
            return
        if session.is_postgresql:
            instances.lock_name(session, self._instance)
        if not (self._may_create or stored_version(session)):
            raise BooksMissing("the database is empty, but there were books")
        migrate(session)
        self.past = instances.past_of(session, self._instance)
        self._started_at_ms = self._clock_ms()
        self.owner = instances.register(session, self._instance, self._started_at_ms)

    def check(self, session: Session) -> None:
        """See that the books know of this start of the process.

        Raises:
            BooksGone: they do not: other books, emptied ones, or an older copy.
        """
        try:
            row = session.row(_OWN, mine=self.owner)
        except session.database.errors as error:
            if session.database.fault(error) is not Fault.UNIT:
                raise
            row = None
        if row is None or row[0] != self._started_at_ms:
            raise BooksGone(f"the books do not know of {self.owner}: others, or an older copy")
