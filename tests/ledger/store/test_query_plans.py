"""No query of the hot path or of a worker walks a table that only grows."""

from __future__ import annotations

from types import ModuleType

import pytest

from acquirer.ledger.owed import leases, notices, open_work, orphans, queues
from acquirer.ledger.reports import gauges, takings
from acquirer.ledger.store import reads
from acquirer.ledger.store.database import Database, Session, Sql
from acquirer.ledger.store.migrate import migrate

GROWING = ("journal", "saf", "outbox", "transfers", "orders")


def queries() -> list[tuple[str, Sql]]:
    """Every query of the modules that read the books of a running switch."""
    modules: tuple[ModuleType, ...] = (
        gauges,
        leases,
        notices,
        open_work,
        orphans,
        queues,
        reads,
        takings,
    )
    return [
        (f"{module.__name__}.{name}", value)
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Sql)
    ]


@pytest.fixture(scope="module")
def session() -> Session:
    """Empty books in memory."""
    made = Session(Database("sqlite://"))
    migrate(made)
    return made


@pytest.mark.parametrize("query", [pytest.param(query, id=name) for name, query in queries()])
def test_every_query_has_an_index(query: Sql, session: Session) -> None:
    """SQLite says how it would go about it; a bare SCAN is a walk over all rows."""
    text, names, _ = query.compiled(session.dialect)
    session.cursor.execute("EXPLAIN QUERY PLAN " + text, [1] * len(names))
    steps = [row[3] for row in session.cursor.fetchall()]
    walks = [step for step in steps if step in {f"SCAN {table}" for table in GROWING}]
    assert [] == walks, steps
