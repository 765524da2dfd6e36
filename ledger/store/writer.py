"""The group engine: many units of work, one transaction, each succeeding or failing alone.

Pure but for its connection: it knows no thread, no queue and no trio (see ``drivers.py``). A
group first runs *together*: the same first step of many units is one statement. If anything does
not hold there, the group is rolled back and runs *in turn*, unit by unit in one transaction; if
a unit breaks even then, each unit gets a transaction of its own, so that one poisoned unit hurts
nobody else. Units of a group are under way at the same time, so their results are those of some
order, not of the queue's. Reads run before the transaction. Start reading at ``Writer.commit``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from acquirer.ledger.accounts.accounting import Accounting
from acquirer.ledger.errors import (
    BookError,
    BooksGone,
    BookUnavailable,
    BookUncertain,
    UnitRefused,
)
from acquirer.ledger.journal.steps import (
    CommitResult,
    Failed,
    InsertEntry,
    PutOrder,
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.owed.advices import LimitAdvised
from acquirer.ledger.store import statements as sql
from acquirer.ledger.store.book_files import BookFiles
from acquirer.ledger.store.database import Database, Fault, Session
from acquirer.ledger.store.limit_counts import lock_limits
from acquirer.ledger.store.rows import ENTRY_COLUMNS, entry_row, update_row
from acquirer.ledger.store.steps import ALWAYS_HOLD, RUN, SEVERAL_ROWS

RETRIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Query:
    """A unit that is a function: a read, or a claim that reads and writes.

    Attributes:
        call: gets the session, returns the unit's result.
        writes: whether it must run inside the group's transaction.
    """

    call: Callable[[Session], Any]
    writes: bool = False


Unit = tuple[Step, ...] | Query
Result = Any  # what a Query returns, a CommitResult, or the BookError to raise


class _Surprise(Exception):
    """Something did not hold while the group ran together."""


class Writer:
    """Owns the one connection that writes.

    Args:
        database: where the books are.
        instance: whose chain the transfers join.
        clock_ms: wall clock, milliseconds since 1970 UTC.
        on_connect: runs on each new connection before it is used, such as to take the
            instance's lock; what it raises makes the books unavailable until it succeeds.
        files: of SQLite books, to notice when they go.
    """

    def __init__(
        self,
        database: Database,
        instance: str,
        clock_ms: Callable[[], int],
        on_connect: Callable[[Session], None],
        files: BookFiles | None = None,
    ) -> None:
        self._database = database
        self._instance = instance
        self._clock_ms = clock_ms
        self._on_connect = on_connect
        self._files = files
        self._session: Session | None = None
        self._accounting: Accounting | None = None
        self._gone = ""

    # --- connection ---------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the connection if there is none.

        Raises:
            BookUnavailable: the database cannot be reached, or ``on_connect`` refused.
            BooksGone: these are not the books of the connection before, or were not when they
                could last be reached.
        """
        if self._session is not None:
            return
        try:
            self._connect()
        except BooksGone as error:
            self._gone = str(error)
            raise
        except BookUnavailable as error:
            if self._gone:
                raise BooksGone(self._gone) from error
            raise
        self._gone = ""

    def _connect(self) -> None:
        if reason := self.gone():
            raise BooksGone(reason)
        session = None
        try:
            session = Session(self._database)
            self._on_connect(session)
            accounting = Accounting(session, self._instance)
            accounting.load_chain()
            if self._accounting is not None and accounting.is_behind(self._accounting):
                raise BooksGone("the books are older than what was written here: a copy")
        except BookError:
            if session is not None:
                session.close()
            raise
        except Exception as error:
            if session is not None:
                session.close()
            if self._database.fault(error) is Fault.UNIT:
                raise
            raise BookUnavailable(f"cannot open the database: {_reason(error)}") from error
        self._session, self._accounting = session, accounting
        if self._files is not None:
            self._files.opened()

    def gone(self) -> str:
        """What has become of the books' files; empty where they are there. Of any thread."""
        return self._files.gone() if self._files is not None else ""

    def close(self) -> None:
        """Close the connection."""
        if self._files is not None:
            self._files.closed()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _drop(self) -> None:
        try:
            self.close()
        except self._database.errors:
            self._session = None

    # --- groups -------------------------------------------------------------------------------

    def commit(self, units: Sequence[Unit]) -> list[Result]:
        """Commit a group.

        Args:
            units: tuples of steps, and queries.

        Returns:
            One result per unit: None (committed), ``Failed``, what a query returned, or a
            ``BookError`` for the caller to raise. All of it is durable on return.
        """
        results: list[Result] = [None] * len(units)
        writing: list[int] = []
        for index, unit in enumerate(units):
            if isinstance(unit, Query) and not unit.writes:
                results[index] = self._read(unit)
            else:
                writing.append(index)
        if writing:
            for index, result in zip(
                writing, self._write([units[i] for i in writing]), strict=True
            ):
                results[index] = result
        return results

    def _read(self, query: Query) -> Result:
        try:
            self.connect()
            assert self._session is not None
            return query.call(self._session)
        except BookError as error:
            if isinstance(error, BooksGone):
                self._gone = str(error)
                self._drop()
            return error
        except Exception as error:
            if self._session is not None and self._session.broken:
                self._drop()
            return self._failure(error)

    def _write(self, units: list[Unit]) -> list[Result]:
        how = self._together
        for _ in range(RETRIES_MAX):
            try:
                return self._transaction(units, how)
            except _Surprise:
                how = self._in_turn
            except BookError as error:
                return [error] * len(units)
            except Exception as error:
                fault = self._database.fault(error)
                if fault is Fault.RETRY:
                    how = self._in_turn
                elif fault is Fault.UNIT and len(units) > 1:
                    return [result for unit in units for result in self._write([unit])]
                else:
                    return [self._failure(error)] * len(units)
        return [BookUnavailable("gave up after repeated deadlocks")] * len(units)

    def _failure(self, error: Exception) -> BookError:
        wrong = self._database.fault(error) is Fault.UNIT
        kind = UnitRefused if wrong else BookUnavailable
        refused = kind(f"the database refuses: {_reason(error)}")
        refused.__cause__ = error
        return refused

    def _transaction(
        self,
        units: list[Unit],
        how: Callable[[Session, Accounting, list[Unit]], list[Result]],
    ) -> list[Result]:
        self.connect()
        session, accounting = self._session, self._accounting
        assert session is not None
        assert accounting is not None
        try:
            session.begin()
            lock_limits(session, units)
            accounting.begin(self._clock_ms())
            results = how(session, accounting, units)
            accounting.finish()
        except Exception as error:
            self._roll_back(session, accounting)
            if isinstance(error, BookError):
                self._drop()
            raise
        try:
            session.commit()
        except Exception as error:
            self._roll_back(session, accounting)
            if self._database.fault(error, committing=True) is Fault.LOST:
                self._drop()
                raise BookUncertain(f"lost while committing: {_reason(error)}") from error
            raise
        accounting.committed()
        return results

    def _roll_back(self, session: Session, accounting: Accounting) -> None:
        accounting.rolled_back()
        try:
            session.rollback()
        except self._database.errors:
            self._drop()
        else:
            if session.broken:
                self._drop()

    # --- together: the same first step of many units is one statement -------------------------

    def _together(
        self, session: Session, accounting: Accounting, units: list[Unit]
    ) -> list[Result]:
        inserts: list[tuple[Any, ...]] = []
        updates: dict[int, tuple[Any, ...]] = {}
        rest: list[Step] = []
        alone: list[int] = []
        for index, unit in enumerate(units):
            if isinstance(unit, Query) or not _holds_after_first(unit):
                alone.append(index)
                continue
            first = unit[0]
            if isinstance(first, InsertEntry):
                inserts.append(entry_row(first.entry))
            elif isinstance(first, UpdateEntry) and first.id not in updates:
                updates[first.id] = update_row(first)
            else:
                alone.append(index)
                continue
            rest += unit[1:]
        if session.is_postgresql:
            inserts.sort(key=_ENTRY_KEY)
        if inserts and session.run_rows(sql.INSERT_ENTRIES, inserts) != len(inserts):
            raise _Surprise
        rows = [updates[id] for id in sorted(updates)]
        if rows and session.run_rows(sql.UPDATE_ENTRIES, rows) != len(rows):
            raise _Surprise
        for step in rest:
            if not RUN[type(step)](session, accounting, step):
                raise _Surprise
        results: list[Result] = [None] * len(units)
        self._apply_all(session, accounting, units, alone, results)
        return results

    # --- in turn ------------------------------------------------------------------------------

    def _in_turn(self, session: Session, accounting: Accounting, units: list[Unit]) -> list[Result]:
        results: list[Result] = [None] * len(units)
        self._apply_all(session, accounting, units, list(range(len(units))), results)
        return results

    def _apply_all(
        self,
        session: Session,
        accounting: Accounting,
        units: list[Unit],
        indexes: list[int],
        results: list[Result],
    ) -> None:
        if session.is_postgresql:
            indexes = sorted(indexes, key=lambda index: _lock_key(units[index]))
        for index in indexes:
            results[index] = self._apply(session, accounting, units[index])

    def _apply(self, session: Session, accounting: Accounting, unit: Unit) -> Result:
        if isinstance(unit, Query):
            return unit.call(session)
        if len(unit) == 1 and type(unit[0]) not in SEVERAL_ROWS:
            return self._run_steps(session, accounting, unit)
        # Steps that read transfers write the staged ones first; those are not this unit's.
        accounting.flush()
        mark = accounting.mark()
        session.cursor.execute("SAVEPOINT unit")
        failed = self._run_steps(session, accounting, unit)
        if failed is not None:
            session.cursor.execute("ROLLBACK TO SAVEPOINT unit")
            accounting.back_to(mark)
        session.cursor.execute("RELEASE SAVEPOINT unit")
        return failed

    def _run_steps(
        self, session: Session, accounting: Accounting, unit: tuple[Step, ...]
    ) -> CommitResult:
        for step in unit:
            if not RUN[type(step)](session, accounting, step):
                return Failed(step)
        return None


def _holds_after_first(unit: tuple[Step, ...]) -> bool:
    """Whether only the first step of a unit can be expected not to hold."""
    return len(unit) == 1 or all(type(step) in ALWAYS_HOLD for step in unit[1:])


# Writers of several processes lock rows in one order, so that they do not wait crosswise.
_ENTRY_KEY = itemgetter(*(ENTRY_COLUMNS.index(name) for name in ("terminal_id", "batch", "stan")))


def _lock_key(unit: Unit) -> tuple[str, str, int]:
    """The order, or else the card, or else the entry, that a unit locks."""
    if not isinstance(unit, Query):
        for step in unit:
            if isinstance(step, PutOrder):
                return (step.order.merchant_id, step.order.order_no, 0)
            if isinstance(step, UpdateOrder):
                return (step.merchant_id, step.order_no, 0)
        for step in unit:
            if isinstance(step, LimitAdvised):
                return ("", step.pan_token.hex(), 0)
        for step in unit:
            if isinstance(step, UpdateEntry):
                return ("", "", step.id)
    return ("", "", 0)


def _reason(error: Exception) -> str:
    """An error's first line: database errors quote whole rows in the lines after it."""
    return str(error).partition("\n")[0] or type(error).__name__
