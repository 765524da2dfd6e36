"""Several processes on one PostgreSQL, as books that work side by side."""

import threading
from collections.abc import Callable, Iterator

import pytest

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    OpenAccount,
    Post,
    Posting,
    PostReversed,
)
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    Failed,
    InsertEntry,
    PutOrder,
    QueueSaf,
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.owed.queues import claim_saf
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.reads import account_sums
from acquirer.ledger.store.writer import Query, Result, Unit, Writer

MakeEntry = Callable[..., Entry]
RECEIVABLE, PAYABLE = "assets:scheme:demo", "liabilities:merchant:M1"
FUNDS = "liabilities:customer-funds:a"
DATE = "2026-01-02"


@pytest.fixture
def writers(postgresql_url: str) -> Iterator[list[Writer]]:
    """Three instances, each with a connection of its own, that wait longer than deadlocks last."""
    made = [
        Writer(Database(postgresql_url, lock_wait_ms=300_000), name, lambda: 0, migrate)
        for name in ("one", "two", "six")
    ]
    for writer in made:
        writer.connect()
    yield made
    for writer in made:
        writer.close()
    with Database(postgresql_url).read_only_engine().connect() as connection:
        verify(connection)


def race(writers: list[Writer], groups: list[list[Unit]]) -> list[list[Result]]:
    """Commit one group on each writer at the same time."""
    results: list[list[Result]] = [[] for _ in writers]
    start = threading.Barrier(len(writers))

    def run(place: int) -> None:
        start.wait()
        results[place] = writers[place].commit(groups[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def winners(results: list[list[Result]], place: int) -> int:
    """How many writers committed their unit at this place."""
    return sum(result[place] is None for result in results)


def _owed(number: int, original_id: int) -> SafItem:
    return SafItem(number, "demo", BankMessage.REVERSAL, original_id, "98", 0, 0)


def test_one_stan_one_winner(writers: list[Writer], make_entry: MakeEntry) -> None:
    """The same requests reach three processes: each counts once."""
    groups: list[list[Unit]] = [
        [(InsertEntry(make_entry(100 * w + n, stan=f"{n:06d}")),) for n in range(1, 31)]
        for w in range(3)
    ]
    results = race(writers, groups)
    assert [winners(results, place) for place in range(30)] == [1] * 30


def test_one_order_one_payer(writers: list[Writer], make_entry: MakeEntry) -> None:
    """Three terminals pay the same twenty orders; the losers write nothing at all."""
    orders = [OrderRow("M1", f"O{n}", "00", 100, "156", "1", "", 0) for n in range(20)]
    writers[0].commit([tuple(PutOrder(order) for order in orders)])
    groups: list[list[Unit]] = []
    for w in range(3):
        group: list[Unit] = []
        for n, order in enumerate(orders):
            entry = make_entry(100 * (w + 1) + n, order_no=order.order_no)
            claim = UpdateOrder("M1", order.order_no, ("00", None, None), ("00", entry.id, None))
            group.append((PutOrder(order), InsertEntry(entry), claim))
        # Not in one order, so that the writers wait for each other's rows crosswise.
        groups.append(group if w != 1 else group[::-1])
    results = race(writers, groups)
    results[1].reverse()
    assert [winners(results, place) for place in range(20)] == [1] * 20
    lost = [result for results_of_one in results for result in results_of_one if result]
    assert [type(result.step) for result in lost] == [UpdateOrder] * 40


def test_busy_accounts_lose_nothing(writers: list[Writer], make_entry: MakeEntry) -> None:
    """All post to the same accounts, opened by whoever is first, in opposite directions."""
    groups: list[list[Unit]] = []
    for w in range(3):
        group: list[Unit] = []
        for n in range(30):
            entry = make_entry(100 * (w + 1) + n, state=State.APPROVED, amount_minor=7)
            names = (RECEIVABLE, PAYABLE) if w else (PAYABLE, RECEIVABLE)
            group.append(
                (InsertEntry(entry), Post(entry.id, "156", DATE, (Posting(*names, 7, "x"),)))
            )
        groups.append(group)
    assert race(writers, groups) == [[None] * 30] * 3
    sums = writers[0].commit([Query(lambda session: account_sums(session, PAYABLE, "156"))])
    assert sums == [(210, 420, 0, 0)]


def test_a_limit_holds_across_processes(writers: list[Writer], make_entry: MakeEntry) -> None:
    """Ninety spends of one from an account of fifty: fifty hold."""
    entry = make_entry(1, kind="balance", state=State.APPROVED)
    load = Post(1, "156", DATE, (Posting("assets:bank:main", FUNDS, 50, "load"),))
    assert writers[0].commit([(InsertEntry(entry), OpenAccount(FUNDS, "156"), load)]) == [None]
    spend = (Posting(FUNDS, PAYABLE, 1, "spend"),)
    groups: list[list[Unit]] = []
    for w in range(3):
        entries = [
            make_entry(100 * (w + 1) + n, state=State.APPROVED, amount_minor=1) for n in range(30)
        ]
        groups.append([(InsertEntry(e), Post(e.id, "156", DATE, spend)) for e in entries])
    results = race(writers, groups)
    assert sum(result is None for of_one in results for result in of_one) == 50
    assert sum(isinstance(result, Failed) for of_one in results for result in of_one) == 40


def test_one_reversal(writers: list[Writer], make_entry: MakeEntry) -> None:
    """A void, a reversal and recovery at the same time: the money goes back once."""
    post = Post(1, "156", DATE, (Posting(RECEIVABLE, PAYABLE, 10_000, "sale"),))
    writers[0].commit([(InsertEntry(make_entry(1, state=State.APPROVED)), post)])
    change = UpdateEntry(1, (State.APPROVED,), state=State.REVERSING)
    groups: list[list[Unit]] = [
        [
            (
                PostReversed(1, 10 + w, DATE),
                change,
                QueueSaf(SafItem(w, "demo", BankMessage.REVERSAL, 1, "98", 0, 0)),
            )
        ]
        for w in range(3)
    ]
    results = race(writers, groups)
    assert winners(results, 0) == 1


def test_saf_items_have_one_claimer(writers: list[Writer], make_entry: MakeEntry) -> None:
    """Claims at the same moment share the items out; none is left, none is taken twice."""
    queued: list[Step] = []
    for n in range(1, 31):
        queued += [
            InsertEntry(make_entry(n)),
            QueueSaf(SafItem(n, "demo", BankMessage.REVERSAL, n, "98", 0, 0)),
        ]
    assert writers[0].commit([tuple(queued)]) == [None]

    def claim(name: str) -> Query:
        def call(session: Session) -> list[SafItem]:
            return claim_saf(session, f"{name}#1.0", "demo", 0, 100, 10, 64)

        return Query(call, writes=True)

    claims: list[list[Unit]] = [[claim("one")], [claim("two")], [claim("six")]]
    taken: list[int] = []
    for _ in range(3):
        for (items,) in race(writers, claims):
            taken += [item.id for item in items]
    assert sorted(taken) == list(range(1, 31))


CASH = "assets:courier:C1"


def test_cash_in_hand_never_passes_its_limit(writers: list[Writer], make_entry: MakeEntry) -> None:
    """Ninety payments of one in cash in three processes, limit fifty: fifty hold."""
    within = LimitBalance(CASH, "156", high_minor=49)
    groups: list[list[Unit]] = []
    for w in range(3):
        entries = [
            make_entry(100 * (w + 1) + n, state=State.APPROVED, amount_minor=1) for n in range(30)
        ]
        paid = (Posting(CASH, PAYABLE, 1, "cash"),)
        groups.append([(InsertEntry(e), within, Post(e.id, "156", DATE, paid)) for e in entries])
    results = [result for of_one in race(writers, groups) for result in of_one]
    assert sum(result is None for result in results) == 50
    assert sum(result == Failed(within) for result in results) == 40


def test_cash_is_counted_once(writers: list[Writer], make_entry: MakeEntry) -> None:
    """Three stations take the same cash in, beside payments: each amount is handed in once."""
    paid = (Posting(CASH, PAYABLE, 5, "cash"),)
    pay = make_entry(1, state=State.APPROVED, amount_minor=5)
    assert writers[0].commit([(InsertEntry(pay), Post(1, "156", DATE, paid))]) == [None]
    groups: list[list[Unit]] = []
    for w in range(3):
        group: list[Unit] = []
        for n, expected_minor in enumerate((5, 10, 5, 10)):
            entry = make_entry(100 * (w + 1) + n, kind="balance", state=State.APPROVED)
            counted = (Posting("assets:station:north", CASH, expected_minor, "hand-in"),)
            unchanged = LimitBalance(CASH, "156", expected_minor, expected_minor)
            group.append((InsertEntry(entry), unchanged, Post(entry.id, "156", DATE, counted)))
            more = make_entry(100 * (w + 1) + 50 + n, state=State.APPROVED, amount_minor=5)
            group.append((InsertEntry(more), Post(more.id, "156", DATE, paid)))
        groups.append(group)
    race(writers, groups)
    sums = writers[0].commit([Query(lambda session: account_sums(session, CASH, "156"))])
    debits, credits, _, _ = sums[0]
    assert debits == 5 * 13
    assert 0 <= debits - credits <= debits
    handed = writers[0].commit(
        [Query(lambda session: account_sums(session, "assets:station:north", "156"))]
    )
    assert handed[0][0] == credits
