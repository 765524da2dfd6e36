"""One connection to SQLite or PostgreSQL, and all that differs between them.

The drivers' own transaction control is off on both: ``Session`` emits BEGIN, SAVEPOINT and
COMMIT itself, because SQLAlchemy's and sqlite3's defaults commit too early around savepoints.
Statements are Core constructs compiled once (:class:`Sql`) and run on the driver's cursor, which
costs a fifth of ``Connection.execute``. Knows nothing of journals and ledgers.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import ClauseElement

from acquirer.ledger.errors import SchemaError

SQLITE_VERSION_MIN = (3, 37, 0)

Row = tuple[Any, ...]


class Cursor(Protocol):
    """What sqlite3's and psycopg's cursors have in common."""

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed."""

    def execute(self, sql: Any, parameters: Any = ..., /) -> Any:
        """Run one statement."""

    def executemany(self, sql: Any, parameters: Any, /) -> Any:
        """Run one statement for each row of parameters, in order."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""


class Fault(Enum):
    """What an exception of the driver means for the units of a transaction."""

    UNIT = "one of the units is wrong; the others can be tried without it"
    RETRY = "deadlock or serialisation failure; the same again may succeed"
    UNAVAILABLE = "the database refuses; nothing was written"
    LOST = "the connection is gone; what COMMIT did is not known"


class Sql:
    """A Core construct with named parameters, compiled once for each kind of database."""

    __slots__ = ("_compiled", "construct")

    def __init__(self, construct: ClauseElement) -> None:
        self.construct = construct
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def compiled(self, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """Text, names of the parameters in their order, and values that the construct fixes."""
        found = self._compiled.get(dialect.name)
        if found is None:
            done = self.construct.compile(dialect=dialect)
            names = tuple(getattr(done, "positiontup", None) or ())
            fixed = {key: value for key, value in done.params.items() if value is not None}
            found = self._compiled[dialect.name] = (str(done), names, fixed)
        return found


_DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


class Session:
    """A driver connection whose transactions we control ourselves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dialect = _DIALECTS[database.kind]
        self.is_postgresql = database.kind == "postgresql"
        self.connection = database.connect()
        self.cursor: Cursor = self.connection.cursor()
        self._notices: list[psycopg.errors.Diagnostic] = []
        if self.is_postgresql:
            self.connection.add_notice_handler(self._notices.append)
        self._begin = "BEGIN" if self.is_postgresql else "BEGIN IMMEDIATE"

    def begin(self) -> None:
        """Start a transaction that is going to write."""
        self.cursor.execute(self._begin)

    def commit(self) -> None:
        """Make it durable.

        Raises:
            psycopg.OperationalError: the server says that it is, but not that its replica has it
                (a wait for the replica that an operator has cancelled ends in a warning only), or
                that it is not.
        """
        self._notices.clear()
        self.cursor.execute("COMMIT")
        if not self.is_postgresql:
            return
        status = getattr(self.cursor, "statusmessage", "")
        if self._notices or status != "COMMIT":
            said = [notice.message_primary for notice in self._notices]
            raise psycopg.OperationalError(f"COMMIT ended in {status}, with {said}")

    def rollback(self) -> None:
        """Undo the transaction if there is one."""
        if self.in_transaction:
            self.cursor.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a failed one included."""
        if isinstance(self.connection, sqlite3.Connection):
            return self.connection.in_transaction
        status = self.connection.info.transaction_status
        return bool(status != psycopg.pq.TransactionStatus.IDLE)

    @property
    def broken(self) -> bool:
        """Whether the server is gone."""
        return self.is_postgresql and bool(self.connection.closed)

    def run(self, sql: Sql, /, **parameters: Any) -> Cursor:
        """Run a statement; parameters that are not named are what the construct fixed, or NULL."""
        text, names, fixed = sql.compiled(self.dialect)
        get = parameters.get
        self.cursor.execute(text, [get(name, fixed.get(name)) for name in names])
        return self.cursor

    def rows(self, sql: Sql, /, **parameters: Any) -> list[Row]:
        """All rows of a statement."""
        return self.run(sql, **parameters).fetchall()

    def row(self, sql: Sql, /, **parameters: Any) -> Row | None:
        """The only row of a statement, or None."""
        found = self.rows(sql, **parameters)
        return found[0] if found else None

    def changed(self, sql: Sql, /, **parameters: Any) -> int:
        """How many rows a statement changed."""
        return self.run(sql, **parameters).rowcount

    def run_rows(self, text: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement on many rows at once and count what it changed.

        Args:
            text: from ``statements``, with the place of the rows marked; see :func:`for_rows`.
            rows: of equal length.

        Returns:
            Number of rows changed. PostgreSQL takes the rows, and so their locks, in order.
        """
        if self.is_postgresql and len(rows) > 1:
            # Pipelined, and one prepared statement; a thousand parameters would be parsed anew.
            self.cursor.executemany(for_rows(text, 1, True), rows)
            return self.cursor.rowcount
        changed = 0
        start = 0
        left = len(rows)
        while left:
            # Powers of two: few different texts, so that drivers find them prepared.
            size = min(1 << (left.bit_length() - 1), ROWS_MAX)
            flat = [value for row in rows[start : start + size] for value in row]
            self.cursor.execute(for_rows(text, size, self.is_postgresql), flat)
            changed += self.cursor.rowcount
            start += size
            left -= size
        return changed

    def close(self) -> None:
        """Close the connection; what is not committed is gone."""
        self.connection.close()


ROWS_MAX = 64
_CAST = re.compile("::[a-z]+")
_POSTGRESQL = re.compile(r"postgresql(\+[a-z0-9]+)?://(.*)", re.DOTALL)
_URLS = "write sqlite:///FILE or postgresql://USER@HOST:PORT/NAME"

# A server whose machine or network has gone says nothing: it is given up after eleven seconds,
# and as a place to connect to after five. What the URL says goes first.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}


@lru_cache(maxsize=256)
def for_rows(text: str, size: int, is_postgresql: bool) -> str:
    """Repeat the part of a statement between ``[`` and ``]`` for each of ``size`` rows.

    PostgreSQL needs the casts, to know the columns' types, and its driver's marks are ``%s``.

    >>> for_rows("INSERT INTO t VALUES [(?, ?::bigint)]", 2, False)
    'INSERT INTO t VALUES (?, ?), (?, ?)'
    """
    head, rest = text.split("[")
    row, tail = rest.split("]")
    if is_postgresql:
        row = row.replace("?", "%s")
        head, tail = head.replace("%", "%%"), tail.replace("%", "%%")
    else:
        row = _CAST.sub("", row)
    return head + ", ".join([row] * size) + tail


def _sqlite_file(url: str) -> str:
    """The file of a SQLite URL, empty or ``:memory:`` in memory.

    Raises:
        SchemaError: it is none.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SchemaError(f"it is no database URL; {_URLS}") from None
    kind = parsed.get_backend_name()
    if kind != "sqlite":
        raise SchemaError(f"the books live in SQLite or PostgreSQL, not in {kind}")
    if parsed.host:
        raise SchemaError(f"a SQLite URL has three slashes or four; {_URLS}")
    return parsed.database or ""


def _server(url: str, after_scheme: str) -> dict[str, Any]:
    """libpq's parameters of a PostgreSQL URL; no message shows it, for it may hold a password.

    Lists of hosts with a port each are libpq's own; all else may also be written as SQLAlchemy
    takes it, with a password that is not percent-encoded.

    Raises:
        SchemaError: it is none.
    """
    text = f"postgresql://{after_scheme}"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        pass
    else:
        if twice := [name for name, value in parsed.query.items() if not isinstance(value, str)]:
            raise SchemaError(f"{twice[0]!r} stands in it twice; write host=A,B&port=A,B")
        text = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        # SQLAlchemy writes a blank as a plus sign, which libpq does not read as one.
        place, mark, query = text.partition("?")
        text = place + mark + query.replace("+", "%20")
    try:
        found = psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.ProgrammingError as error:
        said = str(error).strip()
        is_safe = said.startswith("invalid URI query parameter")
        raise SchemaError(f"{said if is_safe else 'it is no database URL'}; {_URLS}") from None
    ports = str(found.get("port", "")).split(",")
    if not all(port == "" or (port.isdecimal() and 0 < int(port) < 65_536) for port in ports):
        raise SchemaError(f"it is no database URL: a port is none; {_URLS}")
    return {**_PATIENCE, **found}


class Database:
    """Where the books are, and how to reach them.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` (in memory) or
            ``postgresql://…``, where several hosts may stand, as libpq takes them.
        lock_wait_ms: how long a statement waits for somebody else's lock.

    Attributes:
        kind: ``sqlite`` or ``postgresql``.

    Raises:
        SchemaError: the URL cannot be used.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, psycopg.Error)

    def __init__(self, url: str, *, lock_wait_ms: int = 2_000) -> None:
        self._file = ""
        self._server: dict[str, Any] = {}
        if named := _POSTGRESQL.fullmatch(url):
            self.kind = "postgresql"
            self._server = _server(url, named[2])
        else:
            self.kind = "sqlite"
            self._file = _sqlite_file(url)
            if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
                raise SchemaError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 is needed")
        self._lock_wait_ms = lock_wait_ms
        self._is_made = False

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None in memory and on PostgreSQL."""
        return None if self._file in ("", ":memory:") else Path(self._file)

    def connect(self) -> Any:
        """A new driver connection without transaction control of its own.

        Raises:
            sqlite3.Error or psycopg.Error: where there is none to be had.
        """
        return self._connect_sqlite() if self.kind == "sqlite" else self._connect_postgresql()

    def _connect_sqlite(self) -> sqlite3.Connection:
        # Only the first connection makes a file: later ones must find what it found.
        mode = "rw" if self._is_made else "rwc"
        connection = sqlite3.connect(
            f"{self.file.absolute().as_uri()}?mode={mode}" if self.file else ":memory:",
            uri=True,
            timeout=self._lock_wait_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        # Text that has rotted is read all the same: its row fails alone where it is looked at.
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        self._is_made = True
        return connection

    def _connect_postgresql(self) -> psycopg.Connection[Row]:
        # What is read under a lock must be what was committed before it: READ COMMITTED.
        # A time-out would end a COMMIT's wait for the replica, and leave it on one server only.
        options = (
            f"{self._server.get('options', '')} -c synchronous_commit=on"
            f" -c statement_timeout=0 -c lock_timeout={self._lock_wait_ms}"
            " -c default_transaction_isolation=read\\ committed"
        )
        connection = psycopg.connect(autocommit=True, **{**self._server, "options": options})
        # One type for all integers: else each magnitude makes another prepared statement.
        connection.adapters.register_dumper(int, Int8Dumper)
        return connection

    def read_only_engine(self) -> Engine:
        """An engine for reports beside a running switch: takes no lock, writes nothing.

        Each transaction of it sees one state of the books, however long it reads.
        """
        if self.kind == "postgresql":
            # Not by an option of the connection: with several hosts, one of which takes writes,
            # libpq would take it for one that does not.
            return create_engine(
                "postgresql+psycopg://",
                creator=lambda: psycopg.connect(**self._server),
                isolation_level="REPEATABLE READ",
                execution_options={"postgresql_readonly": True},
                poolclass=NullPool,
            )
        if self.file is None:
            raise SchemaError("books in memory cannot be read from outside")
        uri = f"{self.file.resolve().as_uri()}?mode=ro"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
            return connection

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine

    def fault(self, error: Exception, *, committing: bool = False) -> Fault:
        """Say what an exception of this database means.

        Args:
            error: what a statement raised.
            committing: whether the statement was COMMIT.
        """
        if isinstance(error, sqlite3.Error):
            return _sqlite_fault(error, committing)
        if isinstance(error, psycopg.Error):
            return _postgresql_fault(error, committing)
        return Fault.UNIT


_SQLITE_REFUSES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def _sqlite_fault(error: sqlite3.Error, committing: bool) -> Fault:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if committing and code == sqlite3.SQLITE_IOERR:
        # The commit frame may be in the log although its sync failed.
        return Fault.LOST
    if code in _SQLITE_REFUSES or committing:
        return Fault.UNAVAILABLE
    return Fault.UNIT


def _postgresql_fault(error: psycopg.Error, committing: bool) -> Fault:
    state = error.sqlstate or ""
    if state in ("40P01", "40001"):
        return Fault.RETRY
    # 08 connection, 53 resources, 55 not in the state (locks), 57 operator, 58 system, 25 r/o.
    refuses = state[:2] in ("08", "53", "55", "57", "58", "25", "XX")
    # Only what is certainly a refusal (constraints, conflicts, a failed or read-only transaction)
    # says that a COMMIT did nothing; 40003 is "statement completion unknown".
    if committing and (state[:2] not in ("23", "25", "40", "P0") or state == "40003"):
        return Fault.LOST
    if refuses or (
        not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    ):
        return Fault.UNAVAILABLE
    return Fault.UNIT
