"""The terminal simulator against the real switch: several orders in one swipe, asked values."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from world import OpenWorld

from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.identity import card, identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.player import Player
from acquirer.terminals_sim.scenario import load_scenario
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

pytestmark = pytest.mark.anyio

SCENARIO = """
title = "Two orders in one swipe"

[[terminals]]
tid = "10000001"
follow_demands = false

[[steps]]
do = "sign-on"

[[steps]]
do = "courier-sign-on"
courier = "C1001"

[[steps]]
do = "order-query"
order = "SP20261121001"
expect = { response_code = "00", "59.OI" = "floor" }

[[steps]]
do = "order-pay"
note = "the merchant wants to know the floor"
order = "SP20261121001"
more = ["SP20261121002"]
card = "alice"
expect = { outcome = "refused" }

[[steps]]
do = "order-pay"
order = "SP20261121001"
more = ["SP20261121002"]
fields = { floor = "3" }
card = "alice"
expect = { response_code = "00", amount = "460.29", open_orders = "SP20261121001 SP20261121002" }

[[steps]]
do = "order-confirm"
order = "SP20261121002"
expect = { response_code = "00", open_orders = "SP20261121001" }

[[steps]]
do = "order-sign"
order = "SP20261121002"
by = "Li Wei"

[[steps]]
do = "order-pay"
note = "in cash, without asking first"
order = "SP20261121003"
amount = "115.28"
way = "cash"
fields = { floor = "9" }

[[steps]]
do = "reverse"
expect = { response_code = "00", open_orders = "SP20261121001" }
"""


async def test_a_swipe_for_two_orders_and_a_keyed_floor(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    """The scenario holds, each order has its own way to the merchant, and demands find the rest."""
    async with open_world() as world:
        first, *others = world.estate.merchants
        asking = msgspec.structs.replace(first, ask=["floor"])
        world.estate = msgspec.structs.replace(world.estate, merchants=[asking, *others])
        await world.take_over()
        host, _, port = world.pos.partition(":")
        terminal = Terminal(identity(world.estate, "10000001"), TerminalState("10000001"))
        link = TerminalLink(tcp(host, int(port)))
        async with TerminalClient(terminal, MemoryStore(), link, follow_demands=False) as client:
            (tmp_path / "two.toml").write_text(SCENARIO, "utf-8")
            player = Player(world.estate, {"10000001": client})
            reports = await player.play(load_scenario(tmp_path / "two.toml"))
            assert [None] * 9 == [report.mismatch for report in reports]

            with pytest.raises(LocalRefusal, match="by card"):
                await client.order_payment("SP20261121003", 1, "cash", more=["SP20261121006"])
            bob = card(world.estate, "bob")
            with pytest.raises(LocalRefusal, match="at most 9"):
                await client.order_payment("A", 1, card=bob, more=list("BCDEFGHIJ"))
            assert (await client.order_confirm("SP20261121001")).approved
        await world.until(lambda: world.order("SP20261121002").state == "signed_for")
        await world.until(lambda: world.order("SP20261121001").state == "confirmed")
        assert ["SP20261121001 SP20261121002"] == [
            entry.order_no for entry in client.state.journal if entry.amount_minor == 46_029
        ]
        await world.agree()
