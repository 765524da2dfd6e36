"""Many terminals at once, for soak and kill tests: random transactions until told to stop.

Each terminal keeps its own state and journal, saves its reversal before it sends, survives lost
connections and a switch that restarts, and settles what it owes at the end. The caller compares
the journals with the books of switch and bank. Everything is bounded in number and time; one
seed decides what is played, though not how it interleaves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from acquirer.config.estate import Card, Courier, Estate
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.identity import Identity, identity
from acquirer.terminals_sim.link import Connect, TerminalLink
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.state import JournalEntry, TerminalState
from acquirer.terminals_sim.store import MemoryStore, Store
from acquirer.terminals_sim.terminal import Terminal

PAUSE_MIN_S = 0.05
PAUSE_MAX_S = 2.0
_ROWS_A_TRANSACTION = 4


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each action is drawn, as weights."""

    sale: int = 70
    void: int = 8
    reverse: int = 8
    balance: int = 4
    order: int = 10


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to play.

    Attributes:
        terminals: who plays; each on one connection.
        cards: drawn at random.
        orders: order numbers by merchant id; each is paid once.
        couriers: who is signed on, by terminal id; a terminal without one pays no orders.
        connections: how many at once; terminals share one where they are more, taking turns.
        transactions_max: by each terminal.
        seconds_max: after which no new transaction starts.
        timeout_s: how long an answer may take.
        drain_s: how long to try to deliver reversals and confirmations at the end.
        amount_minor_max: of a sale, in minor units.
        first_stan: where each terminal starts to count.
    """

    terminals: tuple[Identity, ...]
    cards: tuple[Card, ...]
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    couriers: Mapping[str, Courier] = field(default_factory=dict)
    mix: Mix = Mix()
    connections: int = 8
    transactions_max: int = 1000
    seconds_max: float = 60.0
    timeout_s: float = 30.0
    drain_s: float = 60.0
    amount_minor_max: int = 5000
    first_stan: int = 1


@dataclass(frozen=True, slots=True)
class TerminalJournal:
    """What one terminal did.

    Attributes:
        answers: every answer that it received, in order, its own retries aside.
        entries: its journal as it stands at the end; an entry that is ``approved`` is money that
            this terminal's merchant counts on.
        owed: reversals and confirmations that could not be delivered.
    """

    terminal_id: str
    answers: tuple[Result, ...]
    entries: tuple[JournalEntry, ...]
    owed: int

    def total_minor(self, kind: str = "sale") -> int:
        """Sum of the approved entries of a kind, in minor units."""
        return sum(
            entry.amount_minor
            for entry in self.entries
            if entry.kind == kind and entry.state == "approved"
        )


def plan_for(estate: Estate, terminal_ids: tuple[str, ...] = (), **changes: Any) -> LoadPlan:
    """A plan over an estate: its good cards, its orders payable by card, a courier a terminal.

    Args:
        estate: the test world.
        terminal_ids: who plays; all where empty.
        changes: other attributes of the plan.
    """
    ids = terminal_ids or tuple(terminal.terminal_id for terminal in estate.terminals)
    orders: dict[str, tuple[str, ...]] = {}
    for order in estate.orders:
        if "1" in order.pay_ways and order.amount_minor:
            orders[order.merchant_id] = (*orders.get(order.merchant_id, ()), order.order_no)
    terminals = tuple(identity(estate, terminal_id) for terminal_id in ids)
    couriers: dict[str, Courier] = {}
    for courier in estate.couriers:
        for me in terminals:
            if me.merchant_id == courier.merchant_id and me.terminal_id not in couriers:
                couriers[me.terminal_id] = courier
                break
    plan = LoadPlan(
        terminals=terminals,
        cards=tuple(card for card in estate.cards if not card.status),
        orders=orders,
        couriers=couriers,
    )
    return replace(plan, **changes)


async def play(
    plan: LoadPlan,
    connect: Connect,
    *,
    seed: int,
    stop: trio.Event | None = None,
    store: Callable[[str], Store] | None = None,
) -> list[TerminalJournal]:
    """Play until the plan's limits or until ``stop``, then settle what is owed.

    Args:
        plan: what to play.
        connect: opens a stream to the switch; is called again after every loss, so it may look
            the address up anew.
        seed: decides what each terminal draws.
        stop: ends the play early.
        store: gives each terminal its store by id; memory where absent.

    Returns:
        One journal a terminal, in the plan's order.
    """
    told = trio.Event() if stop is None else stop
    orders = {merchant_id: list(numbers) for merchant_id, numbers in plan.orders.items()}
    links = [TerminalLink(connect) for _ in range(min(plan.connections, len(plan.terminals)))]
    hands = [
        _Hand(plan, me, links[index % len(links)], orders, seed, store)
        for index, me in enumerate(plan.terminals)
    ]
    deadline = trio.current_time() + plan.seconds_max
    async with trio.open_nursery() as nursery:
        for index in range(len(links)):
            nursery.start_soon(_line, hands[index :: len(links)], told, deadline)
    for link in links:
        await link.close()
    return [hand.journal() for hand in hands]


async def _line(hands: list[_Hand], stop: trio.Event, deadline: float) -> None:
    """One connection's terminals in turn, then their debts."""
    playing = list(hands)
    while playing and not stop.is_set() and trio.current_time() < deadline:
        for hand in playing:
            await hand.turn(stop)
        playing = [hand for hand in playing if hand.left > 0]
    for hand in hands:
        await hand.drain()


class _Hand:
    """One terminal's player."""

    def __init__(
        self,
        plan: LoadPlan,
        me: Identity,
        link: TerminalLink,
        orders: dict[str, list[str]],
        seed: int,
        store: Callable[[str], Store] | None,
    ) -> None:
        self.left = plan.transactions_max
        self._plan = plan
        self._random = random.Random(f"{seed}/{me.terminal_id}")
        self._orders = orders.get(me.merchant_id, [])
        self._courier = plan.couriers.get(me.terminal_id)
        self._answers: list[Result] = []
        self._pause_s = 0.0
        terminal = Terminal(
            me,
            TerminalState(me.terminal_id, next_stan=plan.first_stan),
            journal_max=plan.transactions_max * _ROWS_A_TRANSACTION,
        )
        chosen = store(me.terminal_id) if store else MemoryStore()
        self.client = TerminalClient(terminal, chosen, link, timeout_s=plan.timeout_s)

    async def turn(self, stop: trio.Event) -> None:
        """One transaction, or one more try to sign on; waits a little after a failure."""
        if self._pause_s:
            with trio.move_on_after(self._pause_s):
                await stop.wait()
                return
        self.left -= 1
        if not self.client.state.wrapped_keys:
            self._note(await self.client.sign_on())
            return
        mix = self._plan.mix
        names = ("sale", "void", "reverse", "balance", "order")
        action = self._random.choices(names, [getattr(mix, name) for name in names])[0]
        try:
            await self._act(action)
        except LocalRefusal:
            await self._act("sale")

    async def drain(self) -> None:
        """Deliver reversals and confirmations, for as long as the plan allows."""
        with trio.move_on_after(self._plan.drain_s):
            while self._owed:
                await trio.sleep(self._pause_s)
                blocked = await self.client.settle_debts()
                self._pause(blocked is not None or bool(self._owed))

    def journal(self) -> TerminalJournal:
        """What this terminal did."""
        state = self.client.state
        return TerminalJournal(state.terminal_id, tuple(self._answers), state.journal, self._owed)

    @property
    def _owed(self) -> int:
        state = self.client.state
        return len(state.advices) + (state.reversal is not None)

    async def _act(self, action: str) -> None:
        card = self._random.choice(self._plan.cards)
        if action == "void":
            self._note(await self.client.void())
        elif action == "reverse":
            self._note(await self.client.reverse())
        elif action == "balance":
            self._note(await self.client.balance(card))
        elif action == "order" and self._courier is not None and self._orders:
            await self._order(self._courier, card)
        else:
            amount_minor = self._random.randint(1, self._plan.amount_minor_max)
            self._note(await self.client.sale(amount_minor, card))

    async def _order(self, courier: Courier, card: Card) -> None:
        client = self.client
        if client.state.courier_id != courier.courier_id:
            signed = self._note(await client.courier_sign_on(courier.courier_id, courier.password))
            if not signed.approved:
                return
        order_no = self._orders.pop()
        paid = self._note(await client.pay_order(order_no, "card", card))
        if paid.kind != "order_payment" or not paid.approved:
            return
        if self._random.random() < 0.1:
            self._note(await client.order_cancel(order_no))
            return
        self._note(await client.order_confirm(order_no))
        self._note(await client.order_receipt(order_no, "signed"))

    def _note(self, result: Result) -> Result:
        if result.answered:
            self._answers.append(replace(result, reply=None))
        self._pause(not result.answered)
        return result

    def _pause(self, failed: bool) -> None:
        doubled = min(max(self._pause_s * 2, PAUSE_MIN_S), PAUSE_MAX_S)
        self._pause_s = doubled if failed else 0.0
