"""The books in memory that handlers are tested with do what the real books do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_entries import NOW_MS, sale_entry
from memory_books import MemoryBooks

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    Post,
    Posting,
    PostPending,
    PostPendingResolve,
    PostReversed,
    Resolution,
)
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.entries import (
    CardRecord,
    CourierRow,
    Entry,
    Event,
    OrderRow,
    Role,
    SafItem,
    State,
    TerminalRow,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.journal.states import CHANGES
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutCourier,
    PutOrder,
    PutTerminal,
    QueueEvent,
    QueueSaf,
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.owed.advices import LimitAdvised, LimitRefunded
from acquirer.payments.kernel.ports import Books

pytestmark = pytest.mark.anyio

IDS = 8
OWNERS = ("a#1.0", "b#1.0")
ORDER_NOS = ("O1", "O1/1", "O1/2", "O2")
COURIERS = ("C1", "C2")
STATUSES = ("00", "01", "02")
DATE = "2026-01-02"
_worlds = count(1)


class World:
    """Names and numbers of one example, which no other of the same books has."""

    def __init__(self, random: Random) -> None:
        number = next(_worlds)
        self.random = random
        self.first = number * 1000
        self.ids = range(self.first + 1, self.first + 1 + IDS)
        self.inserted = count(self.first + 1)
        self.queued = count(self.first + 500)
        self.merchant, self.bank = f"M{number}", f"bank{number}"
        self.terminals = (f"A{number}", f"B{number}")
        self.couriers = tuple(f"{name}-{number}" for name in COURIERS)
        self.accounts = tuple(
            f"{root}:{number}"
            for root in ("assets:scheme", "liabilities:merchant", "income:mdr", "assets:courier")
        )
        self.tokens = (number.to_bytes(16), (1_000_000 + number).to_bytes(16))
        self.memory = MemoryBooks()
        self.about = self.one(*self._abouts())

    def one(self, *of: Any) -> Any:
        """One of several values."""
        return self.random.choice(of)

    def maybe_id(self) -> int | None:
        """An entry, or none."""
        found: int | None = self.one(None, None, *self.ids[:3])
        return found

    # --- steps --------------------------------------------------------------------------------

    def unit(self) -> tuple[Step, ...]:
        """Steps of payments, most often one, of what this example is about."""
        makes = [self.one(*self.about) for _ in range(self.one(1, 1, 1, 2, 4))]
        return tuple(make() for make in makes)

    def _abouts(self) -> tuple[tuple[Callable[[], Step], ...], ...]:
        entries = (self.insert, self.update, self.update)
        owed = (self.insert, self.queue_saf, self.limit_advised, self.limit_refunded)
        money = (
            self.post,
            self.post_reversed,
            self.post_reversed,
            self.limit_balance,
            self.resolve,
        )
        orders = (self.put_order, self.put_order, self.update_order, self.update_order)
        told = (self.put_order, self.put_order, self.queue_event, self.put_courier)
        return entries, owed, money, orders, told, (*entries, *owed, *money, *orders, *told)

    def insert(self) -> Step:
        """An entry of its own number, with a STAN that may be taken."""
        number = next(self.inserted)
        entry = sale_entry(
            number,
            kind=self.one("sale", "order_payment", "refund"),
            processing_code=self.one("000000", "900000", "910000"),
            role=self.one(Role.ORIGINAL, Role.REVERSAL),
            terminal_id=self.one(*self.terminals),
            stan=self.one("000001", "000002", "000003"),
            merchant_id=self.merchant,
            order_no=self.one("", *ORDER_NOS),
            owner=self.one(*OWNERS),
            state=self.one(State.SENT, State.SENT, State.APPROVED),
            amount_minor=self.one(100, 250),
            created_at_ms=NOW_MS + self.one(0, 1000, 2000),
            original_id=self.maybe_id(),
            key_version=self.one(None, None, None, 1, 2),
            card=self.one(None, *(CardRecord("6", token, b"") for token in self.tokens)),
        )
        return InsertEntry(replace(entry, limits=self.one((), (), (), (self.limit_daily(),))))

    def limit_daily(self) -> LimitDaily:
        """A limit of a date near what was paid on it."""
        about: dict[str, Any] = self.one(
            {"merchants": (self.merchant,)},
            {"merchants": (self.merchant, "M0"), "terminal_id": self.terminals[0]},
            {"pan_token": self.tokens[0]},
        )
        measure, maximum = self.one(("count", 1), ("count", 2), ("amount", 100), ("amount", 350))
        return LimitDaily(DATE, "156", measure, maximum, "61", **about)

    def update(self) -> Step:
        """A change of an entry, which may be as expected."""
        id = self.one(*(list(self.memory.rows.entries) or self.ids[:1]))
        entry = self.memory.rows.entries.get(id)
        expected = entry.state if entry and self.one(*[True] * 4, False) else self.one(*State)
        legal = sorted(CHANGES[expected])
        claim = entry.claimed_by if entry and self.one(True, False) else self.maybe_id()
        return UpdateEntry(
            id,
            self.one((expected,), (expected,), (expected,), (expected, State.SENT)),
            state=self.one(None, None, *legal, *legal, State.APPROVED),
            owner=self.one(None, None, *OWNERS),
            check_claim=self.one(True, False),
            expected_claim=claim,
            set_claim=self.one(True, False),
            claimed_by=self.maybe_id(),
            response_code=self.one(None, "00", "05"),
            approval_code=self.one(None, "A12345"),
            late_response_code=self.one(None, "00"),
            reply=self.one(None, Reply(rrn="1", balance="2")),
            new_owner=self.one(None, *OWNERS),
            lease_until_ms=self.one(None, 7),
        )

    def post(self) -> Step:
        """Up to two transfers of an event."""
        pairs = [self.random.sample(self.accounts, 2) for _ in range(self.one(0, 1, 2))]
        postings = tuple(
            Posting(debit, credit, self.one(1, 100), "sale") for debit, credit in pairs
        )
        make = self.one(Post, Post, PostPending)
        step: Step = make(self.ids[self.one(0, 0, 2)], self.one("156", "840"), DATE, postings)
        return step

    def resolve(self) -> Step:
        """The end of what an event holds, which it may hold no more."""
        place, how = self.one(0, 0, 2), self.one(Resolution.POST, *Resolution)
        by = self.ids[place + self.one(0, 1)]
        return PostPendingResolve(self.ids[place], by, DATE, how)

    def post_reversed(self) -> Step:
        """An event turned back by a later one."""
        place = self.one(0, 0, 1, 2, 3)
        return PostReversed(self.ids[place], self.ids[place + self.one(1, 2)], DATE)

    def limit_balance(self) -> Step:
        """Bounds of an account near what it may hold."""
        low, high = self.one(None, -100, 0), self.one(None, 0, 101)
        return LimitBalance(self.one(*self.accounts), "156", low, high)

    def put_order(self) -> Step:
        """An order as its merchant has it, which may be out of date."""
        number = self.one(*ORDER_NOS)
        row = self.memory.rows.orders.get((self.merchant, number))
        changes = row.changes if row and self.one(True, True, False) else self.one(0, 1)
        order = OrderRow(
            self.merchant,
            number,
            self.one(*STATUSES),
            self.one(0, 500),
            self.one("156", "840"),
            self.one("12", "123"),
            self.one("text", "other"),
            self.one(1, 2),
            paying_id=self.maybe_id(),
            payment_id=self.maybe_id(),
            changes=changes,
            part_of=self.one("", "O1") if "/" in number else "",
        )
        return PutOrder(order)

    def update_order(self) -> Step:
        """A change of an order, which may be as expected."""
        number = self.one(*ORDER_NOS)
        row = self.memory.rows.orders.get((self.merchant, number))
        expected = (self.one(*STATUSES), self.maybe_id(), self.maybe_id())
        changes = self.one(None, 0, 1)
        if row and self.one(True, True, False):
            expected, changes = (row.status, row.paying_id, row.payment_id), row.changes
        new = (self.one(*STATUSES), self.maybe_id(), self.maybe_id())
        return UpdateOrder(self.merchant, number, expected, new, changes)

    def put_courier(self) -> Step:
        """A change of a courier, which may be as expected."""
        courier = self.one(*self.couriers)

        def any_row() -> CourierRow:
            terminal = self.one("", *self.terminals)
            return CourierRow(courier, terminal, self.one(0, 1), self.one(True, False))

        actual = self.memory.rows.couriers.get(courier)
        return PutCourier(any_row(), actual if actual and self.one(True, False) else any_row())

    def queue_saf(self) -> Step:
        """A message for a bank about an entry, which may have its like."""
        at_ms = NOW_MS + self.one(0, 1000)
        kind = self.one(BankMessage.ADVICE, BankMessage.ADVICE, BankMessage.REVERSAL)
        original = self.one(*self.ids[:4])
        number = next(self.queued)
        return QueueSaf(SafItem(number, self.bank, kind, original, "98", at_ms, at_ms, 0, "7", "8"))

    def limit_advised(self) -> Step:
        """A limit near what a card was advised of."""
        since_ms = NOW_MS + self.one(0, 1000)
        return LimitAdvised(
            self.one(*self.tokens), since_ms, self.one(0, 1, 2), self.one(99, 100, 350)
        )

    def limit_refunded(self) -> Step:
        """A limit near what an entry's refunds come to."""
        return LimitRefunded(self.one(*self.ids[:3]), self.one(0, 100, 350))

    def queue_event(self) -> Step:
        """A notice about an order."""
        number = self.one(*ORDER_NOS)
        id = f"evt_{next(self.queued)}"
        return QueueEvent(Event(id, self.merchant, number, "order.paid", "{}", NOW_MS, NOW_MS))

    # --- what is seen -------------------------------------------------------------------------

    async def seen(self, books: Books) -> list[Any]:
        """All that payments can read of these books."""
        said: list[Any] = []
        for id in self.ids:
            said += [await books.entry(id), await books.postings_of_event(id)]
            said.append(await books.entries_of_original(id))
            said.append(await books.advice_is_owed(id))
            said.append(await books.entry_by_rrn(f"{id:012d}"))
        for number in ORDER_NOS:
            said.append(await books.order(self.merchant, number))
            said.append(await books.entries_of_order(self.merchant, number))
            said.append(await books.desk(self.merchant, number, self.couriers[0]))
            for named in (None, (self.terminals[0], "000001", "000001")):
                said.append(await books.order_payments(self.merchant, number, named))
        for terminal in self.terminals:
            said.append(await books.couriers_at(terminal))
            said.append(await books.find_entry(terminal, "000001", "000002"))
            said.append(await books.find_entry(terminal, "000001", "000002", Role.REVERSAL))
        for courier in self.couriers:
            said.append(await books.courier(courier))
        for account in self.accounts:
            said.append(await books.account_sums(account, "156"))
        said.append(await books.takings(self.merchant, DATE, "156"))
        open_now = await books.unconfirmed(NOW_MS, NOW_MS + 1000, 1000)
        return [*said, [entry for entry in open_now if entry.id in self.ids]]


@pytest.fixture(scope="module")
async def book() -> AsyncGenerator[Book]:
    """Real books, in which each example has names and numbers of its own."""
    async with open_book("sqlite://", "test", clock_ms=lambda: NOW_MS, driver="inline") as opened:
        yield opened


async def _result(books: Books, unit: tuple[Step, ...]) -> object:
    """None, the place of the step that did not hold, or the error."""
    try:
        failed = await books.commit(*unit)
    except UnitRefused:
        return UnitRefused
    return None if failed is None else [step is failed.step for step in unit].index(True)


async def _change_keys(world: World, book: Book) -> None:
    """A terminal has other keys."""
    terminal, version = world.one(*world.terminals), world.one(1, 2)
    row = TerminalRow(terminal, "000001", key_version=version)
    assert await book.commit(PutTerminal(row)) is None
    world.memory.rows.key_versions[terminal] = version


async def _deliver(world: World, book: Book) -> None:
    """The merchant is told of everything."""
    for id in world.memory.rows.events.keys() - world.memory.rows.told:
        assert await book.finish_event(id, NOW_MS)
    world.memory.tell_all()


@settings(max_examples=150)
@given(random=st.randoms(use_true_random=True))
async def test_units_do_to_the_books_in_memory_what_they_do_to_the_real_ones(
    book: Book, random: Random
) -> None:
    """Random units hold or fail at the same step, and leave the same behind."""
    world = World(random)
    for _ in range(20):
        unit = world.unit()
        assert await _result(book, unit) == await _result(world.memory, unit), unit
        if world.one(*[False] * 9, True):
            await _deliver(world, book)
        if world.one(False, False, True):
            await _change_keys(world, book)
    assert await world.seen(book) == await world.seen(world.memory)
    queued = sorted(world.memory.rows.saf.values(), key=lambda item: item.id)
    assert await book.saf_pending(world.bank) == queued


async def test_a_step_that_payments_do_not_use_is_refused() -> None:
    """A fake that took what it does not understand would let every test pass."""
    with pytest.raises(UnitRefused, match="PutTerminal"):
        await MemoryBooks().commit(PutTerminal(TerminalRow("T", "000001")))


async def test_what_comes_between_read_and_commit_fails_the_commit() -> None:
    """A hook changes an entry before the unit; the unit writes nothing then."""
    books = MemoryBooks()
    entry: Entry = replace(sale_entry(1), kind=Kind.SALE)
    books.apply(InsertEntry(entry))
    decline = UpdateEntry(1, (State.SENT,), state=State.DECLINED)
    books.meanwhile.append(lambda: books.apply(decline))
    approve = UpdateEntry(1, (State.SENT,), state=State.APPROVED)
    failed = await books.commit(InsertEntry(sale_entry(2)), approve)
    assert failed is not None
    assert failed.step is approve
    assert [1] == list(books.rows.entries)
    assert State.DECLINED == books.rows.entries[1].state
