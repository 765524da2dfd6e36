"""Versions of the business configuration in the books, on both databases."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from acquirer.ledger.journal.entries import (
    Entry,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.store import reads
from acquirer.ledger.store.configuration import (
    ChangeConfiguration,
    ConfigVersion,
    StoredConfiguration,
    config_history,
    current_epoch,
    read_configuration,
    stored_configuration,
)
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.writer import Writer

FIRST = ConfigVersion(
    "merchant", "M1", 1, 1, 0, '{"name":"a"}', 1_000, "system", "", "first start", None
)
SECOND = replace(FIRST, version=2, epoch=2, body='{"name":"b"}', made_by="li", replaces=1)
ROUTE = replace(FIRST, kind="route", key="1", place=1, body='{"bank":"demo"}')


def test_before_the_first_import_there_is_no_epoch(session: Session) -> None:
    """Books of an earlier version, and new ones, have epoch 0 and no version."""
    assert StoredConfiguration(0, ()) == stored_configuration(session)
    assert 0 == current_epoch(session)


def test_the_newest_version_of_each_key_is_in_force(
    writer: Writer, session: Session, url: str
) -> None:
    """What was there before stays to be read; those who only look see the same."""
    assert [None] == writer.commit([(ChangeConfiguration(1, (FIRST, ROUTE)),)])
    assert [None] == writer.commit([(ChangeConfiguration(2, (SECOND,)),)])
    now = StoredConfiguration(2, (SECOND, ROUTE))
    assert now == stored_configuration(session)
    with Database(url).read_only_engine().connect() as connection:
        assert now == read_configuration(connection)
        assert [FIRST, ROUTE, SECOND] == config_history(connection)
        assert [ROUTE] == config_history(connection, ("route",))


def test_of_two_changes_to_one_epoch_one_holds(writer: Writer, session: Session) -> None:
    """The other is told so, in one group or later, and leaves nothing behind."""
    one, other = ChangeConfiguration(1, (FIRST,)), ChangeConfiguration(1, (ROUTE,))
    done, failed = writer.commit([(one,), (other,)])
    assert (None, other) == (done, failed.step)
    assert writer.commit([(other,)])[0] is not None
    assert StoredConfiguration(1, (FIRST,)) == stored_configuration(session)


def test_a_change_holds_whole_or_not_at_all(writer: Writer, session: Session) -> None:
    """One version that is there already keeps all others out, and the epoch where it was."""
    writer.commit([(ChangeConfiguration(1, (FIRST,)),)])
    twice = replace(FIRST, epoch=2)
    assert writer.commit([(ChangeConfiguration(2, (replace(ROUTE, epoch=2), twice)),)])[0]
    assert StoredConfiguration(1, (FIRST,)) == stored_configuration(session)


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE config_versions SET body = '{}'",
        "UPDATE config_versions SET reason = 'other'",
        "DELETE FROM config_versions",
        "INSERT INTO config_epoch (id, epoch) VALUES (2, 9)",
    ],
)
def test_versions_are_never_changed(writer: Writer, session: Session, attempt: str) -> None:
    """The databases themselves refuse, whoever connects."""
    writer.commit([(ChangeConfiguration(1, (FIRST,)),)])
    with pytest.raises(Database.errors):
        session.cursor.execute(attempt)
    assert StoredConfiguration(1, (FIRST,)) == stored_configuration(session)


def test_an_entry_keeps_its_epoch(
    writer: Writer, session: Session, make_entry: Callable[..., Entry]
) -> None:
    """As it was begun under."""
    assert [None] == writer.commit([(InsertEntry(make_entry(1, epoch=7)),)])
    found = reads.entry(session, 1)
    assert found is not None
    assert 7 == found.epoch
