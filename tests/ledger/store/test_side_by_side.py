"""Two versions of the program at one PostgreSQL: expand, migrate, contract.

The later version is this one and two migrations that are made here: the first only adds and says so
in its name, the second takes away what the earlier version needs.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from ledger_entries import NOW_MS
from sqlalchemy import create_engine

from acquirer.ledger.accounts.postings import FeeRate, card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.errors import SchemaError
from acquirer.ledger.journal.entries import Entry, State
from acquirer.ledger.journal.steps import InsertEntry, UpdateEntry
from acquirer.ledger.reports.state import look_at_books
from acquirer.ledger.store import migrate as migrate_module
from acquirer.ledger.store.database import Database
from acquirer.ledger.store.opening import Opening
from acquirer.ledger.store.schema import SCHEMA_VERSION
from acquirer.ledger.store.writer import Writer

MakeEntry = Callable[..., Entry]
KNOWN = SCHEMA_VERSION.partition(".")[0]
EXPAND = f"9001.{KNOWN}"
CONTRACT = "9002"
MIGRATIONS = {
    "r9001_expand.py": f'''
import sqlalchemy as sa
from alembic import op
revision, down_revision = "{EXPAND}", "{SCHEMA_VERSION}"
def upgrade():
    tip = sa.Column("tip_minor", sa.BigInteger, server_default="0", nullable=False)
    op.add_column("journal", tip)
    op.create_table("tips", sa.Column("id", sa.BigInteger, primary_key=True))
    op.create_index("ix_journal_tip_minor", "journal", ["tip_minor"])
''',
    "r9002_contract.py": f'''
from alembic import op
revision, down_revision = "{CONTRACT}", "{EXPAND}"
def upgrade():
    op.drop_column("journal", "late_response_code")
''',
}


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The migrations of the later version."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(migrate_module.__file__).with_name("migrations"), folder)
    for name, text in MIGRATIONS.items():
        (folder / "versions" / name).write_text(text)
    return folder


def upgrade(url: str, migrations: Path, revision: str) -> None:
    """What a start of the later version does."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def started(url: str, name: str) -> Writer:
    """A process of the earlier version."""
    opening = Opening(name, lambda: NOW_MS, may_create=False)
    made = Writer(Database(url), name, lambda: NOW_MS, opening.on_connect)
    made.connect()
    return made


def sell(writer: Writer, entry: Entry) -> None:
    """A sale's two commits."""
    assert writer.commit([(InsertEntry(entry),)]) == [None]
    approve = UpdateEntry(entry.id, (State.SENT,), state=State.APPROVED, response_code="00")
    postings = card_sale(entry.amount_minor, FeeRate(60), bank="demo", merchant_id="M1")
    post = Post(entry.id, "156", entry.business_date, postings)
    assert writer.commit([(approve, post)]) == [None]


def test_the_earlier_version_sells_while_the_later_one_expands(
    postgresql_url: str, later: Path, make_entry: MakeEntry
) -> None:
    """On its open connection, on a new one, and after a start of its own; the books verify."""
    running = started(postgresql_url, "old-1")
    for number in range(1, 8):  # often enough that the driver has prepared its statements
        sell(running, make_entry(number))
    upgrade(postgresql_url, later, EXPAND)
    sell(running, make_entry(8))
    running.close()
    sell(running, make_entry(9))
    restarted = started(postgresql_url, "old-2")
    sell(restarted, make_entry(10))
    with psycopg.connect(postgresql_url) as later_version:
        later_version.execute("UPDATE journal SET tip_minor = 5 WHERE id = %s", [make_entry(8).id])
    sell(running, make_entry(11))
    running.close()
    restarted.close()
    with Database(postgresql_url).read_only_engine().connect() as connection:
        assert verify(connection).transfers == 22
        tips = connection.exec_driver_sql("SELECT sum(tip_minor) FROM journal").scalar()
    assert tips == 5
    assert EXPAND in look_at_books(postgresql_url, may_create=False).found


def test_the_earlier_version_is_refused_once_the_later_one_contracts(
    postgresql_url: str, later: Path
) -> None:
    """By its start, and by its check before."""
    upgrade(postgresql_url, later, CONTRACT)
    with pytest.raises(SchemaError, match="another version"):
        started(postgresql_url, "old-1")
    with pytest.raises(SchemaError, match="a later release wrote them"):
        look_at_books(postgresql_url, may_create=False)
