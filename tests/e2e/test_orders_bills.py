"""Bills on the same rails: their words, and the window in which they can be cancelled."""

from __future__ import annotations

import msgspec
import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
BILL, PREMIUM = "UB20261121001", "IP20261121001"


async def paid_bill(world: World, order_no: str, amount_minor: int) -> tuple[PosTerminal, Reply]:
    """A bill paid by card at the shop."""
    terminal = await world.with_courier("10000003", "C2001")
    items = de59(ON=order_no, OC="C2001")
    asked = await world.ask(terminal.order("0200", "380000", "71", items))
    assert f"{amount_minor:012d}" == asked[4]
    assert order_no in asked.items["OT"].decode("gb18030") or order_no == PREMIUM
    fields = {4: asked[4], **terminal.card_fields(ALICE, None)}
    paid = await world.ask(terminal.order("0200", "000000", "72", items, fields))
    assert "00" == paid.code
    return terminal, paid


async def cancel(world: World, terminal: PosTerminal, order_no: str, paid: Reply) -> str:
    """Row 7."""
    fields: dict[int, str | bytes] = {
        37: paid[37],
        61: f"{terminal.batch}{paid[11]}{paid[13]}",
    }
    reply = await world.ask(terminal.order("0200", "200000", "75", de59(ON=order_no), fields))
    return str(reply.code)


async def test_a_bill_is_paid_and_cancelled_in_its_window(open_world: OpenWorld) -> None:
    """Within half an hour it can be cancelled."""
    async with open_world() as world:
        terminal, paid = await paid_bill(world, BILL, 18_640)
        assert "00" == await cancel(world, terminal, BILL, paid)
        await world.agree()
        assert 0 == world.receivable()


async def test_a_policy_that_was_issued_cannot_be_cancelled(open_world: OpenWorld) -> None:
    """After its window a cancellation is refused, and the payment stands."""
    async with open_world() as world:
        types = [
            msgspec.structs.replace(one, cancel_within_s=0.001) for one in world.estate.order_types
        ]
        world.estate = msgspec.structs.replace(world.estate, order_types=types)
        await world.take_over()
        terminal, paid = await paid_bill(world, PREMIUM, 95_000)
        assert "12" == await cancel(world, terminal, PREMIUM, paid)
        await world.agree()
        assert 95_000 == world.receivable()
