"""What must agree in the journal itself: refunds with payments, holds with pre-authorisations."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select

from acquirer.ledger.errors import BooksDiffer
from acquirer.ledger.journal.entries import State
from acquirer.ledger.journal.kinds import HOLDING, Kind
from acquirer.ledger.store.schema import journal, transfers

# States in which a payment has its effect; what refunds give back are entries of their own.
EFFECTIVE = frozenset({State.APPROVED, State.REFUNDED})


def differ(condition: bool, text: str) -> None:
    """Stop at a difference.

    Raises:
        BooksDiffer: the condition is true.
    """
    if condition:
        raise BooksDiffer(text)


def check_refunds(connection: Connection) -> None:
    """What is given back of a payment is at most what it was."""
    refund, payment, tip = (journal.alias(name) for name in ("refund", "payment", "tip"))
    tipped = (
        select(func.coalesce(func.sum(tip.c.amount_minor), 0))
        .where(
            tip.c.original_id == payment.c.id,
            tip.c.kind == Kind.TIP.value,
            tip.c.state == State.APPROVED.value,
        )
        .correlate(payment)
        .scalar_subquery()
    )
    query = (
        select(
            payment.c.id,
            payment.c.rrn,
            payment.c.state,
            (payment.c.amount_minor + tipped).label("amount_minor"),
            func.sum(refund.c.amount_minor).label("refunded_minor"),
        )
        .select_from(refund.outerjoin(payment, payment.c.id == refund.c.original_id))
        .where(
            refund.c.kind == Kind.REFUND.value,
            refund.c.state == State.APPROVED.value,
            # One of a payment that nobody here knows names none.
            refund.c.original_id.is_not(None),
        )
        .group_by(payment.c.id, payment.c.rrn, payment.c.state, payment.c.amount_minor)
    )
    for row in connection.execute(query):
        where = f"entry {row.id} (rrn {row.rrn}, {row.state})"
        differ(row.id is None or State(row.state) not in EFFECTIVE, f"{where} cannot be refunded")
        refunded_minor = int(row.refunded_minor)
        is_whole = row.state == State.REFUNDED.value
        differ(
            refunded_minor > row.amount_minor or (is_whole and refunded_minor < row.amount_minor),
            f"{where} is for {row.amount_minor}, its refunds come to {refunded_minor}",
        )


def check_holds(connection: Connection) -> None:
    """A pre-authorisation holds its amount while it is open, and nothing before or after that."""
    resolution = transfers.alias("resolution")
    is_held = (transfers.c.phase == "pending") & resolution.c.id.is_(None)
    query = (
        select(
            journal.c.id,
            journal.c.rrn,
            journal.c.state,
            journal.c.amount_minor,
            func.sum(case((is_held, transfers.c.amount_minor), else_=0)).label("held_minor"),
        )
        .outerjoin(transfers, transfers.c.event_id == journal.c.id)
        .outerjoin(resolution, resolution.c.pending_id == transfers.c.id)
        .where(journal.c.kind.in_(sorted(HOLDING)))
        .group_by(journal.c.id, journal.c.rrn, journal.c.state, journal.c.amount_minor)
    )
    for row in connection.execution_options(yield_per=1_000).execute(query):
        due_minor = row.amount_minor if row.state == State.APPROVED.value else 0
        differ(
            int(row.held_minor) != due_minor,
            f"entry {row.id} (rrn {row.rrn}, {row.state}) holds {int(row.held_minor)},"
            f" and should hold {due_minor}",
        )
