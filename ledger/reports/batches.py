"""The terminals' batches, as an operator sees them. Read-only, beside a running switch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import msgspec
from sqlalchemy import Connection, select

from acquirer.codecs.private_fields import SettlementTotals
from acquirer.ledger.journal.batches import (
    CLOSED,
    BatchLine,
    BatchRow,
    BatchState,
    Difference,
    Sums,
    read_sums,
    totals,
)
from acquirer.ledger.store.batches import batch_of, lines_of_terminal
from acquirer.ledger.store.schema import batches, terminals

_DIFFERENCES = msgspec.json.Decoder(list[Difference])


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch.

    Attributes:
        terminal_totals: as its newest settlement said; None where it has not asked for one.
        switch_totals: as that was answered; of one that is open, as they are now.
        changed_after_close: whether what it came to when it was closed is another now.
    """

    terminal_id: str
    batch: str
    state: BatchState
    opened_at_ms: int
    closed_at_ms: int | None
    terminal_totals: Sums | None
    switch_totals: Sums
    differences: tuple[Difference, ...]
    changed_after_close: bool
    currency_code: str


def batch_reports(connection: Connection, terminal_id: str = "") -> Iterator[BatchReport]:
    """All batches, or those of one terminal, by terminal and from the oldest on."""
    rows = connection.execute(select(terminals.c.terminal_id, terminals.c.batch))
    current = {row.terminal_id: row.batch for row in rows}
    names = current.keys() | set(connection.execute(select(batches.c.terminal_id)).scalars())
    for name in sorted(names & {terminal_id} if terminal_id else names):
        yield from _of_terminal(connection, name, current.get(name, ""))


def _of_terminal(connection: Connection, terminal_id: str, current: str) -> Iterator[BatchReport]:
    query = select(batches).where(batches.c.terminal_id == terminal_id)
    stored = {row.batch: row for row in map(batch_of, connection.execute(query))}
    lines = {
        number: [line for _, line in group]
        for number, group in groupby(lines_of_terminal(connection, terminal_id), itemgetter(0))
    }
    reports = [_stored(row, lines.get(number, [])) for number, row in stored.items()]
    if current in lines and current not in stored:
        reports.append(_open(terminal_id, current, lines[current]))
    yield from sorted(reports, key=lambda one: (one.opened_at_ms, one.batch))


def _stored(row: BatchRow, lines: list[BatchLine]) -> BatchReport:
    told = read_sums(row.told)
    # Which cards are foreign may have changed since; what all come to may not.
    changed = row.state in CLOSED and _whole(read_sums(row.closed)) != _whole(totals(lines))
    return BatchReport(
        row.terminal_id,
        row.batch,
        row.state,
        row.opened_at_ms,
        row.closed_at_ms,
        _asked(row.asked) if row.asked else None,
        _whole(told),
        tuple(_DIFFERENCES.decode(row.differences)) if row.differences else (),
        changed,
        _currency(lines),
    )


def _open(terminal_id: str, batch: str, lines: list[BatchLine]) -> BatchReport:
    opened_at_ms = min(line.created_at_ms for line in lines)
    sums = _whole(totals(lines))
    return BatchReport(
        terminal_id,
        batch,
        BatchState.OPEN,
        opened_at_ms,
        None,
        None,
        sums,
        (),
        False,
        _currency(lines),
    )


def _currency(lines: list[BatchLine]) -> str:
    return next((line.currency_code for line in lines), "")


def _asked(de48: str) -> Sums:
    said = SettlementTotals.parse(de48)
    domestic, foreign = (
        Sums(half.debit_minor, half.debit_count, half.credit_minor, half.credit_count)
        for half in (said.domestic, said.foreign)
    )
    return domestic + foreign


def _whole(halves: tuple[Sums, Sums]) -> Sums:
    domestic, foreign = halves
    return domestic + foreign
