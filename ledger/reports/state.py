"""What a start would find where the books shall be, without making or changing anything."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from acquirer.ledger.errors import SchemaError
from acquirer.ledger.store.configuration import StoredConfiguration, read_configuration
from acquirer.ledger.store.database import Database
from acquirer.ledger.store.migrate import only_adds
from acquirer.ledger.store.schema import SCHEMA_VERSION

NOTHING = StoredConfiguration(0, ())


@dataclass(frozen=True, slots=True)
class BooksState:
    """Books as they were found.

    Attributes:
        found: in words.
        configuration: the business configuration in them; epoch 0 where there is none yet.
    """

    found: str
    configuration: StoredConfiguration = NOTHING


def look_at_books(url: str, *, may_create: bool) -> BooksState:
    """Look at the books.

    Args:
        url: SQLAlchemy URL.
        may_create: whether a start makes them where there are none.

    Raises:
        SchemaError: a start could not use them; the text says why, and what to do.
    """
    database = Database(url)
    file = database.file
    if database.kind == "sqlite" and (file is None or not file.exists()):
        if not may_create:
            raise SchemaError(f"there are no books at {file}; put them back, or restore a copy")
        if file is not None and not os.access(file.absolute().parent, os.W_OK):
            raise SchemaError(f"{file.parent} is no folder that can be written to; make it")
        return BooksState("no books yet; the first start makes them")
    try:
        with database.read_only_engine().connect() as connection:
            return _state(connection, may_create)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        cure = "does the database run, and do address, user, password and name fit?"
        raise SchemaError(f"{reason}; {cure}") from None


def _state(connection: Connection, may_create: bool) -> BooksState:
    if connection.dialect.name == "postgresql":
        _check_server(connection)
    tables = inspect(connection)
    found = ""
    if tables.has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""
    if not found:
        if not may_create:
            raise SchemaError("the database is empty, but there were books; restore a copy")
        return BooksState("no books yet; the first start makes them")
    if found > SCHEMA_VERSION and not only_adds(found):
        raise SchemaError(
            f"the books are at schema {found}, this program knows {SCHEMA_VERSION}: a later release"
            " wrote them; install that one"
        )
    stored = read_configuration(connection) if tables.has_table("config_versions") else NOTHING
    if found < SCHEMA_VERSION:
        state = f"schema {found}; a start brings it to {SCHEMA_VERSION}, so make a backup first"
        return BooksState(state, stored)
    return BooksState(f"schema {found}, configuration epoch {stored.epoch}", stored)


def _check_server(connection: Connection) -> None:
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
        raise SchemaError("the server is a standby and takes no writes; name the primary")
    may = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
    if not connection.execute(text(may)).scalar():
        raise SchemaError(
            "this user may not make tables there; make the database its own: ALTER DATABASE … OWNER"
        )
