"""A process that pays without end until it is killed; prints each payment that is durable.

Run by ``test_crash.py``: ``python ledger_crash_child.py URL``.
"""

import sys
import time

import trio

from acquirer.ledger.book import Book, open_book
from acquirer.ledger.entries import (
    Entry,
    InsertEntry,
    Role,
    State,
    UpdateEntry,
)
from acquirer.ledger.postings import FeeRate, card_sale
from acquirer.ledger.transfer_steps import Post

TASKS = 8


def clock_ms() -> int:
    """Wall clock."""
    return time.time_ns() // 1_000_000


async def pay(book: Book, number: int) -> None:
    """Both commits of one sale; its number is printed after the second."""
    entry = Entry(
        id=number,
        rrn=f"{number:012d}",
        role=Role.ORIGINAL,
        kind="sale",
        mti="0200",
        processing_code="000000",
        transaction_type="22",
        terminal_id="00000001",
        merchant_id="M1",
        batch="000001",
        stan=f"{number:06d}",
        amount_minor=10_000,
        currency_code="156",
        fingerprint=b"",
        state=State.SENT,
        owner=book.owner,
        lease_until_ms=clock_ms() + 60_000,
        created_at_ms=clock_ms(),
        business_date="2026-01-02",
    )
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
