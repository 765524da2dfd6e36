"""How much was approved already: of a card in its bank's place, or of a payment's refunds.

The steps count in the commit that it guards, and on PostgreSQL under a lock which lasts
until that commit: so of several processes each sees what the others have approved. SQLite has one
writer.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, text

from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import ADVICE, journal, saf

_LOCK_CARD = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_ADVISED = Sql(
    select(func.count(), func.coalesce(func.sum(journal.c.amount_minor), 0))
    .select_from(saf)
    .join(journal, journal.c.id == saf.c.original_id)
    .where(
        ADVICE,
        saf.c.created_at_ms >= bindparam("since_ms"),
        journal.c.pan_token == bindparam("token"),
    )
)

_REFUNDED = Sql(
    select(func.coalesce(func.sum(journal.c.amount_minor), 0)).where(
        journal.c.original_id == bindparam("payment_id"),
        journal.c.kind == Kind.REFUND.value,
        text("journal.state IN ('received', 'sent', 'approved')"),
    )
)

_TIPPED = Sql(
    select(func.coalesce(func.sum(journal.c.amount_minor), 0)).where(
        journal.c.original_id == bindparam("payment_id"),
        journal.c.kind == Kind.TIP.value,
        text("journal.state = 'approved'"),
    )
)

_ADVICE_OWED = Sql(
    select(saf.c.id).where(
        text("saf.kind IN ('advice', 'completion')"),
        saf.c.original_id == bindparam("payment_id"),
        saf.c.finished_at_ms.is_(None),
    )
)


def advice_is_owed(session: Session, payment_id: int) -> bool:
    """Whether a payment's bank has not taken its advice yet, or has refused it."""
    return session.row(_ADVICE_OWED, payment_id=payment_id) is not None


@dataclass(frozen=True, slots=True)
class LimitRefunded:
    """Conditional on what refunds of a payment come to, made or under way, this unit's included.

    It must stand after the step that changes or claims the payment, which lets one in at a time,
    and after the one that inserts the unit's own.

    Attributes:
        payment_id: whose refunds.
        sum_minor_max: of their amounts.
    """

    payment_id: int
    sum_minor_max: int


def limit_refunded(session: Session, step: LimitRefunded) -> bool:
    """Whether the limit holds; inside the writer's transaction."""
    row = session.row(_REFUNDED, payment_id=step.payment_id)
    assert row is not None
    return bool(row[0] <= step.sum_minor_max)


@dataclass(frozen=True, slots=True)
class LimitTipped:
    """Conditional on what a sale's tip comes to, this unit's included: exactly so much.

    It stands where :class:`LimitRefunded` does.
    """

    payment_id: int
    sum_minor: int


def limit_tipped(session: Session, step: LimitTipped) -> bool:
    """Whether it is so; inside the writer's transaction."""
    row = session.row(_TIPPED, payment_id=step.payment_id)
    assert row is not None
    return bool(row[0] == step.sum_minor)


@dataclass(frozen=True, slots=True)
class LimitAdvised:
    """Conditional on what a card's bank was or is owed advices of, this unit's own included.

    It must stand after the step that queues the unit's own.

    Attributes:
        pan_token: the card.
        since_ms: advices queued since then count.
        count_max: of payments.
        sum_minor_max: of their amounts.
    """

    pan_token: bytes
    since_ms: int
    count_max: int
    sum_minor_max: int


def limit_advised(session: Session, step: LimitAdvised) -> bool:
    """Whether the limit holds; inside the writer's transaction."""
    if session.is_postgresql:
        session.cursor.execute(_LOCK_CARD, (f"acquirer:advised:{step.pan_token.hex()}",))
    row = session.row(_ADVISED, token=step.pan_token, since_ms=step.since_ms)
    assert row is not None
    return bool(row[0] <= step.count_max and row[1] <= step.sum_minor_max)
