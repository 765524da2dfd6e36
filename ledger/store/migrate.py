"""Brings a database to the tables of ``schema``, on the connection that is going to use it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from acquirer.ledger.errors import SchemaError
from acquirer.ledger.store.database import Session
from acquirer.ledger.store.schema import SCHEMA_VERSION

_MIGRATION_LOCK = 0x61637169726572  # "acquirer"


def stored_version(session: Session) -> str:
    """The migration that a database stands at; empty where it has none of our tables."""
    table = (
        "SELECT count(*) FROM pg_tables WHERE tablename = 'alembic_version'"
        " AND schemaname = ANY (current_schemas(false))"
        if session.is_postgresql
        else "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
    )
    session.cursor.execute(table)
    if not session.cursor.fetchone()[0]:
        return ""
    session.cursor.execute("SELECT version_num FROM alembic_version")
    row = session.cursor.fetchone()
    return row[0] if row else ""


def only_adds(stored: str, known: str = SCHEMA_VERSION) -> bool:
    """Whether a later schema leaves all as it was for programs that know an earlier one.

    A migration that only adds says so in its name: ``0020.0018`` is 0020, and programs of 0018
    and later go on with it.

    >>> only_adds("0020.0018", "0018"), only_adds("0020.0018", "0019.0018")
    (True, True)
    >>> only_adds("0020.0018", "0017"), only_adds("0020", "0019"), only_adds("0018", "0018")
    (False, False, False)
    """
    number, _, oldest = stored.partition(".")
    mine = known.partition(".")[0]
    return bool(oldest) and oldest <= mine < number


def migrate(session: Session) -> None:
    """Create or renew the tables, in one transaction; nothing where they are as they should be.

    What a later version of the program has only added to stays as it is.

    Raises:
        SchemaError: the database was written by a later version of the program.
    """
    stored = stored_version(session)
    if stored == SCHEMA_VERSION or only_adds(stored):
        return
    # Alembic takes long to import, and most starts find nothing to migrate.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    engine = _borrowing_engine(session)
    # Detached, so that the end of the block does not close what it only borrows.
    connection = engine.connect()
    connection.detach()
    config.attributes["connection"] = connection
    try:
        with connection.begin():
            if session.is_postgresql:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaError(
            f"the database is at schema {stored_version(session)!r}, this program knows"
            f" {SCHEMA_VERSION!r}: it was written by another version"
        ) from error


def _borrowing_engine(session: Session) -> Engine:
    """An SQLAlchemy engine over the session's own connection, which has no other transaction."""
    url = "postgresql+psycopg://" if session.is_postgresql else "sqlite://"
    engine = create_engine(url, creator=lambda: session.connection, poolclass=NullPool)
    begin = "BEGIN" if session.is_postgresql else "BEGIN IMMEDIATE"
    # The driver's transaction control is off, so BEGIN is ours to emit.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
