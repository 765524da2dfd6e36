"""Part payment over real sockets: an order and its parts never take more than the amount."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match
from acquirer.hosts_sim.bank.settings import Rule as BankRule
from acquirer.hosts_sim.orders.settings import Rule
from acquirer.terminals_sim import identity as who
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
ORDERS = {order.order_no: order for order in load_estate().orders}
WHOLE = "SP20261121001"
AMOUNT = ORDERS[WHOLE].amount_minor
PART = 5_000
CARD, CASH = "000000", "900000"


class Door:
    """A courier at a terminal: one request a method."""

    def __init__(self, world: World, terminal: PosTerminal, courier_id: str) -> None:
        self.world = world
        self.terminal = terminal
        self.courier_id = courier_id

    @classmethod
    async def of(cls, world: World, tid: str = "10000001", courier_id: str = "C1001") -> Door:
        """With the courier signed on."""
        return cls(world, await world.with_courier(tid, courier_id), courier_id)

    async def query(self, order_no: str, part: int | str = "", stan: str = "") -> Reply:
        """Row 3, with PA for a part."""
        items = {"ON": order_no, "OC": self.courier_id} | ({"PA": str(part)} if part != "" else {})
        frame = self.terminal.order("0200", "380000", "71", de59(**items), stan=stan)
        reply: Reply = await self.world.ask(frame)
        return reply

    async def part(self, amount_minor: int, order_no: str = WHOLE) -> str:
        """Have a part opened; gives its number."""
        asked = await self.query(order_no, amount_minor)
        assert ("00", f"{amount_minor:012d}") == (asked.code, asked[4])
        return asked.items["ON"].decode()

    def payment(self, order_no: str, amount_minor: int, way: str = CASH) -> bytes:
        """Row 4, as a frame."""
        fields: dict[int, str | bytes] = {4: f"{amount_minor:012d}"}
        if way == CARD:
            fields |= self.terminal.card_fields(ALICE, None)
        items = de59(ON=order_no, OC=self.courier_id)
        return self.terminal.order("0200", way, "72", items, fields)

    async def pay(self, order_no: str, amount_minor: int, way: str = CASH) -> Reply:
        """Row 4."""
        reply: Reply = await self.world.ask(self.payment(order_no, amount_minor, way))
        return reply

    def signature(self, order_no: str = WHOLE) -> bytes:
        """Row 6 without DE61, as a frame."""
        items = de59(ON=order_no, OR="Li Wei")
        return self.terminal.order("0220", "920000", "74", items)

    def frame_about(self, order_no: str, mti: str, code: str, kind: str, paid: Reply) -> bytes:
        """Rows 5, 7 and 8, as a frame."""
        fields: dict[int, str | bytes] = {
            37: paid[37],
            61: f"{self.terminal.batch}{paid[11]}{paid[13]}",
        }
        items = de59(ON=order_no, OC=self.courier_id)
        return self.terminal.order(mti, code, kind, items, fields)

    async def about(self, order_no: str, mti: str, code: str, kind: str, paid: Reply) -> str:
        """Rows 5, 7 and 8; gives the response code."""
        reply: Reply = await self.world.ask(self.frame_about(order_no, mti, code, kind, paid))
        return reply.code


def due(asked: Reply) -> tuple[str, int, bytes]:
    """Response code, amount due and status of a query."""
    return asked.code, int(asked[4]), asked.items["OS"]


async def test_two_parts_by_card_and_cash_pay_an_order(open_world: OpenWorld) -> None:
    """Each is confirmed by itself; the order then is paid, and opens as parts are given back."""
    async with open_world() as world:
        door = await Door.of(world)
        first = await door.part(PART)
        assert f"{WHOLE}/1" == first
        assert "64" == (await door.pay(first, PART + 1)).code
        by_card = await door.pay(first, PART, CARD)
        assert "00" == by_card.code
        assert "00" == await door.about(first, "0220", CARD, "73", by_card)
        assert ("00", AMOUNT - PART, b"00") == due(await door.query(WHOLE))
        assert "64" == (await door.pay(WHOLE, AMOUNT)).code
        second = await door.part(AMOUNT - PART)
        frame = door.payment(second, AMOUNT - PART)
        assert "00" == (await world.ask(frame)).code
        await world.until(lambda: world.order(WHOLE).state == "paid")
        assert ("00", 0, b"01") == due(await door.query(WHOLE))
        assert "94" == (await door.query(WHOLE, 1)).code
        assert "94" == (await door.pay(WHOLE, AMOUNT)).code
        assert "00" == (await world.ask(door.terminal.reversal(frame))).code
        assert ("00", AMOUNT - PART, b"00") == due(await door.query(WHOLE))
        assert "00" == await door.about(first, "0200", "200000", "75", by_card)
        assert ("00", AMOUNT, b"00") == due(await door.query(WHOLE))
        assert "12" == (await door.pay(first, PART)).code
        assert "00" == (await door.pay(second, AMOUNT - PART)).code
        await world.agree()
        assert 0 == world.receivable()


async def test_a_part_and_then_the_rest(open_world: OpenWorld) -> None:
    """The rest is paid as the order itself; its parts have lapsed then, and no more are opened."""
    async with open_world() as world:
        door = await Door.of(world)
        first = await door.part(PART)
        assert "00" == (await door.pay(first, PART)).code
        left = await door.part(PART)
        rest = await door.pay(WHOLE, AMOUNT - PART, CARD)
        assert "00" == rest.code
        await world.until(lambda: world.order(WHOLE).state == "paid")
        assert "94" == (await door.pay(left, PART)).code
        assert "94" == (await door.query(WHOLE, 1)).code
        await world.agree()
        assert AMOUNT - PART == world.receivable()


async def test_parts_that_are_not_opened(open_world: OpenWorld) -> None:
    """Too much, no amount, a part of a part, no courier, a merchant who does not want it."""
    async with open_world() as world:
        door = await Door.of(world)
        for part in ("0", "", "x", "1" * 13, "-1"):
            items = de59(ON=WHOLE, OC="C1001", PA=part)
            frame = door.terminal.order("0200", "380000", "71", items)
            assert "30" == (await world.ask(frame)).code
        assert "61" == (await door.query(WHOLE, AMOUNT + 1)).code
        assert "25" == (await door.query("NOSUCH", 1)).code
        number = await door.part(PART)
        assert "12" == (await door.query(number, 1)).code
        assert "58" == (await Door(world, door.terminal, "C1002").query(WHOLE, PART)).code
        till = await Door.of(world, "10000003", "C2001")
        bill = next(no for no, one in ORDERS.items() if one.merchant_id.startswith("8981100554"))
        assert "57" == (await till.query(bill, 1)).code


async def test_what_is_open_elsewhere_is_held(open_world: OpenWorld) -> None:
    """Two terminals cannot have the same money; one that asks again gives its first part up."""
    async with open_world() as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        lost = await one.part(AMOUNT - PART)
        assert "61" == (await two.query(WHOLE, PART + 1)).code
        kept = await one.part(AMOUNT - 2 * PART)
        other = await two.part(2 * PART)
        assert "12" == (await one.pay(lost, AMOUNT - PART)).code
        replies = await world.ask_all(
            one.payment(kept, AMOUNT - 2 * PART), two.payment(other, 2 * PART)
        )
        codes = sorted(reply.code for reply in replies)
        assert codes in (["00", "00"], ["00", "94"], ["00", "91"])


async def test_parts_race_with_the_whole(open_world: OpenWorld) -> None:
    """While the bank is asked about one, the other is refused: never both."""
    rules = [BankRule(Match(processing_code="00"), fault="delay", delay_s=0.2)]
    async with open_world(bank_rules=rules) as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        for number in ("SP20261121001", "SP20261121002", "SP20261121003"):
            amount = ORDERS[number].amount_minor
            part = await one.part(PART, number)
            replies = await world.ask_all(
                one.payment(part, PART, CARD), two.payment(number, amount, CARD)
            )
            assert ["00", "94"] == sorted(reply.code for reply in replies)
        await world.agree()


async def test_the_same_query_again_opens_one_part(open_world: OpenWorld) -> None:
    """One whose answer was lost holds nothing once its terminal asks for another."""
    number = "SP20261121002"
    rules = [
        Rule("delay", on="query", order_no_pattern=number, delay_s=0, times=1),
        Rule("lost_answer", on="query", order_no_pattern=number, times=2),
    ]
    async with open_world(order_rules=rules) as world:
        door = await Door.of(world)
        stan = door.terminal.next_stan()
        first = await door.query(WHOLE, PART, stan)
        again = await door.query(WHOLE, PART, stan)
        assert first.without(64) == again.without(64)
        assert "94" == (await door.query(WHOLE, PART + 1, stan)).code
        assert "91" == (await door.query(number, PART)).code
        assert f"{number}/2" == await door.part(ORDERS[number].amount_minor, number)


async def test_a_late_copy_of_a_refused_query_opens_nothing(open_world: OpenWorld) -> None:
    """What would fit by then must not take the place of the part that the terminal has."""
    async with open_world() as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        await two.part(AMOUNT - PART)
        stan = one.terminal.next_stan()
        assert "61" == (await one.query(WHOLE, 2 * PART, stan)).code
        await two.part(PART)
        mine = await one.part(PART)
        assert "61" == (await one.query(WHOLE, 2 * PART, stan)).code
        assert "00" == (await one.pay(mine, PART)).code


async def test_untold_parts_keep_the_order_from_being_paid(open_world: OpenWorld) -> None:
    """The merchant's old answer does not count until he has been told; nor does ours."""
    rules = [Rule("down", on="events", order_no_pattern=f"{WHOLE}/1", times=2)]
    async with open_world(order_rules=rules, max_age_s=60) as world:
        door = await Door.of(world)
        assert ("00", AMOUNT, b"00") == due(await door.query(WHOLE))
        first = await door.part(PART)
        assert "00" == (await door.pay(first, PART)).code
        assert "91" == (await door.pay(WHOLE, AMOUNT)).code
        await world.until(lambda: world.order(first).state == "paid")
        assert ("00", AMOUNT - PART, b"00") == due(await door.query(WHOLE))
        assert "64" == (await door.pay(WHOLE, AMOUNT)).code
        assert "00" == (await door.pay(WHOLE, AMOUNT - PART)).code


async def test_an_order_that_its_parts_have_paid_is_no_exception(
    open_world: OpenWorld,
) -> None:
    """The row here says to pay still; the merchant's word counts."""
    async with open_world() as world:
        door = await Door.of(world)
        part = await door.part(AMOUNT)
        paid = await door.pay(part, AMOUNT)
        assert "00" == paid.code
        await world.until(lambda: world.order(WHOLE).state == "paid")
        frame = door.terminal.order("0220", "930000", "77", de59(ON=WHOLE, OX="02"))
        assert "12" == (await world.ask(frame)).code
        assert "00" == await door.about(part, "0220", CASH, "73", paid)
        assert "00" == (await world.ask(door.signature())).code
        await world.until(lambda: world.order(WHOLE).state == "signed_for")


async def test_what_is_signed_for_keeps_its_parts(open_world: OpenWorld) -> None:
    """Nobody signs while a part may be reversed; once somebody has, no part is given back."""
    async with open_world() as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        first = await one.part(PART)
        frame = one.payment(first, PART)
        in_cash = await world.ask(frame)
        rest = await two.pay(WHOLE, AMOUNT - PART, CARD)
        assert ("00", "00") == (in_cash.code, rest.code)
        assert "00" == await two.about(WHOLE, "0220", CARD, "73", rest)
        assert "12" == (await world.ask(two.signature())).code
        assert "00" == await one.about(first, "0220", CASH, "73", in_cash)
        assert "00" == (await world.ask(two.signature())).code
        assert "12" == await one.about(first, "0200", "200000", "75", in_cash)
        assert "12" == (await world.ask(one.terminal.reversal(frame))).code
        await world.until(lambda: world.order(WHOLE).state == "signed_for")
        await world.until(lambda: world.order(first).state == "confirmed")
        await world.agree()
        assert PART == world.balances()["assets:courier:C1001"]


async def test_a_signature_races_with_a_cancellation(open_world: OpenWorld) -> None:
    """Either the goods stay or the money goes back, never both."""
    async with open_world() as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        part = await one.part(AMOUNT)
        paid = await one.pay(part, AMOUNT)
        assert "00" == await one.about(part, "0220", CASH, "73", paid)
        await world.until(lambda: world.order(WHOLE).state == "paid")
        back, signed = await world.ask_all(
            one.frame_about(part, "0200", "200000", "75", paid), two.signature()
        )
        assert (back.code, signed.code) in (("00", "12"), ("00", "91"), ("12", "00"))


async def test_a_part_whose_cancellation_has_no_answer(open_world: OpenWorld) -> None:
    """Its order waits, and then owes what the part has left: the money did not go back."""
    rules = [BankRule(Match(processing_code="20", mti="0200"), fault="drop", times=1)]
    async with open_world(bank_rules=rules) as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        part = await one.part(PART)
        paid = await one.pay(part, PART, CARD)
        await world.until(lambda: world.order(part).state == "paid")
        async with world.line() as line:
            await line.send(one.frame_about(part, "0200", "200000", "75", paid))
            await world.until(lambda: [row for row in world.bank_rows() if row["kind"] == "void"])
            assert "94" == (await two.pay(WHOLE, AMOUNT - PART)).code
        await world.agree()
        assert ("00", AMOUNT - PART, b"00") == due(await two.query(WHOLE))
        assert PART == world.receivable()


async def test_sibling_processes_do_not_pay_an_order_and_its_part(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """Side by side one is refused; and what one process has taken the other does not ask for."""
    async with open_world(url=postgresql_url, max_age_s=600) as world:
        one, two = await Door.of(world), await Door.of(world, "10000002", "C1002")
        two.world = sibling = replace(world, changes={"instance": "switch-2"})
        sibling._data_key = world._data_key
        await sibling.start_switch()
        codes: list[str] = []

        async def pay(door: Door, order_no: str, amount_minor: int) -> None:
            codes.append((await door.pay(order_no, amount_minor, CARD)).code)

        for number in ("SP20261121001", "SP20261121002"):
            amount = ORDERS[number].amount_minor
            assert ("00", amount, b"00") == due(await two.query(number))
            part = await one.part(PART, number)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pay, one, part, PART)
                nursery.start_soon(pay, two, number, amount)
        assert ["00", "00"] == [code for code in codes if code not in ("94", "64", "12")]
        number = "SP20261121003"
        assert ("00", ORDERS[number].amount_minor, b"00") == due(await two.query(number))
        part = await one.part(PART, number)
        assert "00" == (await one.pay(part, PART, CARD)).code
        assert ("00", ORDERS[number].amount_minor - PART, b"00") == due(await two.query(number))
        await sibling.drain()
        await world.agree()


async def test_a_part_whose_answer_is_lost_in_a_crash(open_world: OpenWorld) -> None:
    """It is undone; meanwhile the order is not to be had, then all of it is due."""
    rules = [BankRule(Match(processing_code="00"), fault="drop", times=1)]
    async with open_world(bank_rules=rules) as world:
        door = await Door.of(world)
        first = await door.part(PART)
        async with world.line() as line:
            await line.send(door.payment(first, PART, CARD))
            await world.until(world.bank_rows)
            assert "94" == (await door.pay(WHOLE, AMOUNT, CARD)).code
            await world.stop("switch")
        await world.start_switch()
        await world.agree()
        assert 0 == world.receivable()
        assert "00" == (await door.pay(WHOLE, AMOUNT, CARD)).code
        await world.agree()


async def test_over_iso_8583_and_by_the_terminal_simulator(open_world: OpenWorld) -> None:
    """An order host opens parts as an HTTP system does; a swipe may hold one of a family."""
    merchant = ORDERS[WHOLE].merchant_id
    async with open_world(hosted=[merchant]) as world:
        host, _, port = world.pos.rpartition(":")
        me = who.identity(world.estate, "10000001")
        terminal = Terminal(me, TerminalState("10000001"))
        link = TerminalLink(tcp(host, int(port)))
        async with TerminalClient(terminal, MemoryStore(), link) as client:
            await client.sign_on()
            await client.courier_sign_on("C1001", who.courier(world.estate, "C1001").password)
            paid = await client.pay_order(WHOLE, "card", ALICE, part_minor=PART)
            assert (True, f"{WHOLE}/1", PART) == (paid.approved, paid.order_no, paid.amount_minor)
            assert (await client.order_confirm(paid.order_no)).approved
            assert "61" == (await client.pay_order(WHOLE, part_minor=AMOUNT)).response_code
            asked = await client.order_query(WHOLE, part_minor=PART)
            assert asked.order is not None
            both = await client.order_payment(
                asked.order.order_no, AMOUNT, "card", ALICE, more=[WHOLE]
            )
            assert "12" == both.response_code
            swiped = await client.order_payment(
                asked.order.order_no,
                PART + ORDERS["SP20261121002"].amount_minor,
                "card",
                ALICE,
                more=["SP20261121002"],
            )
            assert swiped.approved
            rest = await client.pay_order(WHOLE, "cash")
            assert (True, AMOUNT - 2 * PART) == (rest.approved, rest.amount_minor)
        await world.until(lambda: world.order(WHOLE).state == "paid")
        await world.agree()
