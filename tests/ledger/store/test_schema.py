"""The tables: migrations and what the databases themselves refuse."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from acquirer.ledger.accounts.transfer_steps import (
    OpenAccount,
    Post,
    Posting,
)
from acquirer.ledger.errors import SchemaError
from acquirer.ledger.journal.entries import (
    Entry,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.store import migrate as migrate_module
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate, stored_version
from acquirer.ledger.store.schema import APPEND_ONLY, SCHEMA_VERSION, metadata
from acquirer.ledger.store.writer import Writer


def test_migrations_make_the_tables_of_the_schema(writer: Writer, url: str) -> None:
    """What the program believes and what a database gets are the same."""
    with create_engine(url.replace("postgresql:", "postgresql+psycopg:")).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


JOURNAL_RULES = {
    False: "SELECT sql FROM sqlite_master WHERE tbl_name = 'journal' AND sql IS NOT NULL",
    True: "SELECT indexdef FROM pg_indexes WHERE tablename = 'journal' UNION ALL"
    " SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'journal'::regclass",
}


# Nobody finds another kind by its card, or by when it runs out.
OF_ONE_KIND = {"ix_journal_preauths": Kind.PREAUTH, "ix_journal_open_preauths": Kind.PREAUTH}


def test_no_rule_of_the_journal_names_kinds(session: Session) -> None:
    """A kind that is added needs no migration: no table, index or check lists kinds."""
    migrate(session)
    session.cursor.execute(JOURNAL_RULES[session.is_postgresql])
    rules = [str(row[0]) for row in session.cursor.fetchall()]
    assert any("ix_journal_takings" in rule for rule in rules)
    named = {(rule, kind) for rule in rules for kind in Kind if f"'{kind}'" in rule}
    known = {(rule, kind) for rule in rules for name, kind in OF_ONE_KIND.items() if name in rule}
    assert known == named


def test_the_newest_migration_is_the_schema_version() -> None:
    """The short cut past alembic must not skip a migration."""
    config = Config()
    folder = Path(migrate_module.__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]


def test_migrating_twice_changes_nothing(session: Session) -> None:
    """A second start finds everything in its place."""
    migrate(session)
    assert stored_version(session) == SCHEMA_VERSION


def test_books_of_a_later_version_are_refused(session: Session) -> None:
    """An old program must not write into tables that it does not know."""
    session.cursor.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="another version"):
        migrate(session)


ATTEMPTS = (
    "UPDATE transfers SET amount_minor = 1",
    "DELETE FROM transfers",
    "UPDATE chain_anchors SET heads = ''",
    "DELETE FROM chain_anchors",
    "INSERT INTO transfers SELECT id + 1, event_id, debit_account_id, debit_account_id,"
    " amount_minor, currency_code, code, phase, pending_id, reverses_id, expires_at_ms,"
    " business_date, created_at_ms, writer, chain_seq + 1, chain_hash FROM transfers",
)


def test_history_cannot_be_written_again(
    writer: Writer, session: Session, make_entry: Callable[..., Entry]
) -> None:
    """Triggers and checks of the database itself refuse, whoever connects."""
    posting = Posting("assets:scheme:demo", "liabilities:merchant:M1", 100, "sale")
    post = Post(1, "156", "2026-01-02", (posting,))
    assert writer.commit([(InsertEntry(make_entry(1)), post)]) == [None]
    hash_literal = "'\\x00'" if session.is_postgresql else "x'00'"
    session.cursor.execute(
        f"INSERT INTO chain_anchors VALUES (1, '2026-01-02', 0, '[]', {hash_literal})"
    )
    for attempt in ATTEMPTS:
        with pytest.raises(Database.errors):
            session.cursor.execute(attempt)
    session.cursor.execute("SELECT count(*), sum(amount_minor) FROM transfers")
    assert session.cursor.fetchall() == [(1, 100)]
    session.cursor.execute("SELECT heads FROM chain_anchors")
    assert session.cursor.fetchall() == [("[]",)]


def test_postgresql_refuses_to_truncate_history(postgresql_url: str) -> None:
    """TRUNCATE would pass row triggers by."""
    session = Session(Database(postgresql_url))
    for table in APPEND_ONLY:
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            session.cursor.execute(f"TRUNCATE {table}")
    session.close()


def test_the_database_itself_holds_a_limit(writer: Writer, session: Session) -> None:
    """Even a statement past the writer cannot take a limited account below zero."""
    writer.commit([(OpenAccount("liabilities:customer-funds:x", "156"),)])
    with pytest.raises(Database.errors):
        session.cursor.execute("UPDATE accounts SET debits_pending = 1")
