"""Limits by merchant, terminal, category and card: refused codes, counts of a date, given back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import tomli_w
from limits import AT_ONCE
from operated import operated, run
from pos_terminal import de59
from world import REFUSED, SLOW, OpenWorld, World, card

pytestmark = pytest.mark.anyio

SYBIL, ALICE = card("sybil"), card("alice")
MERCHANT = "898110053310001"
OTHER_TERMINAL = "10000002"


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    """An estate in which nothing has been paid yet."""
    async with open_world() as world:
        yield world


async def limited(world: World, *rules: dict[str, Any]) -> None:
    """Let these be all limits."""
    world.changes["limit"] = list(rules)
    await world.take_over()


async def codes(world: World, *frames: bytes) -> list[str]:
    """The codes of requests, one after the other."""
    return [(await world.ask(frame)).code for frame in frames]


async def test_what_one_request_says(world: World) -> None:
    """58 by transaction and entry mode, 12 by currency, 61 by amount; a void is never limited."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, 500))
    await limited(world, {"merchant_id": MERCHANT, "transactions": ["refund", "balance"]})
    assert ["58", "00", "00"] == await codes(
        world,
        terminal.sale(SYBIL, 500),
        terminal.balance(SYBIL),
        terminal.void(SYBIL, 500, sale),
    )
    for rule, code in (
        ({"terminal_id": terminal.terminal_id, "entry_modes": ["chip"]}, "58"),
        ({"terminal_id": terminal.terminal_id, "entry_modes": ["chip", "stripe"]}, "00"),
        ({"terminal_id": OTHER_TERMINAL, "entry_modes": ["chip"]}, "00"),
        ({"merchant_id": MERCHANT, "currencies": ["840"]}, "12"),
        ({"each_card": True, "amount_max_minor": 499}, "61"),
        ({"each_card": True, "amount_max_minor": 500}, "00"),
    ):
        await limited(world, rule)
        assert [code] == await codes(world, terminal.sale(SYBIL, 500))


async def test_a_refusal_is_stored_and_repeated(world: World) -> None:
    """The same again has the same answer, whatever the limit is by then."""
    terminal = await world.signed_on()
    await limited(world, {"merchant_id": MERCHANT, "count_max_daily": 1})
    taken, above = terminal.sale(SYBIL, 100), terminal.sale(SYBIL, 100)
    assert ["00", "65"] == await codes(world, taken, above)
    await limited(world)
    refused = await world.ask(above)
    assert ("65", True) == (refused.code, terminal.sealed(refused))
    assert ("refused", []) == (world.state(refused), world.bank_rows(refused[37]))
    await limited(world, {"merchant_id": MERCHANT, "amount_max_minor": 1, "count_max_daily": 0})
    assert ["00"] == await codes(world, taken)


async def test_what_did_not_come_about_is_given_back(world: World) -> None:
    """A decline, a reversal and a void leave room for another; a refund does not."""
    terminal = await world.signed_on()
    await limited(
        world,
        {"terminal_id": terminal.terminal_id, "count_max_daily": 1},
        {"each_card": True, "amount_max_daily_minor": 20_000},
    )
    assert "05" == (await world.ask(terminal.sale(SYBIL, REFUSED))).code
    frame = terminal.sale(SYBIL, 700)
    assert ["00", "65", "00"] == await codes(
        world, frame, terminal.sale(SYBIL, 700), terminal.reversal(frame)
    )
    sale = await world.ask(terminal.sale(SYBIL, 800))
    assert ["65", "00"] == await codes(
        world, terminal.sale(SYBIL, 1), terminal.void(SYBIL, 800, sale)
    )
    last = await world.ask(terminal.sale(SYBIL, 20_000))
    assert "00" == last.code
    assert ["00", "65"] == await codes(
        world, terminal.refund(SYBIL, 20_000, last), terminal.sale(SYBIL, 1)
    )


async def test_sums_by_card_merchant_and_category(world: World) -> None:
    """A card by itself at all terminals, a merchant with all his; earlier payments count too."""
    one, other = await world.signed_on(), await world.signed_on(OTHER_TERMINAL)
    assert ["00"] == await codes(world, one.sale(SYBIL, 600))
    await limited(world, {"each_card": True, "amount_max_daily_minor": 1_000})
    assert ["61", "00", "61", "00"] == await codes(
        world,
        other.sale(SYBIL, 401),
        other.sale(SYBIL, 400),
        one.sale(SYBIL, 1),
        one.sale(ALICE, 1_000),
    )
    await limited(world, {"merchant_id": MERCHANT, "amount_max_daily_minor": 2_001})
    assert ["00", "61"] == await codes(world, one.sale(ALICE, 1), other.sale(ALICE, 1))
    mcc = next(m.mcc for m in world.estate.merchants if m.merchant_id == MERCHANT)
    await limited(world, {"mcc": mcc, "count_max_daily": 5})
    assert ["00", "65"] == await codes(world, other.sale(ALICE, 1), one.sale(ALICE, 1))


async def test_orders_and_offline_sales_are_payments_too(world: World) -> None:
    """By card and in cash, and what an approved one was stays as it is."""
    terminal = await world.with_courier()
    await limited(world, {"merchant_id": MERCHANT, "amount_max_daily_minor": 100})
    for processing_code in ("900000", "000000"):
        items = de59(ON="SP20261121001", OC="C1001")
        asked = await world.ask(terminal.order("0200", "380000", "71", items))
        fields: dict[int, str | bytes] = {4: asked[4]}
        if processing_code == "000000":
            fields |= terminal.card_fields(SYBIL, None)
        paid = terminal.order("0200", processing_code, "72", items, fields)
        assert ["61", "61"] == await codes(world, paid, paid)
    several = de59(ON="SP20261121001", OC="C1001", N2="SP20261121002")
    first, second = [
        await world.ask(terminal.order("0200", "380000", "71", de59(ON=number, OC="C1001")))
        for number in ("SP20261121001", "SP20261121002")
    ]
    due = {4: f"{int(first[4]) + int(second[4]):012d}", **terminal.card_fields(SYBIL, None)}
    await limited(world, {"merchant_id": MERCHANT, "count_max_daily": 0})
    swipe = terminal.order("0200", "000000", "72", several, due)
    assert ["65", "65"] == await codes(world, swipe, swipe)
    assert "00" == world.order("SP20261121001").status
    assert ["65"] == await codes(world, terminal.offline_sale(SYBIL, 101))
    await limited(world, {"merchant_id": MERCHANT, "amount_max_minor": 100})
    assert ["61"] == await codes(world, terminal.offline_sale(SYBIL, 101))


@pytest.mark.parametrize("measure", ["count_max_daily", "amount_max_daily_minor"])
async def test_many_at_once_against_five(open_world: OpenWorld, measure: str) -> None:
    """Of many side by side five are approved, four times over as each five are given back."""
    async with open_world(changes={"limits": {"per_terminal_max": AT_ONCE}}) as world:
        await five_of_many(world, measure)


async def five_of_many(world: World, measure: str) -> None:
    """Four times many at once against five, or five times the amount."""
    terminal = await world.signed_on()
    most = 5 if measure == "count_max_daily" else 5 * SLOW
    await limited(world, {"merchant_id": MERCHANT, measure: most})
    code = "65" if measure == "count_max_daily" else "61"
    for _ in range(4):
        frames = [terminal.sale(SYBIL, SLOW, pin="") for _ in range(AT_ONCE)]
        found = [reply.code for reply in await world.ask_all(*frames)]
        assert ["00"] * 5 + [code] * (AT_ONCE - 5) == sorted(found)
        back = [terminal.reversal(f) for f, c in zip(frames, found, strict=True) if c == "00"]
        assert ["00"] * 5 == [reply.code for reply in await world.ask_all(*back)]


async def test_a_file_with_faults_changes_nothing(open_world: OpenWorld) -> None:
    """Exit code 2 and every fault with its place; a right one counts at once."""
    async with operated(open_world) as world:
        file = world.folder / "limits.toml"
        command = ("config", "import", str(file), "--kind", "limit", "--reason", "x")
        wrong = [
            {"merchant_id": "nobody", "transactions": ["void", "sale"]},
            {"each_card": True, "mcc": "57", "entry_modes": []},
            {"currencies": ["CNY"], "count_max_daily": 1},
            {"terminal_id": "10000001"},
        ]
        file.write_bytes(tomli_w.dumps({"limit": wrong}).encode())
        code, told = await run(world.folder, *command)
        assert 2 == code
        assert [
            "limit[0].merchant_id",
            "limit[0].transactions",
            "limit[1].merchant_id",
            "limit[1].mcc",
            "limit[1].entry_modes",
            "limit[2].merchant_id",
            "limit[2].currencies",
            "limit[3].amount_max_minor",
        ] == [fault["place"] for fault in told["error"]["faults"]]
        right = [{"merchant_id": MERCHANT, "count_max_daily": 1, "transactions": ["sale"]}]
        file.write_bytes(tomli_w.dumps({"limit": right}).encode())
        assert 0 == (await run(world.folder, *command))[0]
        assert right == (await run(world.folder, "config", "export", "--kind", "limit"))[1]["limit"]
        terminal = await world.signed_on()
        assert ["00", "65"] == await codes(world, terminal.sale(SYBIL, 1), terminal.sale(SYBIL, 1))
