"""Random walks of two couriers over orders, with lost messages, faults and crashes on the way.

Nothing is predicted step by step but that each order only moves along its life; at the end all
parties, asked on their own, must tell the same story of every order and every cent.
"""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal, Reply, de59
from random_walk import CARD, CARDS, CASH, NOTHING, RandomWalk
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.hosts_sim.orders.settings import Rule as OrderRule
from acquirer.ledger.reports.orders import event_lines, open_orders, order_lines
from acquirer.ledger.store.database import Database
from acquirer.payments.orders.life import NEXT

pytestmark = pytest.mark.anyio

STEPS = 70
MERCHANT = "898110053310001"
ORDERS = {o.order_no: o for o in load_estate().orders if o.merchant_id == MERCHANT}
DOORS = {"10000001": "C1001", "10000002": "C1002"}
# What a courier's terminal may be told; anything else is a fault of the switch.
CODES = {"00", "05", "12", "13", "25", "51", "55", "57", "61", "64", "68", "91", "94", "96", "98"}
BANK = [
    Rule(Match(mti="0400", probability=0.2), fault="drop"),
    Rule(Match(processing_code="00", probability=0.12), fault="drop"),
    Rule(Match(processing_code="20", probability=0.3), fault="drop"),
    Rule(Match(probability=0.06), fault="close"),
    Rule(Match(probability=0.05), response_code="05"),
]
MERCHANTS_SYSTEM = [
    OrderRule("lost_answer", on="events", order_no_pattern="SP2026112100[1-4]", times=2),
    OrderRule("down", on="events", times=2),
    OrderRule("down", on="query", times=4),
]


class Walk(RandomWalk):
    """One random walk."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed, CODES)
        self.terminals: dict[str, PosTerminal] = {}
        self.paid: list[tuple[str, str, Reply, bytes]] = []
        self.status = dict.fromkeys(ORDERS, "")

    async def sign_on(self) -> None:
        """Both couriers at their terminals."""
        for tid, courier in DOORS.items():
            self.terminals[tid] = await self.world.with_courier(tid, courier)

    async def step(self) -> None:
        """One thing happens."""
        acts = [self.pay] * 6 + [self.after_payment] * 7 + [self.exception] * 2
        acts += [self.race, self.query, self.crash, self.swipe]
        await self.draw.choice(acts)()
        self.check_moves()

    async def query(self) -> None:
        """Somebody asks for an order."""
        tid = self.draw.choice(list(DOORS))
        terminal, items = self.terminals[tid], de59(ON=self.order(), OC=DOORS[tid])
        await self.send(terminal, terminal.order("0200", "380000", "71", items))

    async def pay(self) -> None:
        """Somebody pays an order in some way."""
        tid, order_no = self.draw.choice(list(DOORS)), self.order()
        terminal, frame = self.terminals[tid], self.payment(tid, order_no)
        reply = await self.send(terminal, frame)
        if reply is None:
            # No answer: the terminal reverses, and does not stop before it is told 00.
            await self.insist(terminal, terminal.reversal(frame))
        elif reply.code == "00":
            self.paid.append((tid, order_no, reply, frame))

    async def swipe(self) -> None:
        """Somebody pays two orders by card at once."""
        tid = self.draw.choice(list(DOORS))
        pair = self.draw.sample([n for n, o in ORDERS.items() if o.pay_ways[0] == "1"], 2)
        terminal = self.terminals[tid]
        total = sum(ORDERS[number].amount_minor for number in pair)
        items = de59(ON=pair[0], N2=pair[1], OC=DOORS[tid])
        fields = {4: f"{total:012d}", **terminal.card_fields(self.draw.choice(CARDS), None)}
        frame = terminal.order("0200", CARD, "72", items, fields)
        reply = await self.send(terminal, frame)
        if reply is None:
            await self.insist(terminal, terminal.reversal(frame))
        elif reply.code == "00":
            self.paid += [(tid, number, reply, frame) for number in pair]

    async def race(self) -> None:
        """Both pay the same order at the same moment."""
        order_no = self.order()
        frames = {tid: self.payment(tid, order_no) for tid in DOORS}
        replies = await self.world.ask_all(*frames.values())
        for (tid, frame), reply in zip(frames.items(), replies, strict=True):
            assert reply.code in CODES
            if reply.code == "00":
                self.paid.append((tid, order_no, reply, frame))

    async def after_payment(self) -> None:
        """Something is done about a payment that a terminal remembers."""
        if not self.paid:
            return
        tid, order_no, paid, frame = self.draw.choice(self.paid)
        terminal = self.terminals[tid]
        about: dict[int, str | bytes] = {61: f"{terminal.batch}{paid[11]}{paid[13]}"}
        kind = self.draw.choice(["73", "73", "74", "75", "76", "0400"])
        if kind == "73":
            await self.insist(
                terminal, terminal.order("0220", paid[3], kind, de59(ON=order_no), about)
            )
        elif kind == "74":
            items = de59(ON=order_no, OR="Li Wei")
            await self.insist(terminal, terminal.order("0220", "920000", kind, items, about))
        elif kind == "75":
            fields = {**about, 37: paid[37]}
            await self.send(
                terminal,
                terminal.order("0200", "200000", kind, de59(ON=order_no), fields),
                again=True,
            )
        elif kind == "76":
            await self.insist(
                terminal, terminal.order("0220", "200000", kind, de59(ON=order_no), about)
            )
        else:
            await self.insist(terminal, terminal.reversal(frame))

    async def exception(self) -> None:
        """An order could not be delivered."""
        terminal = self.terminals[self.draw.choice(list(DOORS))]
        items = de59(ON=self.order(), OX=self.draw.choice(["01", "03", "06", "06"]))
        await self.insist(terminal, terminal.order("0220", "930000", "77", items))

    async def crash(self) -> None:
        """The switch dies in the middle of a payment, and starts again."""
        tid, order_no = self.draw.choice(list(DOORS)), self.order()
        await self.die_during(self.terminals[tid], self.payment(tid, order_no))

    def order(self) -> str:
        """Any order, some oftener than others."""
        return self.draw.choice(list(ORDERS)[: self.draw.choice([2, 5, len(ORDERS)])])

    def payment(self, tid: str, order_no: str) -> bytes:
        """Row 4, mostly in a way that the order allows."""
        order, terminal = ORDERS[order_no], self.terminals[tid]
        way = self.draw.choice([CARD, CASH, NOTHING])
        allowed = {CARD: "1", CASH: "2", NOTHING: "3"}
        if allowed[way] not in order.pay_ways and self.draw.random() < 0.9:
            way = {"1": CARD, "2": CASH, "3": NOTHING}[order.pay_ways[0]]
        fields: dict[int, str | bytes] = {4: f"{order.amount_minor:012d}"}
        if way == CARD:
            fields |= terminal.card_fields(self.draw.choice(CARDS), None)
        return terminal.order("0200", way, "72", de59(ON=order_no, OC=DOORS[tid]), fields)

    def check_moves(self) -> None:
        """Each order has moved along its life, if at all."""
        with Database(self.world.url).read_only_engine().connect() as connection:
            lines = list(order_lines(connection))
        for line in lines:
            before, after = self.status.get(line.order_no, ""), line.status
            assert not before or after in reachable(before), (line.order_no, before, after)
            self.status[line.order_no] = after


def reachable(status: str) -> set[str]:
    """Statuses that steps may lead to, however many."""
    found = {status}
    while (
        more := {
            after
            for (step, before), after in (*NEXT.items(), (("reverse", "01"), "06"))
            if before in found
        }
        - found
    ):
        found |= more
    return found


@pytest.mark.parametrize(
    ("seed", "database"),
    [(1, "sqlite"), (2, "sqlite"), (3, "sqlite"), (4, "sqlite"), (5, "postgresql")],
)
async def test_walk(
    open_world: OpenWorld, seed: int, database: str, request: pytest.FixtureRequest
) -> None:
    """After it nothing is owed to anybody, and switch, bank, merchant and cash agree."""
    url = request.getfixturevalue("postgresql_url") if database == "postgresql" else ""
    async with open_world(url=url, bank_rules=BANK, order_rules=MERCHANTS_SYSTEM) as world:
        walk = Walk(world, seed)
        await walk.sign_on()
        for _ in range(STEPS):
            await walk.step()
        await settled(world)
        with Database(world.url).read_only_engine().connect() as connection:
            lines = list(order_lines(connection))
        theirs = {no: world.order(no) for no in ORDERS}
        for line in lines:
            order = theirs[line.order_no]
            assert (line.order_no, line.status) == (line.order_no, order.status)
            if line.rrn:
                assert (line.rrn, line.means) == (order.rrn, order.means)
        cash = sum(line.amount_minor for line in lines if line.means == "cash")
        balances = world.balances()
        assert cash == sum(balances.get(f"assets:courier:{c}", 0) for c in DOORS.values())
        assert {"signed_for"} <= {order.state for order in theirs.values()}


async def settled(world: World) -> None:
    """Wait until the bank and the merchant are owed nothing, and compare with the bank."""
    await world.agree()

    def nothing_left() -> bool:
        with Database(world.url).read_only_engine().connect() as connection:
            assert not list(event_lines(connection, "dead"))
            waiting = [order for order in open_orders(connection) if order.why != "unconfirmed"]
            return not list(event_lines(connection, "pending")) and not waiting

    await world.until(nothing_left)
