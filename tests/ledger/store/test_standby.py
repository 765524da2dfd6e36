"""Books on a primary whose commits wait for a standby: what counts, and what may be read."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from limits import comes
from pg_pair import PgPair

from acquirer.ledger.errors import BookUnavailable, BookUncertain
from acquirer.ledger.journal.entries import Entry
from acquirer.ledger.journal.steps import InsertEntry
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.opening import Opening
from acquirer.ledger.store.reads import entry
from acquirer.ledger.store.writer import Query, Unit, Writer

NOW_MS = 1_767_312_000_000
MakeEntry = Callable[..., Entry]


@pytest.fixture
def pair() -> Iterator[PgPair]:
    """Two servers."""
    made = PgPair()
    try:
        made.open()
        yield made
    finally:
        made.close()


def opened(url: str) -> Writer:
    """A switch's writer."""
    opening = Opening("switch-1", lambda: NOW_MS, may_create=True)
    made = Writer(Database(url), "switch-1", lambda: NOW_MS, opening.on_connect)
    made.connect()
    return made


class Asked(threading.Thread):
    """A unit that may have to wait."""

    def __init__(self, writer: Writer, unit: Unit) -> None:
        super().__init__(daemon=True)
        self._writer = writer
        self._unit = unit
        self.result: Any = None
        self.start()

    def run(self) -> None:
        """Commit it."""
        self.result = self._writer.commit([self._unit])[0]


def find(number: int) -> Query:
    """A read."""
    return Query(lambda session: entry(session, number))


def test_the_host_that_takes_writes_is_found(pair: PgPair, make_entry: MakeEntry) -> None:
    """Wherever it stands in the list: after a dead one, after a standby."""
    for number, hosts in enumerate([("dead", "a"), ("b", "a"), ("dead", "b", "a")], 1):
        database = Database(pair.url_of(*hosts))
        session = Session(database)
        session.cursor.execute("SELECT pg_is_in_recovery()")
        assert session.cursor.fetchone() == (False,)
        session.close()
        with database.read_only_engine().connect() as connection:
            assert connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar() is False
        writer = opened(pair.url_of(*hosts))
        assert writer.commit([(InsertEntry(make_entry(number)),)]) == [None]
        writer.close()


def test_only_standbys_are_nowhere_to_write(pair: PgPair) -> None:
    """A list without a primary: the books are unavailable, and nothing is believed."""

    def reason() -> str:
        with pytest.raises(BookUnavailable) as raised:
            opened(pair.url_of("dead", "b"))
        return str(raised.value)

    # Until then the database has not come to the standby.
    assert comes(lambda: "read-only" in reason())


def test_a_commit_that_did_not_reach_the_standby_is_uncertain(
    pair: PgPair, make_entry: MakeEntry
) -> None:
    """The server says COMMIT where an operator cancels the wait, but with a warning."""
    writer = opened(pair.url)
    pair.kill_standby()
    asked = Asked(writer, (InsertEntry(make_entry(1)),))
    assert comes(pair.waiting)
    assert asked.result is None
    pair.give_up()
    asked.join()
    assert isinstance(asked.result, BookUncertain)
    writer.close()


def test_what_a_crash_leaves_is_read_only_once_the_standby_has_it(
    pair: PgPair, make_entry: MakeEntry
) -> None:
    """A restarted primary shows what nobody was told of: the next failover may undo it."""
    writer = opened(pair.url)
    pair.kill_standby()
    first = Asked(writer, (InsertEntry(make_entry(1)),))
    assert comes(pair.waiting)
    pair.kill_primary()
    first.join()
    assert isinstance(first.result, BookUncertain)
    pair.restart_primary()
    again = Asked(writer, find(1))
    assert comes(pair.waiting)
    assert again.is_alive()
    pair.restart_standby()
    again.join()
    assert again.result.id == make_entry(1).id
    writer.close()


def test_a_read_connects_again(pair: PgPair) -> None:
    """After its connection was lost under it: it says so, and the next one is answered."""
    writer = opened(pair.url)
    pair.kill_primary()
    assert isinstance(writer.commit([find(1)])[0], BookUnavailable)
    pair.restart_primary()
    assert comes(lambda: writer.commit([find(1)]) == [None])
    writer.close()
