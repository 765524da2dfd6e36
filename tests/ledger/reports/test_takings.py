"""A merchant's day by means of payment, as a till asks for it."""

from collections.abc import Callable

from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.reports.takings import QUERY, Takings, takings
from acquirer.ledger.store.database import Session
from acquirer.ledger.store.writer import Writer


def test_takings_are_what_stands_by_means(
    writer: Writer, session: Session, make_entry: Callable[..., Entry]
) -> None:
    """Of this merchant, day and currency; what was declined or undone is not in it."""
    approved = {"state": State.APPROVED, "order_no": "S1"}
    paid = approved | {"kind": "order_payment"}
    entries = [
        make_entry(1, **approved, amount_minor=700),
        make_entry(2, **paid, amount_minor=300),
        make_entry(3, **paid, processing_code="900000", amount_minor=40),
        make_entry(4, **paid, processing_code="910000", amount_minor=0),
        make_entry(5, **approved | {"kind": "refund"}, amount_minor=100),
        make_entry(6, **paid | {"state": State.VOIDED}),
        make_entry(7, state=State.DECLINED),
        make_entry(8, **approved | {"kind": "order_query"}),
        make_entry(9, **approved, merchant_id="M2"),
        make_entry(10, **approved, business_date="2026-01-03"),
        make_entry(11, **approved, currency_code="840"),
    ]
    writer.commit([(InsertEntry(entry),) for entry in entries])
    found = takings(session, "M1", "2026-01-02", "156")
    assert Takings(2, 1_000, 1, 40, 1, 1, 100) == found
    assert 940 == found.total_minor
    assert Takings() == takings(session, "M1", "2026-01-04", "156")


def test_takings_are_found_by_their_index(session: Session) -> None:
    """On both databases by merchant, day and kind; PostgreSQL walks few rows unless told not to."""
    text, names, _ = QUERY.compiled(session.dialect)
    if session.is_postgresql:
        session.cursor.execute("SET enable_seqscan = off")
    explain = "EXPLAIN " if session.is_postgresql else "EXPLAIN QUERY PLAN "
    session.cursor.execute(explain + text, ["1"] * len(names))
    plan = " ".join(str(row[-1]) for row in session.cursor.fetchall())
    conditions = plan.partition("ix_journal_takings")[2].partition("Filter")[0]
    assert all(name in conditions for name in ("merchant_id", "business_date", "kind"))
