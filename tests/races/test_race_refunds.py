"""Refunds of order payments at two switches: against a cancellation, a reversal, and each other."""

from __future__ import annotations

import pytest
from limits import ROUNDS
from pos_terminal import PosTerminal, Reply, de59
from race_estate import AMOUNT_MINOR, OpenPair, order_no
from served import asked
from world import World

pytestmark = pytest.mark.anyio

MERCHANT, COURIER = "898110053310001", "C1001"


def payment(world: World, terminal: PosTerminal, number: str) -> bytes:
    """Row 4 by card, for one order."""
    card = world.estate.cards[0]
    fields = {4: f"{AMOUNT_MINOR:012d}", **terminal.card_fields(card, None)}
    return terminal.order("0200", "000000", "72", de59(ON=number, OC=COURIER), fields)


def about(terminal: PosTerminal, paid: Reply) -> dict[int, str | bytes]:
    """What names a payment."""
    return {61: f"{terminal.batch}{paid[11]}{paid[13]}", 37: paid[37]}


async def test_an_order_is_given_back_in_one_way(open_pair: OpenPair) -> None:
    """Cancelled, refunded as a whole, or reversed: one of them, and its merchant hears of one."""
    async with open_pair() as (one, other):
        terminal = await one.with_courier("10000001", COURIER)
        card = one.estate.cards[0]
        for turn in range(ROUNDS):
            number = order_no(MERCHANT, turn)
            frame = payment(one, terminal, number)
            paid = await one.ask(frame)
            assert "00" == paid.code
            cancel = terminal.order("0200", "200000", "75", de59(ON=number), about(terminal, paid))
            rival = cancel if turn % 2 else terminal.reversal(frame)
            whole = terminal.refund(card, AMOUNT_MINOR, paid)
            first, second = (one, other) if turn % 4 < 2 else (other, one)
            replies = await asked((first, rival), (second, whole))
            # A reversal of what was given back already has nothing left to undo.
            given = {reply.code for reply in replies}
            assert "00" in given
            assert given <= {"00", "12", "61", "91", "94"}
        await one.agree()
        await one.until(lambda: all("cancelled" == t[-1] for t in told(one)))
        assert [1] * ROUNDS == [types.count("cancelled") for types in told(one)]
        assert 0 == one.receivable()


def told(world: World) -> list[list[str]]:
    """Each order's events, by type."""
    numbers = [order_no(MERCHANT, turn) for turn in range(ROUNDS)]
    return [[one.type.removeprefix("order.") for one in world.events(no)] for no in numbers]


async def test_refunds_of_an_order_come_to_no_more_than_its_payment(open_pair: OpenPair) -> None:
    """Of two parts at once that come to more than was paid, one; the merchant hears of that one."""
    async with open_pair() as (one, other):
        terminal = await one.with_courier("10000001", COURIER)
        part_minor = AMOUNT_MINOR * 6 // 10
        for turn in range(ROUNDS):
            paid = await one.ask(payment(one, terminal, order_no(MERCHANT, turn)))
            frames = [terminal.refund(one.estate.cards[0], part_minor, paid) for _ in range(2)]
            replies = await asked((one, frames[0]), (other, frames[1]))
            assert ["00", "61"] == sorted(reply.code for reply in replies)
        await one.agree()
        await one.until(lambda: all(["paid", "refunded"] == types for types in told(one)))
        assert ROUNDS * (AMOUNT_MINOR - part_minor) == one.receivable()
