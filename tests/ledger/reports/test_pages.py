"""Lists that are read page by page: whole, in order, and without holding the books."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from acquirer.ledger.reports import pages as module
from acquirer.ledger.reports.pages import pages
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.schema import instances

PAGE = 10


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows make several pages."""
    monkeypatch.setattr(module, "PAGE_ROWS", PAGE)


@pytest.fixture(params=["sqlite", "postgresql"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    """A reader of books with 25 instances, in which names and incarnations repeat."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    else:
        url = request.getfixturevalue("postgresql_url")
    session = Session(Database(url))
    migrate(session)
    rows = [(f"{name}{n}", name, n, 0) for name in "abcde" for n in range(5)]
    session.begin()
    columns = "owner, instance, incarnation, started_at_ms"
    session.run_rows(f"INSERT INTO instances ({columns}) VALUES [(?, ?, ?, ?)]", rows)
    session.commit()
    session.close()
    with Database(url).read_only_engine().connect() as connection:
        yield connection


KEY = [instances.c.instance, instances.c.incarnation]
WHOLE = [(name, n) for name in "abcde" for n in range(5)]


@pytest.mark.parametrize("limit", [None, 0, 1, PAGE, PAGE + 1, 2 * PAGE, 25, 26])
def test_every_row_once_in_order(reader: Connection, limit: int | None) -> None:
    """Up and down, over the ends of pages, as many as asked for."""
    found = pages(reader, select(*KEY), KEY, limit=limit)
    assert WHOLE[:limit] == [tuple(row) for row in found]
    found = pages(reader, select(*KEY), KEY, descending=True, limit=limit)
    assert WHOLE[::-1][:limit] == [tuple(row) for row in found]


def test_a_condition_of_the_query_stays(reader: Connection) -> None:
    """On every page."""
    query = select(instances).where(instances.c.incarnation > 1)
    assert 15 == len(list(pages(reader, query, KEY)))


def test_no_transaction_is_open_while_rows_are_looked_at(reader: Connection) -> None:
    """A reader who goes to lunch keeps no state of the books alive."""
    for _ in pages(reader, select(*KEY), KEY):
        assert not reader.in_transaction()


def test_no_more_is_read_than_was_asked_for(
    reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second page is read when the first has been given out."""
    executed: list[Any] = []
    execute: Callable[..., Any] = reader.execute

    def spied(*arguments: Any) -> Any:
        executed.append(arguments)
        return execute(*arguments)

    monkeypatch.setattr(reader, "execute", spied)
    found = pages(reader, select(*KEY), KEY)
    for _ in range(PAGE):
        next(found)
    assert 1 == len(executed)
    next(found)
    assert 2 == len(executed)
