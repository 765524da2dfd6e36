"""Entries whose owner is gone: how long they are watched before they are undone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from acquirer.ledger.book import open_book
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.owed.leases import LEASE_S
from acquirer.payments.kernel.calendar import Calendar
from acquirer.switch.workers.recovery import EVERY_S, keep_recovering

DAY_MS = 86_400_000


@pytest.mark.parametrize("jump_ms", [0, 2 * 60_000, 400 * DAY_MS, -400 * DAY_MS])
def test_an_entry_is_undone_once_it_has_been_watched_for_a_minute(
    tmp_path: Path, make_entry: Callable[..., Entry], jump_ms: int
) -> None:
    """Its handler has died without the process; what the wall clock says does not matter."""
    off_ms = 0
    numbers = count(100)
    said: list[str] = []

    def wall_ms() -> int:
        return 1_795_000_000_000 + int(trio.current_time() * 1000) + off_ms

    async def take() -> int:
        return next(numbers)

    async def main() -> None:
        nonlocal off_ms
        url = f"sqlite:///{tmp_path / 'switch.sqlite3'}"
        async with open_book(url, "switch-1", clock_ms=wall_ms, driver="inline") as book:
            ports = SimpleNamespace(
                book=book,
                monotonic=trio.current_time,
                calendar=Calendar("Asia/Shanghai"),
                in_doubt={},
                numbers=SimpleNamespace(take=take),
                saf_queued=lambda: said.append("queued"),
                events_queued=lambda: said.append("told"),
            )
            context: Any = SimpleNamespace(
                book=book, ports=ports, clock=SimpleNamespace(now_ms=wall_ms)
            )
            entry = make_entry(1, owner=book.owner, lease_until_ms=wall_ms() + 60_000)
            await book.commit(InsertEntry(entry))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_recovering, context)
                await trio.sleep(EVERY_S + 1)
                off_ms = jump_ms
                await trio.sleep(LEASE_S - EVERY_S)
                found = await book.entry(1)
                assert found is not None
                assert found.state is State.SENT
                await trio.sleep(2 * EVERY_S)
                found = await book.entry(1)
                assert found is not None
                assert found.state is State.TIMED_OUT
                assert [1] == [item.original_id for item in await book.saf_pending()]
                assert ["queued", "told"] == said
                nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
