"""Verification: sound books pass, and each way of tampering is named."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.anchors import anchor
from acquirer.ledger.accounts.postings import refund
from acquirer.ledger.accounts.transfer_steps import (
    OpenAccount,
    Post,
    Posting,
    PostPending,
    PostPendingResolve,
    PostReversed,
    Resolution,
)
from acquirer.ledger.accounts.verify import Verified, verify
from acquirer.ledger.errors import BooksDiffer
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    OrderRow,
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
    QueueEvent,
    QueueSaf,
    UpdateOrder,
)
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.schema import APPEND_ONLY
from acquirer.ledger.store.writer import Query, Writer

DATE = "2026-01-02"
SALE = (
    Posting("assets:scheme:demo", "liabilities:merchant:M1", 9_880, "sale"),
    Posting("assets:scheme:demo", "income:mdr", 120, "mdr"),
)


@pytest.fixture
def books(writer: Writer, url: str, make_entry: Callable[..., Entry]) -> Engine:
    """Small but whole books: each state, both phases, a limit, queues, two anchors."""
    approved = [make_entry(n, state=State.APPROVED) for n in (1, 2, 3)]
    voided, reversing = (make_entry(4, state=State.VOIDED), make_entry(5, state=State.REVERSING))
    others = [
        make_entry(10 + n, state=state)
        for n, state in enumerate((State.SENT, State.DECLINED, State.REFUSED, State.TIMED_OUT))
    ]
    refunded = make_entry(21, state=State.REFUNDED)
    refunds = [
        make_entry(n, kind="refund", state=State.APPROVED, amount_minor=amount, original_id=21)
        for n, amount in ((22, 4_000), (23, 6_000))
    ]
    pending = make_entry(20, kind="balance", state=State.APPROVED)
    units = [(InsertEntry(entry), Post(entry.id, "156", DATE, SALE)) for entry in approved]
    units += [(InsertEntry(e), Post(e.id, "156", DATE, SALE)) for e in (voided, reversing)]
    assert writer.commit([*units, *[(InsertEntry(entry),) for entry in others]]) == [None] * 9
    more = (
        PostReversed(4, 30, DATE),
        PostReversed(5, 31, DATE),
        PostReversed(3, 32, DATE),
        PostReversed(32, 33, DATE),
        InsertEntry(pending),
        PostPending(20, "156", DATE, SALE),
        PostPendingResolve(20, 34, DATE, Resolution.POST, (5_000, 0)),
        OpenAccount("liabilities:customer-funds:a", "156"),
        QueueSaf(SafItem(40, "demo", BankMessage.REVERSAL, 5, "98", 0, 0)),
        QueueEvent(Event("e1", "M1", "O1", "order.paid", "{}", 0, 0)),
        PutOrder(OrderRow("M1", "O1", "00", 100, "156", "1", "", 0)),
    )
    assert writer.commit([more]) == [None]
    units = [(InsertEntry(refunded), Post(21, "156", DATE, SALE))]
    for one in refunds:
        back = refund(one.amount_minor, 0, 9_000, bank="demo", merchant_id="M1")
        units.append((InsertEntry(one), Post(one.id, "156", DATE, back)))
    assert writer.commit(units) == [None] * 3
    for _ in range(2):
        assert isinstance(writer.commit([Query(lambda s: anchor(s, DATE, 7), True)])[0], bytes)
    return Database(url).read_only_engine()


def test_sound_books_pass(books: Engine) -> None:
    """And the report says how much was looked at."""
    with books.connect() as connection:
        assert verify(connection) == Verified(
            accounts=4, transfers=26, chains=1, anchors=2, entries=13
        )


TAMPERED = {
    "balance": (
        "UPDATE accounts SET debits_posted = debits_posted + 1 WHERE name = 'assets:scheme:demo'",
        "account assets:scheme:demo .*: debits_posted is .*, its transfers sum to",
    ),
    "amount": (
        "UPDATE transfers SET amount_minor = amount_minor + 1 WHERE event_id = 1",
        r"transfer \d+ was edited",
    ),
    "accounts swapped": (
        "UPDATE accounts SET name = 'liabilities:merchant:M2'"
        " WHERE name = 'liabilities:merchant:M1'",
        r"transfer \d+ was edited",
    ),
    "last transfer gone": (
        "DELETE FROM transfers WHERE id = (SELECT max(id) FROM transfers)",
        "ends at 25, its head says 26",
    ),
    "first transfer gone": (
        "DELETE FROM transfers WHERE id = (SELECT min(id) FROM transfers)",
        "has no transfer 1",
    ),
    "all of it gone with its head": (
        "DELETE FROM transfers; UPDATE chains SET chain_seq = 0, chain_hash = {zeros}",
        "is not what anchor 1",
    ),
    "anchor edited": ("UPDATE chain_anchors SET created_at_ms = 8 WHERE id = 2", "anchor 2 was"),
    "anchor gone": ("DELETE FROM chain_anchors WHERE id = 1", "anchor 1 is missing"),
    "declined but posted": ("UPDATE journal SET state = 'declined' WHERE id = 1", "has transfers"),
    "reversed but posted": (
        "UPDATE journal SET state = 'reversed' WHERE id = 3",
        "should have no effect, its transfers come to 10000",
    ),
    "approved but undone": (
        "UPDATE journal SET state = 'approved' WHERE id = 4",
        "is for 10000, its transfers come to 0",
    ),
    "refunded in part only": (
        "UPDATE journal SET original_id = 1 WHERE id = 22",
        "entry 21 .* is for 10000, its refunds come to 6000",
    ),
    "refunded after it was voided": (
        "UPDATE journal SET original_id = 4 WHERE id = 22",
        "entry 4 .* cannot be refunded",
    ),
    "another amount": (
        "UPDATE journal SET amount_minor = 1 WHERE id = 2",
        "is for 1, its transfers come to 10000",
    ),
    "entry gone": ("DELETE FROM journal WHERE id = 1", "belongs to no journal entry"),
    "state unknown": ("UPDATE journal SET state = 'lost' WHERE id = 10", "no such state"),
    "saf stray": ("UPDATE saf SET original_id = 99", "undoes an entry that is missing"),
    "event done and dead": (
        "UPDATE outbox SET delivered_at_ms = 1, dead_at_ms = 1",
        "outbox item e1 is both done and dead",
    ),
    "order": ("UPDATE orders SET payment_id = 1", "order O1 of M1: payment_id is 1"),
}


def test_tampering_is_found(books: Engine, session: Session) -> None:
    """Somebody with the database's password drops the triggers and edits; verify names it."""
    zeros = "'\\x" if session.is_postgresql else "x'"
    for name, (statements, message) in TAMPERED.items():
        with _tampering(session) as connection:
            for statement in statements.replace("{zeros}", f"{zeros}{'00' * 32}'").split("; "):
                session.cursor.execute(statement)
            with pytest.raises(BooksDiffer) as found:
                verify(connection)
        assert re.search(message, str(found.value)), f"{name}: {found.value}"
    with books.connect() as connection:
        verify(connection)


def test_an_order_in_payment_refers_to_its_entry(
    writer: Writer, books: Engine, make_entry: Callable[..., Entry]
) -> None:
    """The sound case beside the tampered one."""
    entry = make_entry(50, order_no="O1")
    claim = UpdateOrder("M1", "O1", ("00", None, None), ("00", 50, None))
    assert writer.commit([(InsertEntry(entry), claim)]) == [None]
    with books.connect() as connection:
        assert verify(connection).entries == 14


@contextmanager
def _tampering(session: Session) -> Iterator[Connection]:
    """A transaction of the session without triggers, seen by SQLAlchemy too, and undone."""
    if not session.is_postgresql:
        session.cursor.execute("PRAGMA foreign_keys = OFF")
    url = "postgresql+psycopg://" if session.is_postgresql else "sqlite://"
    engine = create_engine(url, creator=lambda: session.connection, poolclass=NullPool)
    connection = engine.connect()
    # Borrowed: closing it must not close the session's own. A first connect rolls back.
    connection.detach()
    session.begin()
    if session.is_postgresql:
        for table in APPEND_ONLY:
            session.cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    else:
        session.cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in session.cursor.fetchall():
            session.cursor.execute(f"DROP TRIGGER {name}")
    try:
        yield connection
    finally:
        session.rollback()
