"""Books on both databases."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_entries import NOW_MS

from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.writer import Writer


@pytest.fixture(scope="session")
def sqlite_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    file = tmp_path_factory.mktemp("books") / "switch.sqlite3"
    session = Session(Database(f"sqlite:///{file}"))
    migrate(session)
    session.close()
    return file


@pytest.fixture
def sqlite_url(sqlite_books: Path, tmp_path: Path) -> str:
    """A SQLite file of the test's own; its tables are there already."""
    shutil.copy(sqlite_books, tmp_path)
    return f"sqlite:///{tmp_path / 'switch.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs on both databases."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    """The group engine alone, connected, on migrated books."""
    made = Writer(Database(url, lock_wait_ms=100), "test", lambda: NOW_MS, migrate)
    made.connect()
    yield made
    made.close()


@pytest.fixture
def session(writer: Writer, url: str) -> Iterator[Session]:
    """Another connection to the writer's books."""
    made = Session(Database(url, lock_wait_ms=100))
    yield made
    made.close()
