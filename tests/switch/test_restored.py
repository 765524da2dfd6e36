"""Books that come back from a copy hand out no number that the lost books have handed out."""

from __future__ import annotations

from pathlib import Path

import pytest

from acquirer.ledger.book import open_book
from acquirer.ledger.store.database import Database
from acquirer.payments.kernel.numbers import BLOCK
from acquirer.switch.restored import make_fit

pytestmark = pytest.mark.anyio

NOW_MS = 1_795_222_800_000


@pytest.mark.parametrize("blocks", [0, 1, 3])
async def test_no_number_comes_again(tmp_path: Path, blocks: int) -> None:
    """Not of a copy either that was taken before the first number."""
    url = f"sqlite:///{tmp_path / 'switch.sqlite3'}"
    async with open_book(url, "switch-1", clock_ms=lambda: NOW_MS, driver="inline") as book:
        for _ in range(blocks):
            await book.next_block(BLOCK)
    make_fit(Database(url), NOW_MS)
    async with open_book(url, "switch-1", clock_ms=lambda: NOW_MS, driver="inline") as book:
        assert await book.next_block(BLOCK) > 10_000_000
