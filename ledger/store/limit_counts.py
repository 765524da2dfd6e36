"""Counts what stands of a business date, in the commit of a payment that a limit guards.

On PostgreSQL all such commits of all processes take one lock first, so that each counts what the
others have stored. SQLite has one writer.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, bindparam, func, select, text

from acquirer.ledger.journal.entries import State
from acquirer.ledger.journal.kinds import KINDS, PAYMENTS
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import journal

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('acquirer:limits', 0))"
STANDING = (State.RECEIVED, State.SENT, State.APPROVED, State.REFUNDED)


def _one_of(column: str, values: Iterable[str]) -> str:
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"journal.{column} IN ({quoted})"


# What adds to an earlier payment is no payment by itself.
_ADDING = _one_of("kind", sorted(kind for kind in PAYMENTS if KINDS[kind].adds))
_PAID_COUNT = text(f"coalesce(sum(CASE WHEN {_ADDING} THEN 0 ELSE 1 END), 0)")


def _counted(*about: ColumnElement[bool]) -> Sql:
    return Sql(
        select(_PAID_COUNT, func.coalesce(func.sum(journal.c.amount_minor), 0)).where(
            *about,
            journal.c.business_date == bindparam("business_date"),
            text(_one_of("kind", sorted(PAYMENTS))),
            text(_one_of("state", STANDING)),
            journal.c.currency_code == bindparam("currency_code"),
        )
    )


_OF_MERCHANT = _counted(journal.c.merchant_id == bindparam("merchant_id"))
_OF_TERMINAL = _counted(
    journal.c.merchant_id == bindparam("merchant_id"),
    journal.c.terminal_id == bindparam("terminal_id"),
)
_OF_CARD = _counted(journal.c.pan_token == bindparam("pan_token"))


def lock_limits(session: Session, units: Iterable[object]) -> None:
    """Keep other processes from counting until this transaction ends, if one of its units will."""
    if session.is_postgresql and any(
        isinstance(unit, tuple) and any(type(step) is LimitDaily for step in unit) for unit in units
    ):
        session.cursor.execute(_LOCK)


def limit_daily(session: Session, step: LimitDaily) -> bool:
    """Whether the limit holds; inside the writer's transaction."""
    of = {"business_date": step.business_date, "currency_code": step.currency_code}
    if step.pan_token:
        found = [session.row(_OF_CARD, pan_token=step.pan_token, **of)]
    elif step.terminal_id:
        found = [
            session.row(_OF_TERMINAL, merchant_id=one, terminal_id=step.terminal_id, **of)
            for one in step.merchants
        ]
    else:
        found = [session.row(_OF_MERCHANT, merchant_id=one, **of) for one in step.merchants]
    column = 0 if step.measure == "count" else 1
    return sum(int(row[column]) for row in found if row is not None) <= step.maximum
