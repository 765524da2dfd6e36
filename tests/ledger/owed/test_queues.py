"""SAF, outbox and orphans: claimed by one owner, in order, under a lease."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import create_engine

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    Failed,
    FinishSaf,
    InsertEntry,
    QueueEvent,
    QueueSaf,
    UpdateEntry,
)
from acquirer.ledger.owed.leases import LEASE_S, Lease, LeaseWatch
from acquirer.ledger.reports.orders import event_lines

pytestmark = pytest.mark.anyio
MakeEntry = Callable[..., Entry]


@asynccontextmanager
async def book_of(url: str, instance: str = "switch-1") -> AsyncIterator[Book]:
    """A book on the trio thread: nothing here needs a thread."""
    async with open_book(url, instance, clock_ms=lambda: 0, driver="inline") as book:
        yield book


async def let_go_of_all(book: Book) -> None:
    """As after a long watch."""
    await book.let_go(await book.leases())


def item(number: int, bank: str = "demo", next_at_ms: int = 0) -> SafItem:
    """A reversal of entry ``number + 100``."""
    return SafItem(number, bank, BankMessage.REVERSAL, number + 100, "98", 0, next_at_ms)


def notice(id: str, order_no: str = "O1", next_at_ms: int = 0) -> Event:
    """A notice about an order."""
    return Event(id, "M1", order_no, "order.paid", "{}", 0, next_at_ms)


async def test_saf_items_come_in_order_when_due(url: str) -> None:
    """By id, per bank, only what is due, never what somebody alive holds."""
    async with book_of(url) as book:
        queued = [item(3), item(1), item(2, next_at_ms=50), item(4, bank="other")]
        await book.commit(*map(QueueSaf, queued))
        assert await book.claim_saf("demo", 0, 100, 5) == [item(1), item(3)]
        assert await book.claim_saf("demo", 60, 100, 5) == [item(2, next_at_ms=50)]
        assert await book.claim_saf("demo", 10**6, 200, 5) == []
        await let_go_of_all(book)
        assert await book.claim_saf("demo", 100, 200, 2) == [item(1), item(2, next_at_ms=50)]
        assert await book.saf_pending("other") == [item(4, bank="other")]
        assert [found.id for found in await book.saf_pending()] == [1, 2, 3, 4]


async def test_a_saf_item_is_stamped_retried_and_finished(url: str) -> None:
    """How it left is stored before it leaves; an answer ends it for good."""
    async with book_of(url) as book:
        await book.commit(QueueSaf(item(1)))
        await book.claim_saf("demo", 0, 100, 5)
        assert await book.stamp_saf(1, attempts=1, stan="000009", transmission_at="0102030405")
        assert await book.retry_saf(1, 1, 70)
        assert not await book.retry_saf(1, 2, 80)
        assert await book.claim_saf("demo", 69, 100, 5) == []
        (again,) = await book.claim_saf("demo", 70, 100, 5)
        assert (again.attempts, again.stan, again.transmission_at) == (1, "000009", "0102030405")
        assert await book.commit(FinishSaf(1, "00", 75)) is None
        assert await book.saf_pending() == []
        reversal = QueueSaf(SafItem(2, "demo", BankMessage.REVERSAL, 101, "98", 0, 0))
        assert await book.commit(reversal) == Failed(reversal)


async def test_a_refund_leaves_after_what_its_payment_owes(url: str, make_entry: MakeEntry) -> None:
    """A bank that has not taken the payment's advice knows nothing to refund; others may go."""
    async with book_of(url) as book:
        for number, payment in ((2, 1), (4, 3)):
            entry = make_entry(number, kind="refund", state=State.APPROVED, original_id=payment)
            await book.commit(InsertEntry(make_entry(payment)), InsertEntry(entry))
        advice = SafItem(11, "demo", BankMessage.ADVICE, 1, "00", 0, 0)
        held, free = (SafItem(n + 10, "demo", BankMessage.REFUND, n, "12", 0, 0) for n in (2, 4))
        await book.commit(*map(QueueSaf, (advice, held, free)))
        assert [advice, free] == await book.claim_saf("demo", 0, 100, 5)
        await book.commit(FinishSaf(11, "00", 1))
        assert [held] == await book.claim_saf("demo", 1, 100, 5)


async def test_a_dead_saf_item_is_out_of_the_way(url: str) -> None:
    """It is claimed no more and counted no more."""
    async with book_of(url) as book:
        await book.commit(QueueSaf(item(1)), QueueSaf(item(2)))
        assert await book.dead_saf(1, 5, "refused")
        assert not await book.dead_saf(1, 6, "again")
        assert await book.claim_saf("demo", 10, 100, 5) == [item(2)]


async def test_notices_leave_in_order_per_order(url: str) -> None:
    """One at a time for each order, orders side by side."""
    async with book_of(url) as book:
        for id, order_no in (("a1", "A"), ("a2", "A"), ("b1", "B"), ("a3", "A")):
            await book.commit(QueueEvent(notice(id, order_no)))
        assert [event.id for event in await book.claim_events(0, 100, 5)] == ["a1", "b1"]
        assert await book.claim_events(0, 100, 5) == []
        assert await book.finish_event("a1", 1)
        assert not await book.finish_event("a1", 2)
        assert await book.retry_event("b1", 1, 50)
        assert [event.id for event in await book.claim_events(2, 100, 5)] == ["a2"]
        assert await book.finish_event("a2", 3)
        assert [event.id for event in await book.claim_events(1000, 2000, 5)] == ["b1", "a3"]


async def test_a_dead_letter_holds_its_order_until_it_is_replayed(url: str) -> None:
    """What follows it must not overtake it."""
    async with book_of(url) as book:
        await book.commit(QueueEvent(notice("a1")), QueueEvent(notice("a2")))
        await book.claim_events(0, 100, 5)
        assert await book.dead_event("a1", 3, "refused")
        assert await book.claim_events(1000, 2000, 5) == []
        assert not await book.replay_event("a2", 1000)
        assert await book.replay_event("a1", 1000)
        assert await book.claim_events(1000, 2000, 5) == [notice("a1", next_at_ms=1000)]


async def test_an_attempt_that_ends_a_notice_counts(url: str) -> None:
    """One that is given up without a further attempt failed as often as before."""
    async with book_of(url) as book:
        await book.commit(QueueEvent(notice("a1")), QueueEvent(notice("b1")))
        await book.claim_events(0, 100, 5)
        assert await book.dead_event("a1", 3, "refused", '{"at_ms":3}\n')
        assert await book.dead_event("b1", 3, "the receiver keeps failing", "")
    with create_engine(url).connect() as connection:
        failed = {line.id: line.attempts for line in event_lines(connection, "dead", None)}
    assert {"a1": 1, "b1": 0} == failed


async def test_a_new_incarnation_takes_over_at_once(url: str, make_entry: MakeEntry) -> None:
    """Leases of a dead incarnation of the same instance hold nobody up."""
    async with book_of(url) as book:
        for number, state in ((1, State.SENT), (2, State.RECEIVED), (3, State.APPROVED)):
            entry = make_entry(number, owner=book.owner, lease_until_ms=10**6, state=state)
            await book.commit(InsertEntry(entry))
        await book.commit(QueueSaf(item(1)), QueueEvent(notice("a1")))
        assert await book.take_orphans(10, 5) == []
        assert len(await book.claim_saf("demo", 0, 10**6, 5)) == 1
        assert len(await book.claim_events(0, 10**6, 5)) == 1
        first_owner = book.owner
    async with book_of(url) as book:
        assert book.owner != first_owner
        orphans = await book.take_orphans(500, 5)
        entries = [one for one in orphans if isinstance(one, Entry)]
        assert [(entry.id, entry.lease_until_ms) for entry in entries] == [(1, 500), (2, 500)]
        assert await book.take_orphans(500, 5) == []
        assert [await book.entry(entry.id) for entry in entries] == orphans
        assert len(await book.claim_saf("demo", 0, 100, 5)) == 1
        assert len(await book.claim_events(0, 100, 5)) == 1


async def test_a_lapsed_handler_cannot_settle(url: str, make_entry: MakeEntry) -> None:
    """Recovery takes an entry of this very process too, under a name of its own."""
    async with book_of(url) as book:
        entry = make_entry(1, owner=book.owner, lease_until_ms=100)
        await book.commit(InsertEntry(entry))
        await let_go_of_all(book)
        (taken,) = await book.take_orphans(200, 5)
        assert isinstance(taken, Entry)
        late = UpdateEntry(1, (State.SENT,), state=State.APPROVED, owner=entry.owner)
        undo = UpdateEntry(1, (State.SENT,), state=State.TIMED_OUT, owner=taken.owner)
        assert await book.commit(late) == Failed(late)
        assert await book.commit(undo) is None


@pytest.mark.parametrize("clock_ms", [0, 10**12])
async def test_a_sibling_is_left_alone_until_it_has_been_watched_for_long(
    postgresql_url: str, make_entry: MakeEntry, clock_ms: int
) -> None:
    """Whatever the clocks of the two say; and what it has claimed anew meanwhile stays its own."""
    async with book_of(postgresql_url) as one, book_of(postgresql_url, "switch-12") as two:
        for number in (1, 2):
            await one.commit(InsertEntry(make_entry(number, owner=one.owner, lease_until_ms=100)))
        await one.commit(QueueSaf(item(1)), QueueSaf(item(2)), QueueEvent(notice("a1")))
        await one.claim_saf("demo", 0, 100, 5)
        await one.claim_events(0, 100, 5)
        watch = LeaseWatch()
        assert [] == watch.lapsed(await two.leases(), 0.0)
        assert await two.take_orphans(clock_ms, 5) == []
        assert await two.claim_saf("demo", clock_ms, clock_ms, 5) == []
        assert await two.claim_events(clock_ms, clock_ms, 5) == []
        assert not await two.retry_saf(1, 1, 0)
        await one.commit(UpdateEntry(2, (State.SENT,), state=State.DECLINED))
        await one.retry_saf(2, 1, 0)
        await one.claim_saf("demo", 1, 101, 5)
        assert [] == watch.lapsed(await two.leases(), LEASE_S - 1)
        lapsed = watch.lapsed(await two.leases(), LEASE_S)
        assert [("journal", 1), ("saf", 1)] == [(lease.held, lease.key) for lease in lapsed][:2]
        assert 3 == len(lapsed) == await two.let_go(lapsed)
        assert 0 == await two.let_go(lapsed)
        assert [1] == [entry.id for entry in await two.take_orphans(clock_ms, 5)]
        assert [1] == [taken.id for taken in await two.claim_saf("demo", 2, clock_ms, 5)]
        assert 1 == len(await two.claim_events(0, clock_ms, 5))
        assert not await one.retry_saf(1, 1, 0)


def test_what_has_gone_is_forgotten() -> None:
    """A claim that comes back is watched from then."""
    watch, lease = LeaseWatch(), Lease("saf", 1, "switch-1#1.0", 5)
    assert [] == watch.lapsed([lease], 0.0)
    assert [] == watch.lapsed([], LEASE_S / 2)
    assert [] == watch.lapsed([lease], LEASE_S)
    assert [lease] == watch.lapsed([lease], 2 * LEASE_S)
