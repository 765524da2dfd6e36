"""Everything that the books know about one payment: its entries, postings, debts and notices.

A payment is a family: the entry with which it began, and all that refer to it or to one of those.
Reads only, beside a running switch. Values out; rendering is the command line's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy import Connection, select

from acquirer.ledger.journal.details import Detail, detail_of
from acquirer.ledger.journal.steps import WRITTEN_OFF
from acquirer.ledger.reports.journal import ROWS, JournalLine, line_of
from acquirer.ledger.store.schema import accounts, journal, outbox, saf, transfers

# More entries than a payment can have; who makes so many is looked at in the journal's list.
FAMILY_MAX = 500


@dataclass(frozen=True, slots=True)
class PaymentEntry:
    """An entry with what only somebody who looks at one payment needs.

    Attributes:
        mti: of the message that asked for it; empty where the switch did by itself.
        bank_stan, transmission_at: DE11 and DE7 (MMDDhhmmss) on the bank's link.
    """

    line: JournalLine
    mti: str
    courier_id: str
    bank_stan: str
    transmission_at: str
    detail: Detail | None


@dataclass(frozen=True, slots=True)
class PaymentPosting:
    """A transfer; ``entry_id`` says of which entry."""

    entry_id: int
    at_ms: int
    code: str
    phase: str
    debit: str
    credit: str
    amount_minor: int
    currency_code: str
    business_date: str


@dataclass(frozen=True, slots=True)
class PaymentDebt:
    """A message that its bank is owed, or was.

    Attributes:
        finished_at_ms: when the bank answered, or an operator wrote it off.
        dead_at_ms: when it was given up.
    """

    id: int
    entry_id: int
    bank: str
    kind: str
    reason: str
    attempts: int
    created_at_ms: int
    next_at_ms: int
    response_code: str
    finished_at_ms: int | None
    dead_at_ms: int | None
    dead_reason: str

    @property
    def is_written_off(self) -> bool:
        """Whether an operator ended it, not its bank."""
        return self.response_code == WRITTEN_OFF


@dataclass(frozen=True, slots=True)
class PaymentNotice:
    """A notice about the order to its merchant."""

    id: str
    order_no: str
    type: str
    attempts: int
    created_at_ms: int
    next_at_ms: int
    delivered_at_ms: int | None
    dead_at_ms: int | None
    dead_reason: str


_DEBT = tuple(field.name for field in fields(PaymentDebt))
_NOTICE = tuple(field.name for field in fields(PaymentNotice))


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment.

    Attributes:
        entries: oldest first; the first is the one with which it began.
    """

    entries: tuple[PaymentEntry, ...]
    postings: tuple[PaymentPosting, ...]
    debts: tuple[PaymentDebt, ...]
    notices: tuple[PaymentNotice, ...]


def payment_of(connection: Connection, rrn: str) -> Payment | None:
    """The payment to which an entry belongs.

    Args:
        connection: to the books.
        rrn: DE37 of any of its entries, 12 characters.
    """
    found = connection.execute(select(journal.c.id).where(journal.c.rrn == rrn)).first()
    if found is None:
        return None
    ids = _family(connection, _first(connection, found.id))
    rows = connection.execute(ROWS.where(journal.c.id.in_(ids)).order_by(journal.c.id))
    entries = tuple(
        PaymentEntry(
            line_of(row),
            row.mti,
            row.courier_id,
            row.bank_stan,
            row.transmission_at,
            detail_of(row.detail),
        )
        for row in rows
    )
    return Payment(
        entries, _postings(connection, ids), _debts(connection, ids), _notices(connection, entries)
    )


def _first(connection: Connection, id: int) -> int:
    """The entry with which a family began; each refers to one before it."""
    while True:
        row = connection.execute(
            select(journal.c.original_id).where(
                journal.c.id == id,
                journal.c.original_id.in_(select(journal.c.id).where(journal.c.id < id)),
            )
        ).first()
        if row is None:
            return id
        id = row.original_id


def _family(connection: Connection, first: int) -> list[int]:
    found = [first]
    news = found
    while news and len(found) < FAMILY_MAX:
        query = (
            select(journal.c.id)
            .where(journal.c.original_id.in_(news), journal.c.id.not_in(found))
            .order_by(journal.c.id)
            .limit(FAMILY_MAX - len(found))
        )
        news = [row.id for row in connection.execute(query)]
        found += news
    return found


def _postings(connection: Connection, ids: list[int]) -> tuple[PaymentPosting, ...]:
    debit, credit = accounts.alias("debit"), accounts.alias("credit")
    query = (
        select(
            transfers.c.event_id,
            transfers.c.created_at_ms,
            transfers.c.code,
            transfers.c.phase,
            debit.c.name,
            credit.c.name,
            transfers.c.amount_minor,
            transfers.c.currency_code,
            transfers.c.business_date,
        )
        .join(debit, debit.c.id == transfers.c.debit_account_id)
        .join(credit, credit.c.id == transfers.c.credit_account_id)
        .where(transfers.c.event_id.in_(ids))
        .order_by(transfers.c.created_at_ms, transfers.c.id)
    )
    return tuple(PaymentPosting(*row) for row in connection.execute(query))


def _debts(connection: Connection, ids: list[int]) -> tuple[PaymentDebt, ...]:
    columns = ("original_id" if name == "entry_id" else name for name in _DEBT)
    query = (
        select(*(saf.c[name] for name in columns))
        .where(saf.c.original_id.in_(ids))
        .order_by(saf.c.id)
    )
    return tuple(PaymentDebt(*row) for row in connection.execute(query))


def _notices(
    connection: Connection, entries: tuple[PaymentEntry, ...]
) -> tuple[PaymentNotice, ...]:
    orders = {entry.line.order_no for entry in entries} - {""}
    query = (
        select(*(outbox.c[name] for name in _NOTICE))
        .where(outbox.c.merchant_id == entries[0].line.merchant_id, outbox.c.order_no.in_(orders))
        .order_by(outbox.c.seq)
    )
    return tuple(PaymentNotice(*row) for row in connection.execute(query)) if orders else ()
