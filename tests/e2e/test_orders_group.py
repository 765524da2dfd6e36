"""Several orders paid in one swipe: one authorisation, each order on its own afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from limits import HANG_S
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
ORDERS = {order.order_no: order for order in load_estate().orders}
THREE = ("SP20261121001", "SP20261121002", "SP20261121003")
TOTAL = sum(ORDERS[number].amount_minor for number in THREE)


def swipe(terminal: PosTerminal, numbers: tuple[str, ...], amount_minor: int, **more: Any) -> bytes:
    """Row 4 for several orders."""
    first, *others = numbers
    tags = {f"N{place}": number for place, number in enumerate(others, start=2)}
    items = de59(ON=first, OC="C1001", **tags)
    fields = {4: f"{amount_minor:012d}", **terminal.card_fields(ALICE, None)}
    return terminal.order("0200", "000000", "72", items, fields, **more)


def about(terminal: PosTerminal, paid: Reply) -> dict[int, str | bytes]:
    """DE61 of a payment."""
    return {61: f"{terminal.batch}{paid[11]}{paid[13]}"}


async def test_each_order_is_confirmed_and_signed_for_by_itself(
    open_world: OpenWorld,
) -> None:
    """One line at the bank, one notice a order, the fee once; then each goes its own way."""
    async with open_world() as world:
        terminal = await world.with_courier()
        frame = swipe(terminal, THREE, TOTAL)
        paid = await world.ask(frame)
        assert "00" == paid.code
        again = await world.ask(frame)
        assert paid.without(12, 13, 64) == again.without(12, 13, 64)
        assert [TOTAL] == [row["amount_minor"] for row in world.bank_rows()]
        for number in THREE:
            items = de59(ON=number, OR="Li Wei")
            names = about(terminal, paid)
            confirm = terminal.order("0220", "000000", "73", de59(ON=number), names)
            assert "00" == (await world.ask(confirm)).code
            sign = terminal.order("0220", "920000", "74", items, names)
            assert "00" == (await world.ask(sign)).code
        await world.until(lambda: {"signed_for"} == {world.order(one).state for one in THREE})
        for number in THREE:
            assert ORDERS[number].amount_minor == world.order(number).amount_minor
        assert 3 == len({world.order(number).rrn for number in THREE})
        assert "12" == (await world.ask(terminal.reversal(frame))).code
        await world.agree()
        assert TOTAL == world.receivable()


async def test_what_is_refused_pays_nothing(open_world: OpenWorld) -> None:
    """A wrong sum, an order twice, one that is paid, unknown or not for cards: none is paid."""
    async with open_world() as world:
        terminal = await world.with_courier()
        for numbers, amount, code in (
            (THREE, TOTAL - 1, "64"),
            ((THREE[0], THREE[0]), 2 * ORDERS[THREE[0]].amount_minor, "12"),
            ((THREE[0], "NOSUCH"), TOTAL, "25"),
            ((THREE[0], "SP20261121011"), TOTAL, "57"),
            ((THREE[0], "SP20261121012"), TOTAL, "57"),
        ):
            assert code == (await world.ask(swipe(terminal, numbers, amount))).code
        single = ORDERS[THREE[2]].amount_minor
        assert "00" == (await world.ask(swipe(terminal, THREE[2:], single))).code
        assert "94" == (await world.ask(swipe(terminal, THREE, TOTAL))).code
        both = THREE[:2]
        amount = sum(ORDERS[number].amount_minor for number in both)
        replies = await world.ask_all(
            swipe(terminal, both, amount), swipe(terminal, tuple(reversed(both)), amount)
        )
        assert ["00", "94"] == sorted(reply.code for reply in replies)
        await world.agree()
        assert TOTAL == world.receivable()


async def test_a_reversal_opens_all_of_them(open_world: OpenWorld) -> None:
    """As if the swipe had not been; then they can be paid again."""
    async with open_world() as world:
        terminal = await world.with_courier()
        frame = swipe(terminal, THREE, TOTAL)
        assert "00" == (await world.ask(frame)).code
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        await world.until(lambda: {"to_pay"} == {world.order(one).state for one in THREE})
        await world.agree()
        assert 0 == world.receivable()
        assert "00" == (await world.ask(swipe(terminal, THREE, TOTAL))).code
        await world.agree()


@pytest.mark.parametrize("crash", [False, True])
async def test_an_answer_that_is_lost_pays_none(open_world: OpenWorld, crash: bool) -> None:
    """The bank keeps silent, or the switch dies: the swipe is undone, all orders are open."""
    rules = [Rule(Match(processing_code="00"), fault="drop", times=1)]
    async with open_world(bank_rules=rules) as world:
        terminal = await world.with_courier()
        if crash:
            async with world.line() as line:
                await line.send(swipe(terminal, THREE, TOTAL))
                await world.until(world.bank_rows)
                await world.stop("switch")
            await world.start_switch()
        else:
            assert "98" == (await world.ask(swipe(terminal, THREE, TOTAL))).code
        await world.agree()
        assert 0 == world.receivable()
        with trio.fail_after(HANG_S):
            while "00" != (await world.ask(swipe(terminal, THREE, TOTAL))).code:
                pass
        await world.agree()
        assert TOTAL == world.receivable()


async def test_a_declined_card_pays_none_and_another_pays_all(
    open_world: OpenWorld,
) -> None:
    """Pay by another card after a decline."""
    rules = [Rule(Match(processing_code="00"), response_code="51", times=1)]
    async with open_world(bank_rules=rules) as world:
        terminal = await world.with_courier()
        assert "51" == (await world.ask(swipe(terminal, THREE, TOTAL))).code
        assert "00" == (await world.ask(swipe(terminal, THREE, TOTAL))).code
        await world.agree()
        assert TOTAL == world.receivable()
