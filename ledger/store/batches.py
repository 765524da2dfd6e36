"""Batches in the books: rows that only a compare-and-set changes, items, and what they are of.

The steps run inside the writer's transaction, the reads through the writer or beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from acquirer.ledger.journal.batches import (
    BatchItem,
    BatchLine,
    BatchRow,
    BatchState,
    PutBatch,
    PutBatchItem,
    PutCertificate,
)
from acquirer.ledger.journal.entries import CardRecord, Role, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import (
    UNSETTLED,
    batch_certificates,
    batch_items,
    batches,
    journal,
)

_COLUMNS = tuple(one.name for one in fields(BatchRow))
_INSERT = Sql(
    upsert(batches)
    .values({name: bindparam(name) for name in _COLUMNS})
    .on_conflict_do_nothing(index_elements=["terminal_id", "batch"])
)
_UPDATE = Sql(
    update(batches)
    .where(
        batches.c.terminal_id == bindparam("key_terminal_id"),
        batches.c.batch == bindparam("key_batch"),
        batches.c.state == bindparam("old_state"),
        batches.c.asked == bindparam("old_asked"),
    )
    .values({name: bindparam(name) for name in _COLUMNS[2:]})
)
_INSERT_ITEM = Sql(
    upsert(batch_items)
    .values({column.name: bindparam(column.name) for column in batch_items.columns})
    .on_conflict_do_nothing(index_elements=["terminal_id", "batch", "stan"])
)
_INSERT_CERTIFICATE = Sql(
    upsert(batch_certificates)
    .values({column.name: bindparam(column.name) for column in batch_certificates.columns})
    .on_conflict_do_nothing(index_elements=["terminal_id", "batch", "fingerprint"])
)
_ONE = Sql(
    select(batches).where(
        batches.c.terminal_id == bindparam("key_terminal_id"),
        batches.c.batch == bindparam("key_batch"),
    )
)
_ITEMS = Sql(
    select(batch_items)
    .where(
        batch_items.c.terminal_id == bindparam("key_terminal_id"),
        batch_items.c.batch == bindparam("key_batch"),
    )
    .order_by(batch_items.c.stan)
)
_IN_FLIGHT = Sql(
    select(func.count()).where(
        journal.c.terminal_id == bindparam("key_terminal_id"),
        journal.c.batch == bindparam("key_batch"),
        UNSETTLED,
    )
)
_OPENED = Sql(
    select(func.min(journal.c.created_at_ms)).where(
        journal.c.terminal_id == bindparam("key_terminal_id"),
        journal.c.batch == bindparam("key_batch"),
        journal.c.role == Role.ORIGINAL.value,
    )
)
_original = journal.alias("original")
_LINES = (
    select(
        journal.c.batch,
        journal.c.id,
        journal.c.rrn,
        journal.c.stan,
        journal.c.kind,
        journal.c.state,
        journal.c.amount_minor,
        journal.c.processing_code,
        journal.c.response_code,
        journal.c.created_at_ms,
        journal.c.currency_code,
        journal.c.original_id,
        journal.c.pan_masked,
        journal.c.pan_token,
        journal.c.pan_cipher,
        _original.c.kind.label("undone_kind"),
        _original.c.processing_code.label("undone_code"),
        _original.c.amount_minor.label("undone_minor"),
        _original.c.pan_masked.label("undone_masked"),
        _original.c.pan_token.label("undone_token"),
        _original.c.pan_cipher.label("undone_cipher"),
    )
    .select_from(journal.outerjoin(_original, _original.c.id == journal.c.original_id))
    .where(
        journal.c.terminal_id == bindparam("key_terminal_id"),
        journal.c.role == Role.ORIGINAL.value,
    )
    .order_by(journal.c.batch, journal.c.id)
)
_LINES_OF_BATCH = Sql(_LINES.where(journal.c.batch == bindparam("key_batch")))


def put_batch(session: Session, step: PutBatch) -> bool:
    """Whether the batch was as expected."""
    values: dict[str, Any] = asdict(step.row)
    if step.expected is None:
        return session.changed(_INSERT, **values) == 1
    changed = session.changed(
        _UPDATE,
        **values,
        key_terminal_id=step.row.terminal_id,
        key_batch=step.row.batch,
        old_state=step.expected.state.value,
        old_asked=step.expected.asked,
    )
    return changed == 1


def put_item(session: Session, step: PutBatchItem) -> bool:
    """Always."""
    session.run(_INSERT_ITEM, terminal_id=step.terminal_id, batch=step.batch, **asdict(step.item))
    return True


def put_certificate(session: Session, step: PutCertificate) -> bool:
    """Always."""
    session.run(_INSERT_CERTIFICATE, **asdict(step))
    return True


def batch(session: Session, terminal_id: str, number: str) -> BatchRow | None:
    """A batch that is stored."""
    row = session.row(_ONE, key_terminal_id=terminal_id, key_batch=number)
    return None if row is None else batch_of(row)


def batch_of(row: Sequence[Any]) -> BatchRow:
    """A batch from its columns in the table's order."""
    terminal_id, number, state, *rest = row
    return BatchRow(terminal_id, number, BatchState(state), *rest)


def items(session: Session, terminal_id: str, number: str) -> list[BatchItem]:
    """What a terminal has uploaded of a batch, by STAN."""
    rows = session.rows(_ITEMS, key_terminal_id=terminal_id, key_batch=number)
    return [
        BatchItem(str(stan), int(amount), bytes(token), str(masked), bool(foreign))
        for _, _, stan, amount, token, masked, foreign in rows
    ]


def lines(session: Session, terminal_id: str, number: str) -> list[BatchLine]:
    """The originals of a batch, in their order."""
    rows = session.rows(_LINES_OF_BATCH, key_terminal_id=terminal_id, key_batch=number)
    return [_line(row[1:]) for row in rows]


def lines_of_terminal(connection: Connection, terminal_id: str) -> Iterator[tuple[str, BatchLine]]:
    """All originals of a terminal by batch, each with its number."""
    for row in connection.execute(_LINES, {"key_terminal_id": terminal_id}):
        yield row[0], _line(row[1:])


def opened_at_ms(session: Session, terminal_id: str, number: str) -> int | None:
    """When the first original of a batch came; None where there is none."""
    row = session.row(_OPENED, key_terminal_id=terminal_id, key_batch=number)
    return None if row is None or row[0] is None else int(row[0])


def in_flight(session: Session, terminal_id: str, number: str) -> int:
    """How many entries of a batch have no outcome yet."""
    row = session.row(_IN_FLIGHT, key_terminal_id=terminal_id, key_batch=number)
    return int(row[0]) if row is not None else 0


def await_writers(session: Session) -> None:
    """Return once all that other processes are storing now is stored, or is not going to be.

    SQLite has one writer, whose queue this call has waited in.
    """
    if session.is_postgresql:
        session.cursor.execute("BEGIN")
        try:
            session.cursor.execute("LOCK TABLE journal IN SHARE MODE")
        finally:
            session.cursor.execute("ROLLBACK")


def _line(row: Sequence[Any]) -> BatchLine:
    id, rrn, stan, kind, state, amount, code, answer, created_at, currency, original_id, *cards = (
        row
    )
    masked, token, cipher, undone_kind, undone_code, undone_minor, *undone = cards
    return BatchLine(
        id,
        rrn,
        stan,
        Kind(kind),
        State(state),
        amount,
        code,
        answer,
        _card(masked, token, cipher),
        created_at,
        currency,
        original_id,
        Kind(undone_kind) if undone_kind else None,
        undone_code or "",
        undone_minor or 0,
        _card(*undone),
    )


def _card(masked: str | None, token: bytes | None, cipher: bytes | None) -> CardRecord | None:
    if masked is None or token is None or cipher is None:
        return None
    return CardRecord(masked, bytes(token), bytes(cipher))
