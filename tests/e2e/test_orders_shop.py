"""A shop's till over real sockets: look up, sell, take in, count, sum up; and what goes wrong."""

from __future__ import annotations

from itertools import count

import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.cli.demo_shop import DEALS, LOOKED_UP, shelves
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.settings import Rule
from acquirer.hosts_sim.orders.store import read_movements, read_stock
from acquirer.terminals_sim import identity as who
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.shop import TODAY, deal
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
CLERK, TILL = "C2001", "10000003"
TEA, TEA_BARCODE, RICE = "1001", "2000000000015", "1002"
TEA_MINOR, RICE_MINOR = 3_980, 4_590
CARD, CASH, NOTHING = "000000", "900000", "910000"
NUMBERS = count(1)


class Till:
    """The shop's terminal with its clerk: one request a method."""

    def __init__(self, world: World, terminal: PosTerminal) -> None:
        self.world = world
        self.terminal = terminal

    @classmethod
    async def of(cls, world: World) -> Till:
        """With the clerk signed on."""
        return cls(world, await world.with_courier(TILL, CLERK))

    @staticmethod
    def number(letter: str = "S") -> str:
        """An order number that is new."""
        return f"{letter}{TILL}{next(NUMBERS):012d}"

    async def query(self, order_no: str, lines: str = "", stan: str = "") -> Reply:
        """Row 3, with lines to open an order."""
        items = {"ON": order_no, "OC": CLERK} | ({"IT": lines} if lines else {})
        frame = self.terminal.order("0200", "380000", "71", de59(**items), stan=stan)
        reply: Reply = await self.world.ask(frame)
        return reply

    async def pay(self, order_no: str, amount_minor: int, way: str) -> Reply:
        """Row 4."""
        reply: Reply = await self.world.ask(self.payment(order_no, amount_minor, way))
        return reply

    def payment(self, order_no: str, amount_minor: int, way: str) -> bytes:
        """Row 4, as a frame."""
        fields: dict[int, str | bytes] = {4: f"{amount_minor:012d}"}
        if way == CARD:
            fields |= self.terminal.card_fields(ALICE, None)
        return self.terminal.order("0200", way, "72", de59(ON=order_no, OC=CLERK), fields)

    async def about(self, order_no: str, mti: str, code: str, kind: str, paid: Reply) -> Reply:
        """Rows 5 and 7."""
        fields: dict[int, str | bytes] = {
            37: paid[37],
            61: f"{self.terminal.batch}{paid[11]}{paid[13]}",
        }
        frame = self.terminal.order(mti, code, kind, de59(ON=order_no), fields)
        reply: Reply = await self.world.ask(frame)
        return reply

    async def done(self, letter: str, lines: str) -> str:
        """Goods taken in or counted, which have nothing to pay; gives the order number."""
        order_no = self.number(letter)
        assert "00" == (await self.query(order_no, lines)).code
        assert "00" == (await self.pay(order_no, 0, NOTHING)).code
        await self.world.until(lambda: self.world.order(order_no).state == "paid")
        return order_no

    def stock(self, code: str = TEA) -> int:
        """What the merchant believes is there."""
        rows = read_stock(self.world.folder)
        return next(row.stock for row in rows if row.code == code)

    def moved(self, order_no: str) -> list[tuple[str, int]]:
        """What an order has moved."""
        rows = read_movements(self.world.folder)
        return [(row.cause, row.quantity) for row in rows if row.order_no == order_no]


def shown(reply: Reply) -> str:
    """``OT``."""
    return reply.items["OT"].decode("gb18030")


async def test_a_sale_by_card_is_confirmed_and_cancelled(world: World) -> None:
    """Goods go when it is paid and come back when it is cancelled, and so does the money."""
    till = await Till.of(world)
    order_no, before, owed = till.number(), till.stock(), world.receivable()
    asked = await till.query(order_no, f"{TEA}*1|{TEA_BARCODE}*1|{RICE}*2")
    due = 2 * TEA_MINOR + 2 * RICE_MINOR
    assert ("00", f"{due:012d}", b"00", b"12") == (
        asked.code,
        asked[4],
        asked.items["OS"],
        asked.items["OW"],
    )
    assert "绿茶 250 g 2 × 39.80 79.60" in shown(asked)
    assert "57" == (await till.pay(order_no, due, NOTHING)).code
    assert "64" == (await till.pay(order_no, due - 1, CARD)).code
    paid = await till.pay(order_no, due, CARD)
    assert "00" == paid.code
    assert "00" == (await till.about(order_no, "0220", CARD, "73", paid)).code
    await world.until(lambda: world.order(order_no).state == "confirmed")
    assert (before - 2, owed + due) == (till.stock(), world.receivable())
    assert "00" == (await till.about(order_no, "0200", "200000", "75", paid)).code
    await world.until(lambda: world.order(order_no).state == "cancelled")
    assert (before, owed) == (till.stock(), world.receivable())


async def test_goods_taken_in_counted_and_taken_back(world: World) -> None:
    """Each is an order with nothing to pay; a reversal moves the goods back."""
    till = await Till.of(world)
    before = till.stock()
    await till.done("I", f"{TEA}*20")
    assert before + 20 == till.stock()
    counted = await till.done("C", f"{TEA}*7|{RICE}*0")
    assert (7, 0) == (till.stock(), till.stock(RICE))
    assert ("done", 7 - before - 20) in till.moved(counted)
    order_no = till.number("I")
    await till.query(order_no, f"{TEA}*5")
    frame = till.payment(order_no, 0, NOTHING)
    assert "00" == (await world.ask(frame)).code
    assert "00" == (await world.ask(till.terminal.reversal(frame))).code
    await world.until(lambda: till.moved(order_no) == [("done", 5), ("undone", -5)])
    await till.done("C", f"{TEA}*{before}|{RICE}*40")


async def test_an_item_is_looked_up_and_nothing_else(world: World) -> None:
    """By code and barcode: price and stock; it cannot be paid, signed for or refused."""
    till = await Till.of(world)
    for code in (TEA, TEA_BARCODE):
        asked = await till.query(code)
        assert ("00", "0" * 12, b"06") == (asked.code, asked[4], asked.items["OS"])
        assert "OW" not in asked.items
        assert f"Green tea 绿茶 250 g|单价 Price 39.80|库存 Stock {till.stock()}" == shown(asked)
    assert "25" == (await till.query("9999")).code
    for way in (CARD, CASH, NOTHING):
        assert "12" == (await till.pay(TEA, 0, way)).code
    for code, kind, items in (("920000", "74", {"OR": "x"}), ("930000", "77", {"OX": "03"})):
        frame = till.terminal.order("0220", code, kind, de59(ON=TEA, **items))
        assert (await world.ask(frame)).code in ("12", "25")
    assert [] == world.events(TEA)


async def test_takings_are_todays_payments_by_means(open_world: OpenWorld) -> None:
    """Orders and counter sales of this merchant that stand, in the merchant's words."""
    async with open_world() as world:
        till = await Till.of(world)
        assert "00" == (await world.ask(till.terminal.sale(ALICE, 1_000))).code
        for way, lines, amount_minor in (
            (CARD, f"{TEA}*1", TEA_MINOR),
            (CASH, f"{RICE}*1", RICE_MINOR),
            (CASH, f"{RICE}*2", 2 * RICE_MINOR),
        ):
            order_no = till.number()
            await till.query(order_no, lines)
            paid = await till.pay(order_no, amount_minor, way)
            assert "00" == paid.code
        assert "00" == (await till.about(order_no, "0200", "200000", "75", paid)).code
        await till.done("C", f"{TEA}*3")
        asked = await till.query("TODAY")
        assert ("00", "0" * 12) == (asked.code, asked[4])
        told = shown(asked).split("|")[1:]
        assert ["刷卡 Card 2: 49.80", "现金 Cash 1: 45.90", "无款 No payment 1"] == told[:3]
        assert "合计 Total 95.70" == told[-1]
        assert "12" == (await till.pay("TODAY", 0, NOTHING)).code


@pytest.mark.parametrize(
    ("order_no", "lines", "code", "text"),
    [
        ("", "1001", "30", ""),
        ("", "1001*", "30", ""),
        ("", "*1", "30", ""),
        ("", "1001*123456", "30", ""),
        ("", "1001*1|", "30", ""),
        ("", "x" * 21 + "*1", "30", ""),
        ("", "|".join(["1001*1"] * 51), "30", ""),
        ("", "1001*1|9999*1", "25", "9999"),
        ("", "1001*0", "12", "Green tea 绿茶 250 g × 0"),
        ("", "1001*99999", "12", "Green tea 绿茶 250 g: "),
        ("CM20261121001", "1001*1", "12", ""),
        (TEA, "1001*1", "12", ""),
    ],
)
async def test_lines_that_open_nothing(
    world: World, order_no: str, lines: str, code: str, text: str
) -> None:
    """Each has its code, says why where the merchant does, and leaves no order behind."""
    till = await Till.of(world)
    asked = order_no or till.number()
    refused = await till.query(asked, lines)
    assert code == refused.code
    assert shown(refused).startswith(text) if text else "OT" not in refused.items
    if not order_no:
        assert "25" == (await till.query(asked)).code


async def test_most_lines_at_once(world: World) -> None:
    """Fifty lines fit into DE59, and are one order."""
    till = await Till.of(world)
    asked = await till.query(till.number("I"), "|".join([f"{TEA}*1"] * 50))
    assert "00" == asked.code
    assert "+50" in shown(asked)


async def test_the_same_number_again(world: World) -> None:
    """With the same lines it is the same order, with others it is refused, also on a used STAN."""
    till = await Till.of(world)
    order_no, stan = till.number(), till.terminal.next_stan()
    first = await till.query(order_no, f"{TEA}*1", stan)
    again = await till.query(order_no, f"{TEA}*1", stan)
    assert first.without(64) == again.without(64)
    assert "94" == (await till.query(order_no, f"{TEA}*2", stan)).code
    assert "94" == (await till.query(order_no, f"{TEA}*2")).code
    assert "00" == (await till.pay(order_no, TEA_MINOR, CASH)).code
    paid = await till.query(order_no, f"{TEA}*1")
    assert ("00", "0" * 12, b"01") == (paid.code, paid[4], paid.items["OS"])


async def test_without_a_clerk_nothing_is_opened_or_shown(open_world: OpenWorld) -> None:
    """58, as for any order."""
    async with open_world() as world:
        till = Till(world, await world.signed_on(TILL))
        for order_no, lines in ((till.number(), f"{TEA}*1"), (TEA, ""), ("TODAY", "")):
            assert "58" == (await till.query(order_no, lines)).code


async def test_an_order_system_that_is_down_slow_or_loses_answers(
    open_world: OpenWorld,
) -> None:
    """Nothing is opened twice and nothing moves twice, whatever is lost and said again."""
    down, silent, lost = Till.number(), Till.number(), Till.number()
    rules = [
        Rule("down", on="query", order_no_pattern=f"{down}|TODAY", times=1),
        Rule("silence", on="query", order_no_pattern=silent, times=1),
        Rule("lost_answer", on="query", order_no_pattern=lost, times=2),
        Rule("lost_answer", on="events", times=3),
    ]
    async with open_world(order_rules=rules) as world:
        till = await Till.of(world)
        before = till.stock()
        for order_no, code in ((down, "91"), (silent, "68"), (lost, "91")):
            assert code == (await till.query(order_no, f"{TEA}*1")).code
            assert "00" == (await till.query(order_no, f"{TEA}*1")).code
        await world.stop("switch")
        await world.start_switch()
        for order_no in (down, silent, lost):
            assert "00" == (await till.pay(order_no, TEA_MINOR, CASH)).code
        await world.until(lambda: {world.order(no).state for no in (down, silent)} == {"paid"})
        await world.until(lambda: world.order(lost).state == "paid")
        assert before - 3 == till.stock()
        assert "00" == (await till.query("TODAY")).code


async def test_the_demos_deals_by_the_terminal_simulator(open_world: OpenWorld) -> None:
    """They leave the merchant's stock as the shelves are."""
    async with open_world() as world:
        host, _, port = world.pos.rpartition(":")
        me = who.identity(world.estate, TILL)
        terminal = Terminal(me, TerminalState(TILL))
        link = TerminalLink(tcp(host, int(port)))
        async with TerminalClient(terminal, MemoryStore(), link) as client:
            await client.sign_on()
            await client.courier_sign_on(CLERK, who.courier(world.estate, CLERK).password)
            assert (await client.order_query(LOOKED_UP)).approved
            for one in DEALS:
                payer = who.card(world.estate, one.card) if one.card else None
                done = await deal(client, one.product, one.lines, one.way, payer)
                assert done.approved
                if one.taken_back:
                    assert (await client.order_cancel(done.order_no)).approved
                    assert (await client.order_cancel_confirm(done.order_no)).approved
            today = await client.order_query(TODAY)
        assert today.order is not None
        assert "现金 Cash 1: 46.90" in today.order.text
        there = shelves(world.estate.items, me.merchant_id)
        await world.until(lambda: there == {r.code: r.stock for r in read_stock(world.folder)})
