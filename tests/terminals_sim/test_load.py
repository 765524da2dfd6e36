"""Load runs against a host that loses things: at the end both sides have the same books."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from fake_host import Act, FakeHost

from acquirer.config.estate import Card, Courier, load_estate
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.link import Connect, tcp
from acquirer.terminals_sim.load import LoadPlan, TerminalJournal, plan_for, play

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Trio on a clock that jumps, so that time-outs and pauses take no time."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Books:
    """Wraps a host: books every effect once, then perhaps loses or spoils the answer."""

    def __init__(self, host: FakeHost, act: type[Act], seed: int, fault_rate: float) -> None:
        self.host, self._act = host, act
        self._random = random.Random(seed)
        self._rate = fault_rate
        self._answer = host.answer
        self.money: dict[tuple[str, str], int] = {}
        self.undone: set[tuple[str, str]] = set()
        host.answer = self.answer

    def answer(self, frame: bytes) -> Any:
        """Book, then answer, drop, close or spoil."""
        fault = self._random.choice(["drop", "close", "bad"])
        faulty = self._random.random() < self._rate
        late = faulty and fault == "close" and self._random.random() < 0.5
        if faulty:
            acts: dict[str, dict[str, Any]] = {
                "drop": {"drop": True},
                "close": {"close": True},
                "bad": {"mac": "bad"},
            }
            self.host.script.append(self._act(**acts[fault]))
        answers = self._answer(frame)
        if not late:
            self._book(self.host.requests[-1])
        return answers

    def _book(self, message: Any) -> None:
        key = (message.get(41), message.get(11))
        kind = message.get(60)[:2]
        if message.mti == "0400":
            self.undone.add(key)
        elif message.mti == "0200" and kind in ("22", "72"):
            self.money[key] = int(message.get(4))
        elif message.mti == "0200" and kind == "23":
            self.money[key] = -int(message.get(4))

    def total(self, terminal_id: str) -> int:
        """What one terminal took, less voids, reversals gone."""
        return sum(
            amount
            for key, amount in self.money.items()
            if key[0] == terminal_id and key not in self.undone
        )


def connect_to(host: FakeHost, nursery: trio.Nursery) -> Connect:
    """In-memory connections to the host."""

    async def connect() -> trio.abc.Stream:
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(host.serve, far)
        return near

    return connect


def taken(journal: TerminalJournal) -> int:
    """What the terminal counts on."""
    return journal.total_minor("sale") + journal.total_minor("order_payment")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_books_agree_after_lost_answers(
    make_identity: Callable[..., Identity],
    make_host: type[FakeHost],
    act: type[Act],
    card: Card,
    seed: int,
) -> None:
    """Whatever is lost on the way, each terminal ends with the host's own sum and no debts."""
    identities = tuple(make_identity(terminal_id=f"1000000{n}") for n in range(1, 5))
    host = make_host(identities[0])
    books = Books(host, act, seed, 0.2)
    plan = LoadPlan(
        identities, (card,), connections=2, transactions_max=40, seconds_max=3600, timeout_s=5
    )
    async with trio.open_nursery() as nursery:
        journals = await play(plan, connect_to(host, nursery), seed=seed)
        nursery.cancel_scope.cancel()
    assert [journal.owed for journal in journals] == [0, 0, 0, 0]
    assert [taken(journal) for journal in journals] == [
        books.total(identity.terminal_id) for identity in identities
    ]
    assert sum(taken(journal) for journal in journals) > 0


async def test_orders_are_paid_confirmed_and_signed_for(
    make_identity: Callable[..., Identity], make_host: type[FakeHost], act: type[Act], card: Card
) -> None:
    """Order payments run through all their steps, each order once."""
    me = make_identity()
    host = make_host(me)
    host.amount_due = "000000000500"
    books = Books(host, act, 7, 0.1)
    orders = tuple(f"SP{number}" for number in range(30))
    plan = LoadPlan(
        (me,),
        (card,),
        {me.merchant_id: orders},
        {me.terminal_id: Courier("C1", me.merchant_id, "270475")},
        transactions_max=120,
        seconds_max=3600,
        timeout_s=5,
    )
    async with trio.open_nursery() as nursery:
        (journal,) = await play(plan, connect_to(host, nursery), seed=7)
        nursery.cancel_scope.cancel()
    paid = [entry for entry in journal.entries if entry.kind == "order_payment"]
    assert journal.owed == 0
    assert len({entry.order_no for entry in paid}) == len(paid) > 3
    cancelled = sum(e.amount_minor for e in paid if e.state == "voided")
    assert taken(journal) + cancelled == books.total(me.terminal_id)


async def test_stop_ends_the_play(
    make_identity: Callable[..., Identity], make_host: type[FakeHost], card: Card
) -> None:
    """The stop event ends it before the limits do."""
    me = make_identity()
    host = make_host(me)
    stop = trio.Event()
    answer = host.answer

    def stopping(frame: bytes) -> Any:
        if len(host.requests) == 10:
            stop.set()
        return answer(frame)

    host.answer = stopping
    plan = LoadPlan((me,), (card,), transactions_max=10_000, seconds_max=10_000)
    async with trio.open_nursery() as nursery:
        (journal,) = await play(plan, connect_to(host, nursery), seed=1, stop=stop)
        nursery.cancel_scope.cancel()
    assert len(journal.answers) == 11


async def test_no_switch_at_all_ends_with_the_time(
    make_identity: Callable[..., Identity], card: Card
) -> None:
    """Where nobody answers the play ends by its time limit, with nothing owed."""

    async def connect() -> trio.abc.Stream:
        raise OSError(111, "Connection refused")

    plan = LoadPlan((make_identity(),), (card,), seconds_max=20)
    started = trio.current_time()
    (journal,) = await play(plan, connect, seed=1)
    assert (journal.answers, journal.entries, journal.owed) == ((), (), 0)
    assert 20 <= trio.current_time() - started < 30


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_over_a_real_socket(
    make_identity: Callable[..., Identity],
    make_host: type[FakeHost],
    card: Card,
    anyio_backend: str,
) -> None:
    """The same play over TCP on the loopback."""
    identities = tuple(make_identity(terminal_id=f"1000000{n}") for n in range(1, 4))
    host = make_host(identities[0])
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, host.serve, 0)
        port = listeners[0].socket.getsockname()[1]
        plan = LoadPlan(identities, (card,), connections=3, transactions_max=10)
        journals = await play(plan, tcp("127.0.0.1", port), seed=5)
        nursery.cancel_scope.cancel()
    assert [len(journal.answers) for journal in journals] == [10, 10, 10]


def test_plan_for_the_demo_estate() -> None:
    """The demo estate gives a plan with terminals, good cards, couriers and orders."""
    plan = plan_for(load_estate(), ("10000001",), connections=2)
    assert [me.terminal_id for me in plan.terminals] == ["10000001"]
    assert plan.connections == 2
    assert all(not card.status for card in plan.cards)
    assert plan.couriers[plan.terminals[0].terminal_id].courier_id == "C1001"
    assert len(plan.orders[plan.terminals[0].merchant_id]) >= 6
