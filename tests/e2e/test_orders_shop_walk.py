"""A random day at a till, with lost messages, faults and crashes: the stock is what was sold.

At the end the merchant's stock is held against the switch's journal, read as a plain list of what
happened when; the order system has heard of it late, repeatedly and in another order.
"""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal, Reply, de59
from random_walk import CARD, CARDS, CASH, NOTHING, RandomWalk
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.hosts_sim.orders.settings import Rule as OrderRule
from acquirer.hosts_sim.orders.store import read_stock
from acquirer.ledger.reports.orders import event_lines
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

STEPS = 60
TILL, CLERK = "10000003", "C2001"
ITEMS = {item.code: item for item in load_estate().items}
CODES = {"00", "05", "12", "25", "51", "68", "91", "94", "96", "98"}
BANK = [
    Rule(Match(processing_code="00", probability=0.15), fault="drop"),
    Rule(Match(processing_code="20", probability=0.2), fault="drop"),
    Rule(Match(probability=0.05), response_code="05"),
]
# Fewer failures of notices than close a lane, which would then wait for ten seconds.
MERCHANTS_SYSTEM = [
    OrderRule("down", on="events", times=1),
    OrderRule("lost_answer", on="events", times=1),
    OrderRule("lost_answer", on="query", times=3),
]


class Walk(RandomWalk):
    """One random day."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed, CODES)
        self.lines: dict[str, dict[str, int]] = {}
        self.due: dict[str, int] = {}
        self.paid: list[tuple[str, Reply, bytes]] = []

    async def sign_on(self) -> None:
        """The clerk at the till."""
        self.till: PosTerminal = await self.world.with_courier(TILL, CLERK)

    async def step(self) -> None:
        """One thing happens."""
        acts = [self.open] * 4 + [self.pay] * 6 + [self.after_payment] * 4 + [self.crash]
        await self.draw.choice(acts)()

    async def open(self) -> None:
        """An order comes into being, or an old one is opened once more."""
        order_no = f"{'SISC'[len(self.lines) % 4]}{TILL}{len(self.lines):012d}"
        if self.lines and self.draw.random() < 0.2:
            order_no = self.draw.choice(list(self.lines))
        goods = {code: self.draw.randint(1, 5) for code in self.draw.sample(list(ITEMS), 2)}
        goods = self.lines.setdefault(order_no, goods)
        text = "|".join(f"{code}*{quantity}" for code, quantity in goods.items())
        items = de59(ON=order_no, OC=CLERK, IT=text)
        reply = await self.send(self.till, self.till.order("0200", "380000", "71", items))
        if reply is not None and reply.code == "00" and reply.items["OS"] in (b"00", b"06"):
            self.due[order_no] = int(reply[4])

    async def pay(self) -> None:
        """An order is paid in a way that it allows."""
        if not self.due:
            return
        order_no = self.draw.choice(list(self.due))
        frame = self.payment(order_no)
        reply = await self.send(self.till, frame)
        if reply is None:
            await self.insist(self.till, self.till.reversal(frame))
        elif reply.code == "00":
            self.paid.append((order_no, reply, frame))
            if self.draw.random() < 0.8:
                del self.due[order_no]

    def payment(self, order_no: str) -> bytes:
        """Row 4."""
        fields: dict[int, str | bytes] = {4: f"{self.due[order_no]:012d}"}
        way = self.draw.choice([CARD, CASH]) if self.due[order_no] else NOTHING
        if way == CARD:
            fields |= self.till.card_fields(self.draw.choice(CARDS), None)
        return self.till.order("0200", way, "72", de59(ON=order_no, OC=CLERK), fields)

    async def after_payment(self) -> None:
        """A payment is confirmed, cancelled or reversed, if it still can be."""
        if not self.paid:
            return
        order_no, paid, frame = self.draw.choice(self.paid)
        about: dict[int, str | bytes] = {61: f"{self.till.batch}{paid[11]}{paid[13]}"}
        items, kind = de59(ON=order_no), self.draw.choice(["73", "73", "75", "0400"])
        if kind == "73":
            await self.insist(self.till, self.till.order("0220", paid[3], kind, items, about))
        elif kind == "75":
            fields = {**about, 37: paid[37]}
            await self.send(
                self.till, self.till.order("0200", "200000", kind, items, fields), again=True
            )
        else:
            await self.insist(self.till, self.till.reversal(frame))

    async def crash(self) -> None:
        """The switch dies in the middle of a payment, and starts again."""
        if not self.due:
            return
        await self.die_during(self.till, self.payment(self.draw.choice(list(self.due))))

    def shelves(self) -> dict[str, int]:
        """What is there by the switch's journal: what happened, in the order of its happening."""
        journal = self.world.journal()
        taken_back = {
            line.original_id: line.created_at_ms
            for line in journal
            if (line.kind, line.state) == ("order_cancellation", "approved")
        }
        effects: list[tuple[int, int, str, int]] = []
        for line in journal:
            if line.kind != "order_payment" or line.response_code != "00":
                continue
            sign = -1 if line.order_no[0] == "S" else 1
            if line.state == "approved" or (line.id in taken_back and line.order_no[0] != "C"):
                effects.append((line.created_at_ms, line.id, line.order_no, sign))
            if line.id in taken_back and line.order_no[0] != "C":
                effects.append((taken_back[line.id], line.id, line.order_no, -sign))
        found = {code: item.stock for code, item in ITEMS.items()}
        for _, _, order_no, sign in sorted(effects):
            for code, quantity in self.lines[order_no].items():
                before = 0 if order_no[0] == "C" else found[code]
                found[code] = before + sign * quantity
        return found


def is_told(world: World) -> bool:
    """Whether the merchant has heard of everything."""
    with Database(world.url).read_only_engine().connect() as connection:
        assert not list(event_lines(connection, "dead"))
        return not list(event_lines(connection, "pending"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_merchants_stock_is_what_the_journal_says(
    open_world: OpenWorld, seed: int
) -> None:
    """Whatever was lost, repeated or interrupted, no goods have moved twice, or not at all."""
    async with open_world(bank_rules=BANK, order_rules=MERCHANTS_SYSTEM) as world:
        walk = Walk(world, seed)
        await walk.sign_on()
        for _ in range(STEPS):
            await walk.step()
        await world.agree()
        await world.until(lambda: is_told(world))
        rows = read_stock(world.folder)
        assert walk.shelves() == {row.code: row.stock for row in rows}
        for row in rows:
            assert row.stock == row.opening + row.taken_in + row.sold + row.counted
        assert walk.paid
