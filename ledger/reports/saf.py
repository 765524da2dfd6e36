"""What is owed to banks, as an operator sees it: open items and dead letters. Read-only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from acquirer.ledger.reports.pages import pages
from acquirer.ledger.store.schema import journal, saf


@dataclass(frozen=True, slots=True)
class SafLine:
    """One item with what it is about; the card as masked text.

    Attributes:
        is_dead: whether it is a dead letter.
        dead_reason: why it was given up; empty while it is tried.
    """

    id: int
    bank: str
    kind: str
    reason: str
    attempts: int
    created_at_ms: int
    next_at_ms: int
    is_dead: bool
    original_id: int
    rrn: str
    original_kind: str
    state: str
    terminal_id: str
    merchant_id: str
    amount_minor: int
    currency: str
    card: str
    late_response_code: str
    dead_reason: str


def saf_lines(
    connection: Connection, *, dead_only: bool = False, limit: int | None = None
) -> Iterator[SafLine]:
    """Items that no bank has answered, oldest first, read as they are asked for.

    Args:
        dead_only: leave out what is still being tried.
        limit: at most so many; None for all.
    """
    query = (
        select(
            saf.c.id,
            saf.c.bank,
            saf.c.kind,
            saf.c.reason,
            saf.c.attempts,
            saf.c.created_at_ms,
            saf.c.next_at_ms,
            saf.c.dead_at_ms.is_not(None),
            saf.c.original_id,
            journal.c.rrn,
            journal.c.kind,
            journal.c.state,
            journal.c.terminal_id,
            journal.c.merchant_id,
            journal.c.amount_minor,
            journal.c.currency_code,
            journal.c.pan_masked,
            journal.c.late_response_code,
            saf.c.dead_reason,
        )
        .outerjoin(journal, journal.c.id == saf.c.original_id)
        .where(saf.c.finished_at_ms.is_(None))
    )
    if dead_only:
        query = query.where(saf.c.dead_at_ms.is_not(None))
    for row in pages(connection, query, [saf.c.id], limit=limit):
        # What the journal lacks shows as nothing, and must still show.
        fields: list[Any] = [("" if value is None else value) for value in row]
        fields[7], fields[14] = bool(fields[7]), fields[14] or 0
        yield SafLine(*fields)
