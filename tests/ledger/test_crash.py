"""A process killed in the middle of writing: what it had reported is there, nothing is half."""

import subprocess
import sys
from pathlib import Path

import pytest

from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.book import open_book
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).parents[1] / "support" / "ledger_crash_child.py"


async def test_killed_in_the_middle_of_writing(url: str) -> None:
    """Three times SIGKILL at different depths; each restart finds sound books."""
    reported: list[int] = []
    for enough in (1, 40, 150):
        reported += _pay_until_killed(url, enough)
        with Database(url).read_only_engine().connect() as connection:
            verify(connection)
    async with open_book(url, "crash", clock_ms=lambda: 0) as book:
        assert book.owner == "crash#4.0"
        assert len(reported) == len(set(reported)) >= 191
        entries = [await book.entry(number) for number in reported]
        assert {entry.state for entry in entries if entry} == {State.APPROVED}
        assert all(entries)
        orphans = await book.take_orphans(1, 100)
        # At most what the eight tasks of each run had under way.
        assert len(orphans) <= 24
        assert all(isinstance(one, Entry) and one.state is State.SENT for one in orphans)
        debits, *_ = await book.account_sums("assets:scheme:demo", "156")
        assert debits >= 10_000 * len(reported)
        assert await book.next_block(1) > max(reported)


def _pay_until_killed(url: str, enough: int) -> list[int]:
    """Start the child, kill it once it has reported ``enough`` payments; all it reported."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), url], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(enough)]
        child.kill()
        # A line that was cut by the kill was not reported.
        lines += [line for line in child.stdout if line.endswith("\n")]
    return [int(line) for line in lines]
