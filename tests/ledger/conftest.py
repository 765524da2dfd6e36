"""Books on both databases, and entries to put into them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acquirer.ledger.database import Database, Session
from acquirer.ledger.entries import CardRecord, Entry, Role, State
from acquirer.ledger.migrate import migrate
from acquirer.ledger.writer import Writer

NOW_MS = 1_767_312_000_000
OWNER = "test#1.0"


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


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """Makes journal entries that differ by their number and what the test says."""

    def make(number: int, **changes: Any) -> Entry:
        fields: dict[str, Any] = {
            "id": number,
            "rrn": f"{number:012d}",
            "role": Role.ORIGINAL,
            "kind": "sale",
            "mti": "0200",
            "processing_code": "000000",
            "transaction_type": "22",
            "terminal_id": "00000001",
            "merchant_id": "M1",
            "batch": "000001",
            "stan": f"{number:06d}",
            "amount_minor": 10_000,
            "currency_code": "156",
            "fingerprint": bytes(16),
            "state": State.SENT,
            "owner": OWNER,
            "lease_until_ms": NOW_MS + 60_000,
            "created_at_ms": NOW_MS,
            "business_date": "2026-01-02",
            "card": CardRecord("622588******0007", bytes(16), bytes(44)),
            "bank": "demo",
            "bank_stan": f"{number:06d}",
            "transmission_at": "0102030405",
            "reply": {37: f"{number:012d}"},
        }
        return Entry(**{**fields, **changes})

    return make
