"""Batches that nobody settles: closed after the days of their terminal's profile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ledger_entries import sale_entry

from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.ledger.book import open_book
from acquirer.ledger.journal.batches import BatchState, read_sums
from acquirer.ledger.journal.entries import State, TerminalRow
from acquirer.ledger.journal.steps import InsertEntry
from acquirer.switch.terminals.terminals import Terminal, Terminals
from acquirer.switch.workers.old_batches import DAY_MS, close_old

pytestmark = pytest.mark.anyio

NOW_MS = 100 * DAY_MS
OLD, YOUNG, IDLE = "10000001", "10000002", "10000003"


async def test_only_old_batches_are_closed() -> None:
    """Of the oldest payment's age; what it came to is kept, and the next batch is open."""
    profile, merchant = ProfileSettings("cup", batch_days=2), MerchantSettings("M", "", "", 0, "")
    async with open_book("sqlite://", "test", clock_ms=lambda: NOW_MS, driver="inline") as book:
        terminals = {
            name: Terminal(
                TerminalSettings(name, "M", "U", "cup"),
                profile,
                merchant,
                TerminalRow(name, "000009"),
            )
            for name in (OLD, YOUNG, IDLE)
        }
        for number, (name, age_ms) in enumerate(((OLD, 2 * DAY_MS), (YOUNG, 2 * DAY_MS - 1)), 1):
            entry = sale_entry(
                number,
                terminal_id=name,
                batch="000009",
                state=State.APPROVED,
                amount_minor=500,
                card=None,
                created_at_ms=NOW_MS - age_ms,
            )
            assert await book.commit(InsertEntry(entry)) is None
        context = SimpleNamespace(
            book=book,
            terminals=Terminals(book),
            clock=SimpleNamespace(now_ms=lambda: NOW_MS, age_ms=lambda at_ms: NOW_MS - at_ms),
            current=lambda: SimpleNamespace(terminals=terminals, business=None),
            ports=None,
        )
        await close_old(cast(Any, context))
        assert ["000010", "000009", "000009"] == [
            terminals[name].row.batch for name in (OLD, YOUNG, IDLE)
        ]
        closed = await book.batch(OLD, "000009")
        assert closed is not None
        assert (BatchState.UNSETTLED, NOW_MS, 500) == (
            closed.state,
            closed.closed_at_ms,
            read_sums(closed.closed)[0].debit_minor,
        )
        assert await book.batch(YOUNG, "000009") is None
