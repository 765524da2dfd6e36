"""Couriers' cash at two switches: no limit is passed, nothing is handed in twice."""

from __future__ import annotations

from functools import partial

import pytest
from limits import ROUNDS
from pos_terminal import PosTerminal, de59
from race_estate import AMOUNT_MINOR, CASH_LIMIT_MINOR, OpenPair, account, order_no
from served import ServedWorld, asked, at_once

pytestmark = pytest.mark.anyio

MERCHANT = "898110053310001"
STATION = "assets:station:north"
LIMITED, FREE = "assets:courier:C1001", "assets:courier:C1002"


def cash(terminal: PosTerminal, courier_id: str, number: int) -> bytes:
    """Row 4 in cash, of the order with this number."""
    items = de59(ON=order_no(MERCHANT, number), OC=courier_id)
    fields: dict[int, str | bytes] = {4: f"{AMOUNT_MINOR:012d}"}
    return terminal.order("0200", "900000", "72", items, fields)


async def hand_in(
    switch: ServedWorld, courier_id: str, amount_minor: int, reference: str
) -> dict[str, int]:
    """What the switch says of a hand-in, which it must take."""
    path = f"couriers/{courier_id}/hand-in"
    status, done = await switch.operate(path, amount_minor=amount_minor, reference=reference)
    assert 200 == status, done
    return done


async def test_a_courier_never_holds_more_than_his_limit(open_pair: OpenPair) -> None:
    """Of four payments at once that fit one by one, the two that fit together are taken."""
    async with open_pair() as (one, other):
        terminal = await one.with_courier()
        fitting = CASH_LIMIT_MINOR // AMOUNT_MINOR
        for turn in range(ROUNDS):
            frames = [cash(terminal, "C1001", 4 * turn + place) for place in range(4)]
            codes = [
                reply.code for reply in await asked(*zip((one, other) * 2, frames, strict=True))
            ]
            assert ["00"] * fitting + ["61"] * (4 - fitting) == sorted(codes)
            assert fitting * AMOUNT_MINOR == account(one, LIMITED)
            done = await hand_in(
                (one, other)[turn % 2], "C1001", fitting * AMOUNT_MINOR, f"r{turn}"
            )
            assert (0, 0) == (done["shortage_minor"], done["excess_minor"])
        await one.agree()
        assert 0 == account(one, LIMITED)
        assert ROUNDS * fitting * AMOUNT_MINOR == account(one, STATION)


async def pay(switch: ServedWorld, terminal: PosTerminal, number: int) -> dict[str, int]:
    """Pay an order in cash."""
    assert "00" == (await switch.ask(cash(terminal, "C1002", number))).code
    return {}


async def test_a_hand_in_counts_once_whatever_comes_beside_it(open_pair: OpenPair) -> None:
    """One reference at both, beside a payment; then two references for the same cash."""
    async with open_pair() as (one, other):
        terminal = await one.with_courier("10000001", "C1002")
        counted = expected = 0
        for turn in range(ROUNDS):
            await pay(one, terminal, 2 * turn)
            *told, _ = await at_once(
                partial(hand_in, one, "C1002", AMOUNT_MINOR, f"a{turn}"),
                partial(hand_in, other, "C1002", AMOUNT_MINOR, f"a{turn}"),
                partial(pay, other, terminal, 2 * turn + 1),
            )
            assert [False, True] == sorted(bool(done["repeated"]) for done in told)
            assert 1 == len({(done["rrn"], done["expected_minor"]) for done in told})
            counted, expected = counted + AMOUNT_MINOR, expected + told[0]["expected_minor"]
            left = (2 * turn + 2) * AMOUNT_MINOR - expected
            assert left == account(one, FREE)
            told = await at_once(
                partial(hand_in, one, "C1002", left, f"b{turn}"),
                partial(hand_in, other, "C1002", left, f"c{turn}"),
            )
            assert sorted([0, left]) == sorted(done["expected_minor"] for done in told)
            counted, expected = counted + 2 * left, expected + left
            assert 0 == account(one, FREE)
            assert counted == account(one, STATION)
        await one.agree()
