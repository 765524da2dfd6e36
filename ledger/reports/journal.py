"""What the journal says: its entries, all or those that are looked for.

Reads only, over an SQLAlchemy connection of ``Database.read_only_engine``, beside a running
switch. Values out; rendering is the command line's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, or_, select, true

from acquirer.ledger.journal.details import WriteOff, detail_of
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.reports.pages import pages
from acquirer.ledger.store.schema import journal

_LAST_FOUR = re.compile(r"[0-9]{4}")
_MASKED = re.compile(r"[0-9]{6}\*+[0-9]{4}")
_SAME = ("rrn", "stan", "terminal_id", "order_no", "kind")
WRITTEN_OFF = "written_off"
_write_offs = journal.alias("write_offs")
# Whether an operator has given up what its bank was owed of it.
_IS_WRITTEN_OFF = exists().where(
    _write_offs.c.original_id == journal.c.id, _write_offs.c.kind == Kind.SAF_WRITE_OFF.value
)
_STATE = case(
    (and_(journal.c.state == State.REVERSED.value, _IS_WRITTEN_OFF), WRITTEN_OFF),
    else_=journal.c.state,
)
# Rows for :func:`line_of`.
ROWS = select(journal, _STATE.label("shown_state"))


@dataclass(frozen=True, slots=True)
class JournalLine:
    """What may be shown of a journal entry.

    Attributes:
        state: as the journal has it; ``written_off`` where it was undone by an operator's word
            alone, since its bank never took the reversal.
        epoch: of the business configuration that it was begun under.
        by, reason: of a write-off: who decided, and why.
    """

    id: int
    rrn: str
    stan: str
    terminal_id: str
    merchant_id: str
    batch: str
    kind: str
    role: str
    amount_minor: int
    currency: str
    state: str
    response_code: str
    approval_code: str
    card: str
    order_no: str
    bank: str
    original_id: int | None
    business_date: str
    created_at_ms: int
    late_response_code: str = ""
    epoch: int = 0
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are looked for; what is empty or None does not matter.

    Attributes:
        card: last four digits, or first six and last four as the books show them.
        amounts: currency code and minor units, any of them.
        from_ms, before_ms: when they began, milliseconds since 1970 UTC.
        code: DE39 that was answered.
    """

    rrn: str = ""
    stan: str = ""
    terminal_id: str = ""
    merchant_ids: tuple[str, ...] = ()
    order_no: str = ""
    state: str = ""
    kind: str = ""
    card: str = ""
    code: str = ""
    amounts: tuple[tuple[str, int], ...] = ()
    from_ms: int | None = None
    before_ms: int | None = None

    def condition(self) -> ColumnElement[bool]:
        """The same for the database.

        Raises:
            ValueError: the card is neither four digits nor masked.
        """
        found: list[ColumnElement[bool]] = [
            journal.c[name] == value for name in _SAME if (value := getattr(self, name))
        ]
        if self.state:
            found.append(_STATE == self.state)
        if self.merchant_ids:
            found.append(journal.c.merchant_id.in_(self.merchant_ids))
        if self.code:
            found.append(journal.c.response_code == self.code)
        if self.card:
            found.append(_card(self.card))
        if self.amounts:
            found.append(
                or_(
                    *(
                        and_(journal.c.currency_code == code, journal.c.amount_minor == minor)
                        for code, minor in self.amounts
                    )
                )
            )
        if self.from_ms is not None:
            found.append(journal.c.created_at_ms >= self.from_ms)
        if self.before_ms is not None:
            found.append(journal.c.created_at_ms < self.before_ms)
        return and_(true(), *found)


ALL = Wanted()


def _card(text: str) -> ColumnElement[bool]:
    if _LAST_FOUR.fullmatch(text):
        return journal.c.pan_masked.like(f"%{text}")
    if _MASKED.fullmatch(text):
        return and_(
            journal.c.pan_masked.like(f"{text[:6]}%"), journal.c.pan_masked.like(f"%{text[-4:]}")
        )
    raise ValueError("a card is looked for by its last four digits, or as 622588******0007")


def journal_lines(
    connection: Connection, limit: int | None = None, wanted: Wanted = ALL
) -> Iterator[JournalLine]:
    """Journal entries, newest first, read as they are asked for.

    Args:
        connection: to the books.
        limit: at most so many; None for all.
        wanted: only those.

    Raises:
        ValueError: of :meth:`Wanted.condition`.
    """
    query = ROWS.where(wanted.condition())
    rows = pages(connection, query, [journal.c.id], descending=True, limit=limit)
    return (line_of(row) for row in rows)


def line_of(row: Row[Any]) -> JournalLine:
    """What may be shown of one of :data:`ROWS`."""
    detail = detail_of(row.detail) if row.kind == Kind.SAF_WRITE_OFF else None
    written_off = detail if isinstance(detail, WriteOff) else None
    return JournalLine(
        id=row.id,
        rrn=row.rrn,
        stan=row.stan,
        terminal_id=row.terminal_id,
        merchant_id=row.merchant_id,
        batch=row.batch,
        kind=row.kind,
        role=row.role,
        amount_minor=row.amount_minor,
        currency=row.currency_code,
        state=row.shown_state,
        response_code=row.response_code,
        approval_code=row.approval_code,
        card=row.pan_masked or "",
        order_no=row.order_no,
        bank=row.bank,
        original_id=row.original_id,
        business_date=row.business_date,
        created_at_ms=row.created_at_ms,
        late_response_code=row.late_response_code,
        epoch=row.epoch,
        by=written_off.by if written_off else "",
        reason=written_off.reason if written_off else "",
    )
