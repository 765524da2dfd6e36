"""The life of an order over real sockets: three ways to pay, undone, confirmed, excepted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
COURIER = "C1001"
CASH = "assets:courier:C1001"
MERCHANT = "liabilities:merchant:898110053310001"
CARD_WAY, CASH_WAY, NO_WAY = "000000", "900000", "910000"


class Door:
    """A courier's terminal at somebody's door: one request a method."""

    def __init__(self, world: World, terminal: PosTerminal) -> None:
        self.world = world
        self.terminal = terminal

    @classmethod
    async def of(cls, world: World, courier_id: str = COURIER, tid: str = "10000001") -> Door:
        """With the courier signed on."""
        return cls(world, await world.with_courier(tid, courier_id))

    async def ask(
        self,
        mti: str,
        code: str,
        kind: str,
        items: dict[str, str],
        fields: dict[int, str | bytes] | None = None,
    ) -> Reply:
        """One order transaction."""
        frame = self.terminal.order(mti, code, kind, de59(**items), fields)
        reply: Reply = await self.world.ask(frame)
        return reply

    async def query(self, order_no: str) -> Reply:
        """Row 3."""
        return await self.ask("0200", "380000", "71", {"ON": order_no, "OC": COURIER})

    def payment(self, order_no: str, amount_minor: int, way: str = CARD_WAY) -> bytes:
        """Row 4, as a frame."""
        fields: dict[int, str | bytes] = {4: f"{amount_minor:012d}"}
        if way == CARD_WAY:
            fields |= self.terminal.card_fields(ALICE, None)
        items = de59(ON=order_no, OC=COURIER)
        return self.terminal.order("0200", way, "72", items, fields)

    async def pay(self, order_no: str, amount_minor: int, way: str = CARD_WAY) -> Reply:
        """Row 4."""
        reply: Reply = await self.world.ask(self.payment(order_no, amount_minor, way))
        return reply

    def about(self, paid: Reply) -> dict[int, str | bytes]:
        """DE61 of a payment."""
        return {61: f"{self.terminal.batch}{paid[11]}{paid[13]}"}

    async def confirm(self, order_no: str, paid: Reply) -> Reply:
        """Row 5."""
        return await self.ask("0220", paid[3], "73", {"ON": order_no}, self.about(paid))

    async def sign(self, order_no: str, paid: Reply | None = None) -> Reply:
        """Row 6."""
        about = self.about(paid) if paid else {}
        return await self.ask("0220", "920000", "74", {"ON": order_no, "OR": "Li Wei"}, about)

    async def cancel(self, order_no: str, paid: Reply) -> Reply:
        """Row 7."""
        fields = {**self.about(paid), 37: paid[37]}
        return await self.ask("0200", "200000", "75", {"ON": order_no}, fields)

    async def confirm_cancel(self, order_no: str, paid: Reply) -> Reply:
        """Row 8."""
        return await self.ask("0220", "200000", "76", {"ON": order_no}, self.about(paid))

    async def except_for(self, order_no: str, reason: str, note: str = "") -> Reply:
        """Row 9."""
        items = {"ON": order_no, "OX": reason} | ({"OD": note} if note else {})
        return await self.ask("0220", "930000", "77", items)


def moved(before: dict[str, int], after: dict[str, int], account: str) -> int:
    """By how much an account's debits less credits grew."""
    return after.get(account, 0) - before.get(account, 0)


async def told(world: World, order_no: str, state: str) -> None:
    """Wait until the merchant has an order in a state."""
    await world.until(lambda: world.order(order_no).state == state)


async def test_cash_is_owed_by_the_courier_and_the_fee_is_income(world: World) -> None:
    """Cash 115.28 at 0.8 %: the courier owes it, the merchant gets it less 0.92."""
    door, order_no = await Door.of(world), "SP20261121003"
    before = world.balances()
    paid = await door.pay(order_no, 11_528, CASH_WAY)
    assert "00" == paid.code
    assert "01" == (await door.query(order_no)).items["OS"].decode()
    assert "00" == (await door.confirm(order_no, paid)).code
    assert "00" == (await door.sign(order_no, paid)).code
    after = world.balances()
    assert 11_528 == moved(before, after, CASH)
    assert -(11_528 - 92) == moved(before, after, MERCHANT)
    assert -92 == moved(before, after, "income:cod-fee")
    await told(world, order_no, "signed_for")
    assert ("cash", paid[37]) == (world.order(order_no).means, world.order(order_no).rrn)


async def test_cash_reversed_before_its_confirmation(world: World) -> None:
    """A 0400 gives the cash back, opens the order again, and owes the bank nothing."""
    door, order_no = await Door.of(world), "SP20261121006"
    before = world.balances()
    frame = door.payment(order_no, 17_271, CASH_WAY)
    paid = await world.ask(frame)
    assert "00" == paid.code
    assert "00" == (await world.ask(door.terminal.reversal(frame))).code
    assert "reversed" == world.state(paid)
    assert 0 == moved(before, world.balances(), CASH)
    assert "12" == (await door.confirm(order_no, paid)).code
    await told(world, order_no, "to_pay")
    asked = await door.query(order_no)
    assert (b"00", "000000017271") == (asked.items["OS"], asked[4])


async def test_nothing_to_pay(world: World) -> None:
    """A prepaid parcel: 06, delivered with nothing to pay, signed for; no money moves."""
    door, order_no = await Door.of(world), "SP20261121012"
    before = world.balances()
    asked = await door.query(order_no)
    assert (b"06", "000000000000") == (asked.items["OS"], asked[4])
    assert "57" == (await door.pay(order_no, 0)).code
    paid = await door.pay(order_no, 0, NO_WAY)
    assert "00" == paid.code
    assert "94" == (await door.pay(order_no, 0, NO_WAY)).code
    assert "00" == (await door.confirm(order_no, paid)).code
    assert "00" == (await door.sign(order_no, paid)).code
    assert before == world.balances()
    await told(world, order_no, "signed_for")


async def test_delivery_on_the_customers_account(world: World) -> None:
    """Where the merchant allows delivery of an order with an amount, no money moves here."""
    door, order_no = await Door.of(world), "SP20261121008"
    before = world.balances()
    assert "57" == (await door.pay(order_no, 34_071, CASH_WAY)).code
    assert "64" == (await door.pay(order_no, 34_070, NO_WAY)).code
    payment = door.payment(order_no, 34_071, NO_WAY)
    paid = await world.ask(payment)
    assert "00" == paid.code
    assert "00" == (await door.cancel(order_no, paid)).code
    assert before == world.balances()
    await told(world, order_no, "cancelled")
    assert "00" == (await world.ask(door.terminal.reversal(payment))).code
    assert "94" == (await world.ask(payment)).code, "reversed since, though it was gone already"


async def test_card_payment_cancelled_after_its_confirmation(world: World) -> None:
    """The bank voids it, the books turn back, the merchant hears of it; repeats change nothing."""
    door, order_no = await Door.of(world), "SP20261121001"
    before = world.balances()
    paid = await door.pay(order_no, 21_478)
    assert "00" == (await door.confirm(order_no, paid)).code
    assert "12" == (await door.confirm_cancel(order_no, paid)).code
    cancelled = await door.cancel(order_no, paid)
    assert ("00", True) == (cancelled.code, cancelled[37] != paid[37])
    assert "voided" == world.state(paid)
    assert ["voided"] == [r["state"] for r in world.bank_rows(paid[37]) if r["kind"] == "sale"]
    assert not any(
        moved(before, world.balances(), account) for account in world.balances() if account
    )
    assert b"04" == (await door.query(order_no)).items["OS"]
    assert "00" == (await door.confirm_cancel(order_no, paid)).code
    assert "00" == (await door.confirm_cancel(order_no, paid)).code
    await world.until(
        lambda: "order.cancel_confirmed" in [event.type for event in world.events(order_no)]
    )
    assert [
        "order.paid",
        "order.payment_confirmed",
        "order.cancelled",
        "order.cancel_confirmed",
    ] == [event.type for event in world.events(order_no)]
    for step in (door.cancel, door.confirm):
        assert "12" == (await step(order_no, paid)).code
    assert "12" == (await door.pay(order_no, 21_478)).code
    assert "12" == (await door.except_for(order_no, "03")).code
    assert "12" == (await door.sign(order_no)).code


async def test_cash_goes_back_at_a_cancellation(world: World) -> None:
    """The courier gives the money back and owes nothing more."""
    door, order_no = await Door.of(world), "SP20261121011"
    before = world.balances()
    paid = await door.pay(order_no, 12_249, CASH_WAY)
    assert (
        "61"
        == (
            await door.ask(
                "0200",
                "200000",
                "75",
                {"ON": order_no},
                {**door.about(paid), 37: paid[37], 4: f"{12_250:012d}"},
            )
        ).code
    )
    assert (
        "25"
        == (
            await door.ask(
                "0200", "200000", "75", {"ON": order_no}, {**door.about(paid), 37: "999999999999"}
            )
        ).code
    )
    assert "00" == (await door.cancel(order_no, paid)).code
    assert 0 == moved(before, world.balances(), CASH)
    assert "voided" == world.state(paid)
    await told(world, order_no, "cancelled")


async def test_a_rescheduled_order_is_tried_again(world: World) -> None:
    """Exception 06 leaves the order payable, exception 03 does not until the merchant says so."""
    door, order_no = await Door.of(world), "SP20261121005"
    assert "25" == (await door.except_for("NOSUCHORDER", "01")).code
    assert "30" == (await door.except_for(order_no, "55")).code
    assert "00" == (await door.except_for(order_no, "03", "没人要")).code
    asked = await door.query(order_no)
    assert (b"05", "000000000000") == (asked.items["OS"], asked[4])
    assert "12" == (await door.pay(order_no, 30_107, CASH_WAY)).code
    assert "00" == (await door.except_for(order_no, "06", "tomorrow")).code
    asked = await door.query(order_no)
    assert (b"05", "000000030107") == (asked.items["OS"], asked[4])
    paid = await door.pay(order_no, 30_107, CASH_WAY)
    assert "00" == paid.code
    assert "12" == (await door.except_for(order_no, "06")).code
    assert "00" == (await door.sign(order_no, paid)).code
    await told(world, order_no, "signed_for")
    assert "12" == (await door.cancel(order_no, paid)).code


async def test_the_cash_limit_holds(open_world: OpenWorld) -> None:
    """Two payments at once that exceed the courier's limit together: one is refused with 61."""
    async with open_world() as world:
        couriers = [
            msgspec.structs.replace(c, cash_limit_minor=20_000 if c.courier_id == COURIER else None)
            for c in world.estate.couriers
        ]
        world.estate = msgspec.structs.replace(world.estate, couriers=couriers)
        await world.take_over()
        door = await Door.of(world)
        replies = await world.ask_all(
            door.payment("SP20261121003", 11_528, CASH_WAY),
            door.payment("SP20261121011", 12_249, CASH_WAY),
        )
        assert ["00", "61"] == sorted(reply.code for reply in replies)
        assert world.balances()[CASH] in (11_528, 12_249)


@pytest.mark.parametrize("fault", ["drop", "close", "garbage"])
async def test_a_lost_answer_to_a_cancellation_leaves_the_order_paid(
    open_world: OpenWorld, fault: str
) -> None:
    """The bank voids and its answer is lost: the void is undone, the order stays as it was."""
    rule = Rule(Match(processing_code="20"), fault=fault, times=1)  # type: ignore[arg-type]
    async with open_world(bank_rules=[rule]) as world:
        door, order_no = await Door.of(world), "SP20261121001"
        paid = await door.pay(order_no, 21_478)
        cancelled = await door.cancel(order_no, paid)
        assert "98" == cancelled.code
        assert "00" == (await door.confirm(order_no, paid)).code
        await world.agree()
        assert 21_478 == world.receivable()
        assert ("reversed", "approved") == (world.state(cancelled), world.state(paid))
        again = await door.cancel(order_no, paid)
        assert "00" == again.code
        await world.agree()
        assert 0 == world.receivable()
        await told(world, order_no, "cancelled")


async def test_killed_while_a_cancellation_is_at_the_bank(open_world: OpenWorld) -> None:
    """After the restart the void is undone at the bank, and the order is as paid as it was."""
    rule = Rule(Match(processing_code="20"), fault="drop", times=1)
    async with open_world(bank_rules=[rule]) as world:
        door, order_no = await Door.of(world), "SP20261121001"
        paid = await door.pay(order_no, 21_478)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ignored, door.cancel, order_no, paid)
            await world.until(lambda: [r for r in world.bank_rows() if r["kind"] == "void"])
            await world.stop("switch")
            nursery.cancel_scope.cancel()
        await world.start_switch()
        await world.agree()
        assert 21_478 == world.receivable()
        assert b"01" == (await door.query(order_no)).items["OS"]
        assert "00" == (await door.cancel(order_no, paid)).code
        await world.agree()
        assert 0 == world.receivable()


async def _ignored(call: Callable[..., Any], *arguments: Any) -> None:
    with contextlib.suppress(EOFError, OSError):
        await call(*arguments)
