"""A merchant's own fields: words on the terminal, and what the courier must key in."""

from __future__ import annotations

import msgspec
import pytest
from pos_terminal import de59
from world import OpenWorld

pytestmark = pytest.mark.anyio


async def test_own_words_and_asked_fields(open_world: OpenWorld) -> None:
    """OT is the merchant's template, OI what to key in; without OV no payment, with it a notice."""
    order_no = "SP20261121003"
    async with open_world() as world:
        first, *others = world.estate.merchants
        own = msgspec.structs.replace(
            first, order_text="请收 {{ due }} 元\n{{ lines[0] }}", ask=["id last 4", "floor"]
        )
        world.estate = msgspec.structs.replace(world.estate, merchants=[own, *others])
        await world.take_over()
        terminal = await world.with_courier()
        items = de59(ON=order_no, OC="C1001")
        asked = await world.ask(terminal.order("0200", "380000", "71", items))
        assert "请收 115.28 元|Winter coat 冬季外套" == asked.items["OT"].decode("gb18030")
        assert b"id last 4|floor" == asked.items["OI"]

        async def pay(**more: str) -> str:
            fields: dict[int, str | bytes] = {4: f"{11_528:012d}"}
            keyed = de59(ON=order_no, OC="C1001", **more)
            reply = await world.ask(terminal.order("0200", "900000", "72", keyed, fields))
            return str(reply.code)

        for wrong in ({}, {"OV": "1234"}, {"OV": "1234| "}, {"OV": "1|2|3"}):
            assert "30" == await pay(**wrong)
        assert "00" == await pay(OV="1234|九楼")
        await world.until(lambda: world.order(order_no).state == "paid")
