"""A state machine over orders, couriers, lost messages and crashes, held to the order's life.

Hypothesis chooses what two couriers of one shop do with a few orders, and when a connection is
cut, the switch or the bank's link dies or the order system is gone meanwhile. What was paid by card
is given back at a till too, in parts or all at once. Each step runs on
the real switch of a simulated day, in a thread of its own; when everything owed is delivered the
model, written from docs/orders.md, the switch, the merchant and the couriers' cash must agree. At
the end the day's own checks hold all books against each other.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from acquirer.config.estate import Order
from acquirer.simulation.day import Day
from acquirer.simulation.healing import heal
from acquirer.simulation.players import Player
from acquirer.simulation.process import SWITCH
from acquirer.simulation.run import run_day
from acquirer.simulation.world import World
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.results import Result

TO_PAY, PAID, CONFIRMED, SIGNED, CANCELLED, EXCEPTION, NOTHING = (f"0{n}" for n in range(7))
WAYS = {"1": "card", "2": "cash", "3": "delivery"}
STEP_S = 10.0
ORDERS = 6
LINKS_UP_S = 5.0
BLOWS = ("", "", "", "cut", "kill", "bank", "orders")

Act = Callable[[World], Awaitable[Any]]
# A payment asks the order system twice and the bank once; other steps ask one of them at most.
blows = st.tuples(st.sampled_from(BLOWS), st.floats(0.0, 0.015))
blows_of_payments = st.tuples(st.sampled_from(BLOWS), st.floats(0.0, 0.05))
places = st.integers(0, ORDERS - 1)
whose = st.integers(0, 1)


@dataclass
class Known:
    """What the model knows of an order.

    Attributes:
        payer: the courier whose payment stands, or None.
        again: the exception was a rescheduling.
        is_known: the switch has asked for it before.
        refunded_minor: what refunds have given back of its payment.
    """

    order: Order
    status: str
    payer: int | None = None
    way: str = ""
    again: bool = False
    is_known: bool = False
    refunded_minor: int = 0

    @property
    def opened(self) -> str:
        """The status of an order that nobody has paid."""
        return TO_PAY if self.order.amount_minor else NOTHING

    @property
    def by_card(self) -> bool:
        """Whether a card's payment stands, of which something may go back."""
        return self.way == "card" and self.payer is not None and self.status != CANCELLED

    @property
    def payable(self) -> bool:
        """Whether a payment of what is due must be taken."""
        return self.status in (TO_PAY, NOTHING) or (self.status == EXCEPTION and self.again)


async def until_up(world: World) -> None:
    """Wait until the switch takes terminals, and its links have had time to come up."""
    for _ in range(100):
        await trio.sleep(0.1)
        if SWITCH in world.network.routes:
            break
    await trio.sleep(LINKS_UP_S)


class Orders(RuleBasedStateMachine):
    """The machine; ``_do`` runs one step in the day's thread, whose time stands between steps."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox: queue.Queue[Act | None] = queue.Queue()
        self.outbox: queue.Queue[Any] = queue.Queue()
        self.findings: list[str] = ["the day did not end"]
        self.known: list[Known] = []
        self.last: list[int | None] = [None, None]
        self.may_refund = False
        self.thread: threading.Thread | None = None

    @initialize(seed=st.integers(0, 10_000))
    def open(self, seed: int) -> None:
        """The day begins: two terminals, each with its courier."""

        def live() -> None:
            try:
                day = Day(seed, faults=frozenset())
                self.findings = run_day(day, play=self._play).findings
            finally:
                self.outbox.put(None)

        self.thread = threading.Thread(target=live)
        self.thread.start()
        orders: list[Order] = self.outbox.get(timeout=STEP_S)
        # Those that can be paid in either way come first, one with nothing to pay is among them.
        orders.sort(key=lambda order: (order.amount_minor > 0, order.pay_ways != "12"))
        free = sum(not order.amount_minor for order in orders)
        chosen = orders[max(free - 1, 0) :][:ORDERS]
        self.known = [Known(order, TO_PAY if order.amount_minor else NOTHING) for order in chosen]

    async def _play(self, world: World) -> None:
        merchant_id = world.players[0]._me.merchant_id
        self.players = [p for p in world.players if p._me.merchant_id == merchant_id][:2]
        await until_up(world)
        for player in self.players:
            assert (await player._client.sign_on()).approved
            courier = player._courier
            assert (
                await player._client.courier_sign_on(courier.courier_id, courier.password)
            ).approved
        self.players[1]._client._follow = False  # answers no processing demand
        merchant = next(m for m in world.estate.merchants if m.merchant_id == merchant_id)
        self.may_refund = merchant.refund
        self.outbox.put([o for o in world.estate.orders if o.merchant_id == merchant_id])
        while (act := self.inbox.get()) is not None:
            try:
                self.outbox.put(await act(world))
            except Exception as error:
                self.outbox.put(error)

    def _do(
        self, blow: tuple[str, float], who: int, act: Callable[[Player], Awaitable[Result]]
    ) -> Any:
        """One step of a courier's, with a blow on the way; returns when all is delivered."""

        async def step(world: World) -> Result | None:
            player, (what, delay_s) = self.players[who], blow
            orders = world.network.routes["orders"]
            if what == "cut":
                world.agenda.after(delay_s, player._host.drop)
            elif what == "kill":
                world.agenda.after(delay_s, world.switch.kill)
            elif what == "bank":
                world.agenda.after(delay_s, world.network.routes["bank"].host.drop)
            elif what == "orders":
                del world.network.routes["orders"]
                orders.host.drop()
            try:
                result = await act(player)
            except LocalRefusal:
                result = None
            await trio.sleep(delay_s)
            world.network.routes["orders"] = orders
            assert "" == await heal(world)
            for one in self.players:
                # What was cut must not strike the next step too.
                await one.close()
            if what in ("kill", "bank"):
                await until_up(world)
            return result

        result = self._in_the_day(step)
        for place, known in enumerate(self.known):
            # A terminal that is asked for what it holds open confirms it by itself.
            if known.status == PAID and self._stage(known.payer, place) == "confirmed":
                known.status = CONFIRMED
        return result

    def _in_the_day(self, act: Act) -> Any:
        self.inbox.put(act)
        found = self.outbox.get(timeout=STEP_S)
        if isinstance(found, Exception):
            raise found
        return found

    def _theirs(self) -> dict[str, tuple[str, int]]:
        """Each order's status at the merchant, and what he was told that was refunded."""

        async def looked(world: World) -> dict[str, tuple[str, int]]:
            query = "SELECT order_no, status, refunded_minor FROM orders"
            rows = world.orders.store.connection.execute(query)
            return {row[0]: (row[1], row[2]) for row in rows}

        theirs: dict[str, tuple[str, int]] = self._in_the_day(looked)
        return theirs

    def _stage(self, who: int | None, place: int) -> str:
        if who is None:
            return ""
        held = self.players[who].state.order(self.known[place].order.order_no)
        return held.stage if held else ""

    # --- what couriers do ----------------------------------------------------------------------

    @rule(who=whose, place=places, pick=st.integers(0, 1), blow=blows_of_payments)
    def pay(self, who: int, place: int, pick: int, blow: tuple[str, float]) -> None:
        """Taken where the order can be paid and nothing strikes; else as if it had not been."""
        known, held = self.known[place], self._stage(who, place)
        way = WAYS[known.order.pay_ways[pick % len(known.order.pay_ways)]]
        card = self.players[who]._cards[0]
        number = known.order.order_no
        stan = self.players[who].state.next_stan
        self._do(blow, who, lambda player: player._client.pay_order(number, way, card))
        order = self.players[who].state.order(number)
        is_paid = order is not None and order.stage == "paid" and int(order.stan) >= stan
        if is_paid:
            assert known.payable, (known, held)
            known.status, known.payer, known.way = PAID, who, way
            known.refunded_minor = 0
            self.last[who] = place
        else:
            assert blow[0] or not known.payable, known
            if (
                known.status == EXCEPTION
                and known.payable
                and self._theirs()[number][0] != EXCEPTION
            ):
                # It was taken, and taken back: the order is again as it came.
                known.status = known.opened

    @precondition(lambda self: any(k.payer is not None for k in self.known))
    @rule(place=places, blow=blows)
    def confirm(self, place: int, blow: tuple[str, float]) -> None:
        """The payer's terminal confirms; it says so until it is answered."""
        known = self.known[place]
        if known.payer is None or known.status == CANCELLED:
            return
        number = known.order.order_no
        self._do(blow, known.payer, lambda player: player._client.order_confirm(number))
        assert blow[0] or known.status in (CONFIRMED, SIGNED)

    @rule(who=whose, place=places, blow=blows)
    def sign(self, who: int, place: int, blow: tuple[str, float]) -> None:
        """Somebody has signed; while it is not confirmed only the payer's terminal may say so."""
        known = self.known[place]
        number, mine = known.order.order_no, known.payer == who
        may = known.status in (CONFIRMED, SIGNED) or (known.status == PAID and mine)
        may |= known.status == NOTHING and known.is_known
        stan = self.players[who].state.next_stan
        self._do(blow, who, lambda player: player._client.order_receipt(number, "Li"))
        if may and self._is_done(who, stan):
            known.status = SIGNED
        assert blow[0] or not may or known.status == SIGNED, known

    def _is_done(self, who: int, since: int) -> bool:
        """Whether an advice that a terminal made with such a STAN or a later one was taken."""
        newest = self.players[who].state.journal[-1:]
        return any(int(one.stan) >= since and one.state == "approved" for one in newest)

    @precondition(lambda self: any(k.payer is not None for k in self.known))
    @rule(place=places, blow=blows)
    def cancel(self, place: int, blow: tuple[str, float]) -> None:
        """The payer's terminal gives the money back; what was signed for stays."""
        known = self.known[place]
        if known.payer is None or known.status == CANCELLED:
            return
        number = known.order.order_no
        self._do(blow, known.payer, lambda player: player._client.order_cancel(number))
        if self._stage(known.payer, place) == "cancelled":
            assert known.status in (PAID, CONFIRMED), known
            assert not known.refunded_minor, known
            known.status = CANCELLED
        else:
            assert blow[0] or known.status == SIGNED or known.refunded_minor, known

    @precondition(lambda self: any(k.by_card for k in self.known))
    @rule(pick=places, tenths=st.sampled_from((1, 4, 6, 10)), blow=blows)
    def refund(self, pick: int, tenths: int, blow: tuple[str, float]) -> None:
        """A till gives a part back, and the order stays; or all at once, and it is cancelled."""
        paid = [known for known in self.known if known.by_card]
        known = paid[pick % len(paid)]
        assert known.payer is not None
        amount_minor = max(known.order.amount_minor * tenths // 10, 1)
        player = self.players[known.payer]
        held = player.state.order(known.order.order_no)
        assert held is not None
        card, stan = player._cards[0], player.state.next_stan
        self._do(blow, known.payer, lambda till: till._client.refund(amount_minor, card, held.rrn))
        sum_minor = known.refunded_minor + amount_minor
        may = self.may_refund and sum_minor <= known.order.amount_minor
        if self._is_done(known.payer, stan):
            assert may, known
            known.refunded_minor = sum_minor
            if amount_minor == known.order.amount_minor:
                known.status, known.payer, known.way = CANCELLED, None, ""
                known.refunded_minor = 0
        else:
            assert blow[0] or not may, (known, player.state.journal[-1])

    @rule(who=whose, place=places, reason=st.sampled_from(("02", "06")), blow=blows)
    def exception(self, who: int, place: int, reason: str, blow: tuple[str, float]) -> None:
        """An order that is not paid could not be delivered."""
        known = self.known[place]
        number = known.order.order_no
        stan = self.players[who].state.next_stan
        self._do(blow, who, lambda player: player._client.order_exception(number, reason))
        if known.status in (TO_PAY, NOTHING, EXCEPTION) and self._is_done(who, stan):
            known.status, known.again = EXCEPTION, reason == "06"
        assert blow[0] or known.status not in (TO_PAY, NOTHING)

    @rule(who=whose, blow=blows)
    def reverse(self, who: int, blow: tuple[str, float]) -> None:
        """A terminal takes its last payment back, as long as nobody has confirmed it."""
        if (place := self.last[who]) is None:
            return
        known = self.known[place]
        self._do(blow, who, lambda player: player._client.reverse())
        if known.status == PAID and known.payer == who and self._stage(who, place) != "paid":
            assert not known.refunded_minor, known
            known.status, known.payer, known.way = known.opened, None, ""
        assert blow[0] or known.status != PAID or known.refunded_minor
        self.last[who] = None

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def all_agree(self) -> None:
        """Order by order at the switch and at the merchant; courier by courier in the ledger."""
        if not self.known:
            return

        async def looked(world: World) -> tuple[dict[Any, Any], dict[Any, Any]]:
            statuses = world.auditor.rows("SELECT order_no, status FROM orders")
            cash = world.auditor.rows(
                "SELECT name, debits_posted - credits_posted FROM accounts"
                " WHERE name LIKE 'assets:courier:%'"
            )
            return {row[0]: row[1] for row in statuses}, {row[0]: row[1] for row in cash}

        theirs = self._theirs()
        at_switch, cash = self._in_the_day(looked)
        for known in self.known:
            number = known.order.order_no
            told = theirs[number]
            assert (known.status, known.refunded_minor) == told, (known, told)
            assert known.status == at_switch.get(number, known.status), (known, at_switch[number])
            known.is_known = number in at_switch
        for who, player in enumerate(self.players):
            taken = sum(
                known.order.amount_minor
                for known in self.known
                if (known.payer, known.way) == (who, "cash") and known.status != CANCELLED
            )
            assert taken == cash.get(f"assets:courier:{player._courier.courier_id}", 0)

    def teardown(self) -> None:
        """The day ends; its own checks look at everything."""
        if self.thread is not None:
            self.inbox.put(None)
            self.thread.join(STEP_S)
            assert [] == self.findings


Orders.TestCase.settings = settings(
    max_examples=5,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOrders = Orders.TestCase
