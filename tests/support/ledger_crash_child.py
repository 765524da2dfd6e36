"""A process that pays without end until it is killed; prints each payment that is durable.

Run by ``test_crash.py``: ``python ledger_crash_child.py URL``.
"""

import sys
import time

import trio
from ledger_entries import sale_entry

from acquirer.ledger.accounts.postings import FeeRate, card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    UpdateEntry,
)

TASKS = 8


def clock_ms() -> int:
    """Wall clock."""
    return time.time_ns() // 1_000_000


async def pay(book: Book, number: int) -> None:
    """Both commits of one sale; its number is printed after the second."""
    entry = sale_entry(number, owner=book.owner, lease_until_ms=clock_ms() + 60_000)
    assert await book.commit(InsertEntry(entry)) is None
    approve = UpdateEntry(number, (State.SENT,), state=State.APPROVED, owner=book.owner)
    postings = card_sale(10_000, FeeRate(120), bank="demo", merchant_id="M1")
    assert await book.commit(approve, Post(number, "156", "2026-01-02", postings)) is None
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    """Pay in several tasks, for ever."""
    async with open_book(url, "crash", clock_ms=clock_ms) as book:

        async def work() -> None:
            while True:
                await pay(book, await book.next_block(1))

        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(work)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
