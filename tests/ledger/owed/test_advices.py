"""The limit on what a card's bank is owed advices of, decided in the commit that it guards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import trio
from limits import HANG_S

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.journal.entries import (
    Entry,
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueSaf,
    Step,
    UpdateEntry,
)
from acquirer.ledger.owed.advices import LimitAdvised, LimitRefunded

pytestmark = pytest.mark.anyio
MakeEntry = Callable[..., Entry]
CARD = bytes(16)
WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
    WHERE NOT granted AND locktype = 'advisory' AND datname = current_database()
"""


def open_books(url: str, instance: str = "switch-1") -> Any:
    """Books with a writer's thread, which may wait while another process has a lock."""
    return open_book(url, instance, clock_ms=lambda: 0, lock_wait_ms=10_000)


async def approve(
    book: Book, entry: Entry, *, count_max: int = 3, sum_minor_max: int = 10**9, since_ms: int = 0
) -> Any:
    """Stand in for an entry's bank; the type of the step that did not hold."""
    assert await book.commit(InsertEntry(entry)) is None
    steps: tuple[Step, ...] = (
        UpdateEntry(entry.id, (State.SENT,), state=State.APPROVED),
        QueueSaf(SafItem(entry.id, "demo", BankMessage.ADVICE, entry.id, "00", entry.id, 0)),
        LimitAdvised(CARD, since_ms, count_max, sum_minor_max),
    )
    failed = await book.commit(*steps)
    return failed if failed is None else type(failed.step)


async def test_so_many_and_no_more(url: str, make_entry: MakeEntry) -> None:
    """The one too many writes nothing; another card and an older advice do not count."""
    async with open_books(url) as book:
        for number in (1, 2, 3):
            assert await approve(book, make_entry(number)) is None
        assert LimitAdvised is await approve(book, make_entry(4))
        refused = await book.entry(4)
        assert refused is not None
        assert refused.state is State.SENT
        assert [1, 2, 3] == [item.id for item in await book.saf_pending()]
        assert await approve(book, make_entry(5), since_ms=2) is None


async def test_the_sum(url: str, make_entry: MakeEntry) -> None:
    """Amounts count up to the limit, itself included."""
    async with open_books(url) as book:
        assert await approve(book, make_entry(1), sum_minor_max=20_000) is None
        assert await approve(book, make_entry(2), sum_minor_max=20_000) is None
        last = make_entry(3, amount_minor=1)
        assert LimitAdvised is await approve(book, last, sum_minor_max=20_000)


async def test_two_processes_at_the_same_moment(postgresql_url: str, make_entry: MakeEntry) -> None:
    """Both have written before either has committed: one of them finds the limit reached."""
    plain = postgresql_url.replace("postgresql+psycopg", "postgresql")
    results: list[Any] = []
    async with open_books(postgresql_url) as one, open_books(postgresql_url, "switch-2") as two:
        with psycopg.connect(plain) as gate:
            lock = f"acquirer:advised:{CARD.hex()}"
            gate.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))

            async def stand_in(book: Book, number: int) -> None:
                entry = make_entry(number, owner=book.owner)
                results.append(await approve(book, entry, count_max=1))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stand_in, one, 1)
                nursery.start_soon(stand_in, two, 2)
                with trio.fail_after(HANG_S):
                    while True:
                        waiting = gate.execute(WAITING).fetchone()
                        if waiting == (2,):
                            break
                        await trio.sleep(0.01)
                gate.rollback()
        assert {None, LimitAdvised} == set(results)
        assert 1 == len(await one.saf_pending())


def refund_of(make_entry: MakeEntry, number: int, payment: Entry, **changes: Any) -> Entry:
    """An entry that gives some of a payment back."""
    usual = {"kind": "refund", "original_id": payment.id, "state": State.APPROVED}
    return make_entry(number, **usual | changes)


async def test_refunds_of_a_payment_come_to_so_much(url: str, make_entry: MakeEntry) -> None:
    """Those that were refused do not count; the one too much writes nothing."""
    payment = make_entry(1, state=State.APPROVED)
    async with open_books(url) as book:
        await book.commit(InsertEntry(payment))
        for number, amount_minor, state, holds in (
            (2, 6_000, State.DECLINED, True),
            (3, 6_000, State.SENT, True),
            (4, 4_001, State.APPROVED, False),
            (5, 4_000, State.APPROVED, True),
            (6, 1, State.APPROVED, False),
        ):
            entry = refund_of(make_entry, number, payment, amount_minor=amount_minor, state=state)
            failed = await book.commit(InsertEntry(entry), LimitRefunded(1, payment.amount_minor))
            assert holds is (failed is None)
            assert holds is (await book.entry(number) is not None)
