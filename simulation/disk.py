"""The switch's simulated disk: a SQLite database in memory files, slow, refusing, lying, dying.

Everything above SQLite is the real thing: statements, writer, driver. A commit may be refused, or
be reported lost although it was made, or although it was not; the process may die just before it
or just after. What was not committed then is gone.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from acquirer.ledger.book import Book, open_book
from acquirer.ledger.store.database import Database
from acquirer.ledger.store.drivers import Driver, InlineDriver
from acquirer.ledger.store.writer import Writer
from acquirer.simulation.clock import DayClock
from acquirer.simulation.day import Faults
from acquirer.simulation.trace import Trace

DISK_MIN_S, DISK_MAX_S = 0.0002, 0.003


class Disk:
    """What one life of the switch's process does to the database.

    Args:
        kill: makes the process die at this instant.
        is_away: whether the database cannot be reached at all.
    """

    def __init__(
        self,
        faults: Faults,
        trace: Trace,
        agenda: DayClock,
        kill: Callable[[], None],
        is_away: Callable[[], bool],
    ) -> None:
        self.is_dead = False
        self._faults = faults
        self._trace = trace
        self._agenda = agenda
        self._kill = kill
        self._is_away = is_away
        self._delay = 0

    def soon(self, act: Callable[[], object]) -> None:
        """Let the writer work after the time that a disk takes."""
        self._delay = (self._delay * 5 + 3) % 17
        delay_s = DISK_MIN_S + (DISK_MAX_S - DISK_MIN_S) * self._delay / 17
        self._agenda.after(delay_s, lambda: self.is_dead or act())

    def execute(self, run: Callable[..., Any], sql: str, parameters: Any) -> Any:
        """Run one statement, or fail."""
        if self.is_dead or self._is_away():
            raise refusal(sqlite3.SQLITE_IOERR)
        if sql == "COMMIT":
            return self._commit(run)
        if self._faults.rates and sql == "BEGIN IMMEDIATE" and self._faults.strikes("db_refuses"):
            self._trace.note("disk", "busy")
            raise refusal(sqlite3.SQLITE_BUSY)
        return run(sql, parameters)

    def _commit(self, run: Callable[..., Any]) -> Any:
        faults, trace = self._faults, self._trace
        if faults.strikes("kill"):
            form = faults.choice("kill", ("before", "after"))
            if form == "after":
                run("COMMIT", ())
            trace.note("disk", f"dies {form} COMMIT")
            self._kill()
            raise refusal(sqlite3.SQLITE_IOERR)
        if faults.strikes("db_refuses"):
            trace.note("disk", "full at COMMIT")
            raise refusal(sqlite3.SQLITE_FULL)
        if faults.strikes("db_lost"):
            form = faults.choice("db_lost", ("COMMIT", "ROLLBACK"))
            run(form, ())
            trace.note("disk", f"lost at COMMIT, did {form}")
            raise refusal(sqlite3.SQLITE_IOERR)
        trace.bytes(b"COMMIT")
        return run("COMMIT", ())


def refusal(code: int) -> sqlite3.OperationalError:
    """SQLite's error of this primary code."""
    error = sqlite3.OperationalError(f"simulated error {code}")
    error.sqlite_errorcode = code
    return error


class _Cursor(sqlite3.Cursor):
    """Passes every statement by the disk."""

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        """Run one statement."""
        connection = self.connection
        assert isinstance(connection, _Connection)
        connection.disk.execute(super().execute, sql, parameters)
        return self


class _Connection(sqlite3.Connection):
    """A connection whose statements pass by a disk."""

    disk: Disk

    def cursor(self, factory: Any = None) -> Any:
        """A cursor that passes by the disk."""
        return super().cursor(_Cursor)


class SimDatabase(Database):
    """A database file whose connections pass by a disk.

    Args:
        file: its path.
        disk: what one life of a process does to it.
        is_shared: whether another process has it, too, as on a server: nobody locks the file.
    """

    def __init__(self, file: Path, disk: Disk, *, is_shared: bool = False) -> None:
        super().__init__(f"sqlite:///{file}")
        self.disk = disk
        self._path = file
        self._is_shared = is_shared

    @property
    def file(self) -> Path | None:
        """The file, where it is this process's alone."""
        return None if self._is_shared else self._path

    def connect(self) -> Any:
        """A connection; synchronous is off, for nothing here survives the machine."""
        if self.disk.is_dead:
            raise refusal(sqlite3.SQLITE_CANTOPEN)
        connection = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, factory=_Connection
        )
        connection.disk = self.disk
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def open_sim_book(
    database: SimDatabase, instance: str, clock_ms: Callable[[], int]
) -> AbstractAsyncContextManager[Book]:
    """The books on a simulated disk."""

    def driver(writer: Writer, queue_units_max: int, group_units_max: int) -> Driver:
        return InlineDriver(writer, queue_units_max, group_units_max, soon=database.disk.soon)

    return open_book(database, instance, clock_ms=clock_ms, driver=driver)


_templates: dict[Path, Path] = {}


async def new_database(folder: Path, file: Path) -> None:
    """An empty database with all tables, copied from one that is made once."""
    template = _templates.get(folder)
    if template is None:
        template = folder / "template.sqlite3"
        async with open_book(
            f"sqlite:///{template}", "template", clock_ms=lambda: 0, driver="inline"
        ):
            pass
        _templates[folder] = template
    shutil.copyfile(template, file)
