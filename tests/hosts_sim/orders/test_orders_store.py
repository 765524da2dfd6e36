"""The merchant's books: durable, idempotent, readable from outside while they are written."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from acquirer.config.estate import Order
from acquirer.hosts_sim.orders.errors import NoBooksError, StoreError
from acquirer.hosts_sim.orders.lifecycle import EventDocument, EventFacts
from acquirer.hosts_sim.orders.store import (
    FILE_NAME,
    OrderStore,
    Outcome,
    Received,
    read_events,
    read_orders,
)

ORDERS = [Order("A", "m1", 10_000, "12", "Parcel|Box"), Order("B", "m1", 0, "3", "Prepaid")]


def received(event_id: str, kind: str, status: str, at_s: int, **changes: object) -> Received:
    """A signed event of order A, payment R1."""
    facts = EventFacts(
        order_no="A",
        merchant_id="m1",
        order_status=status,
        amount_minor=10_000,
        currency_code="156",
        means="cash",
        rrn="R1",
        stan="000042",
        terminal_id="10000001",
    )
    document = EventDocument(
        kind, f"2026-11-21T08:00:{at_s:02d}.000Z", msgspec.structs.replace(facts, **changes)
    )
    return Received(event_id, document, msgspec.json.encode(document))


PAID = received("e1", "order.paid", "01", 1)
CONFIRMED = received("e2", "order.payment_confirmed", "02", 2)
SIGNED = received("e3", "order.signed_for", "03", 3, signed_by="王")


@pytest.fixture
def store(tmp_path: Path) -> OrderStore:
    """Books with two orders."""
    books = OrderStore(tmp_path)
    books.seed(ORDERS, {"m1": "156"})
    return books


def test_an_orders_day_is_kept_and_can_be_read_by_others(store: OrderStore, tmp_path: Path) -> None:
    """While the books are open, another connection sees what was committed."""
    assert store.take([PAID, CONFIRMED, SIGNED]) == [Outcome("applied")] * 3
    paid, prepaid = read_orders(tmp_path)
    assert (paid.state, paid.status, paid.rrn, paid.stan, paid.means, paid.signed_by) == (
        "signed_for",
        "03",
        "R1",
        "000042",
        "cash",
        "王",
    )
    assert (paid.terminal_id, paid.events, paid.refused) == ("10000001", 3, 0)
    assert (prepaid.state, prepaid.events) == ("nothing_to_pay", 0)


def test_a_repeat_has_no_second_effect(store: OrderStore, tmp_path: Path) -> None:
    """Told by the id alone, also after newer events, and counted."""
    store.take([PAID, CONFIRMED])
    assert store.take([PAID, PAID]) == [Outcome("repeated")] * 2
    assert read_orders(tmp_path)[0].state == "confirmed"
    assert [row.deliveries for row in read_events(tmp_path)] == [3, 1]


def test_another_event_under_a_used_id_is_refused(store: OrderStore) -> None:
    """The first event keeps the id."""
    store.take([PAID])
    forged = received("e1", "order.cancelled", "04", 2)
    assert store.take([forged])[0].result == "impossible"


def test_a_refusal_shows_and_is_decided_anew_when_it_comes_again(
    store: OrderStore, tmp_path: Path
) -> None:
    """An event ahead of its predecessor waits; the log says so until it fits."""
    assert store.take([CONFIRMED])[0].result == "not_yet"
    assert (read_orders(tmp_path)[0].state, read_orders(tmp_path)[0].refused) == ("to_pay", 1)
    assert read_events(tmp_path)[0].reason == "order.payment_confirmed of an order that is to_pay"
    assert store.take([PAID, CONFIRMED]) == [Outcome("applied")] * 2
    assert (read_orders(tmp_path)[0].state, read_orders(tmp_path)[0].refused) == ("confirmed", 0)


def test_an_older_event_that_comes_late_is_history(store: OrderStore, tmp_path: Path) -> None:
    """A replayed dead letter is logged and accepted, and the order stays as it is."""
    store.take([received("e1", "order.paid", "01", 9)])
    late = received("e0", "order.exception", "05", 1)
    assert store.take([late])[0].result == "history"
    assert store.take([late])[0].result == "repeated"
    assert read_orders(tmp_path)[0].state == "paid"


def test_an_unknown_order_is_logged(store: OrderStore, tmp_path: Path) -> None:
    """Money that was paid for an order nobody knows must be found again."""
    assert store.take([received("e1", "order.paid", "01", 1, order_no="Z")])[0].result == (
        "unknown_order"
    )
    assert read_events(tmp_path)[0].order_no == "Z"


def test_orders_are_seeded_once(store: OrderStore, tmp_path: Path) -> None:
    """A restart keeps what has happened, and takes in orders that are new."""
    store.take([PAID])
    store.close()
    again = OrderStore(tmp_path)
    again.seed([*ORDERS, Order("C", "m1", 5, "1", "")], {"m1": "156"})
    assert [(row.order_no, row.state) for row in read_orders(tmp_path)] == [
        ("A", "paid"),
        ("B", "nothing_to_pay"),
        ("C", "to_pay"),
    ]


def test_a_failed_commit_writes_nothing(store: OrderStore, tmp_path: Path) -> None:
    """Another writer holds the books: all events of the call are refused and none is half there."""
    store._db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        store.take([PAID, CONFIRMED])
    other.execute("ROLLBACK")
    assert read_events(tmp_path) == []
    assert store.take([PAID]) == [Outcome("applied")]


def test_a_folder_without_books_is_named(tmp_path: Path) -> None:
    """Reading creates nothing."""
    with pytest.raises(NoBooksError, match=FILE_NAME):
        read_orders(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_books_that_cannot_be_opened_are_an_error_of_their_own(tmp_path: Path) -> None:
    """A file where the folder should be, and a file that is no database."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        OrderStore(tmp_path / "file")
    (tmp_path / FILE_NAME).write_text("no database at all, but long enough to be looked at")
    with pytest.raises(StoreError):
        OrderStore(tmp_path)
    with pytest.raises(StoreError):
        read_orders(tmp_path)
