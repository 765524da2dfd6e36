"""Order payments whose confirmation never comes: the terminal is asked, then it is decided."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.ledger.reports.orders import open_orders
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
CARD, CASH = "000000", "900000"
NEVER_S = 10_000.0


def rules(ask_after_s: float, decide_after_s: float, unconfirmed: str = "confirm") -> Any:
    """Changes of the switch's settings."""
    return {
        "orders": {
            "ask_after_s": ask_after_s,
            "decide_after_s": decide_after_s,
            "unconfirmed": unconfirmed,
            "look_every_s": 0.05,
        }
    }


async def pay(world: World, terminal: PosTerminal, order_no: str, amount: int, way: str) -> Reply:
    """Row 4."""
    fields: dict[int, str | bytes] = {4: f"{amount:012d}"}
    if way == CARD:
        fields |= terminal.card_fields(ALICE, None)
    items = de59(ON=order_no, OC="C1001")
    reply: Reply = await world.ask(terminal.order("0200", way, "72", items, fields))
    assert "00" == reply.code
    return reply


def about(terminal: PosTerminal, paid: Reply) -> dict[int, str | bytes]:
    """DE61 of a payment."""
    return {61: f"{terminal.batch}{paid[11]}{paid[13]}"}


async def test_the_terminal_is_asked_until_it_confirms(open_world: OpenWorld) -> None:
    """Processing demand 2 stands in its replies, and in nobody else's, until type 73 comes."""
    async with open_world(changes=rules(0.01, NEVER_S)) as world:
        terminal = await world.with_courier()
        other = await world.signed_on("10000003")
        paid = await pay(world, terminal, "SP20261121001", 21_478, CARD)

        async def is_asked(of: PosTerminal, wanted: int) -> bool:
            return int((await world.ask(of.echo())).demand) == wanted

        await world.until(partial(is_asked, terminal, 2))
        await world.until(partial(is_asked, other, 0))
        with Database(world.url).read_only_engine().connect() as connection:
            assert [("unconfirmed", paid[37])] == [
                (order.why, order.rrn) for order in open_orders(connection)
            ]
        confirm = terminal.order(
            "0220", CARD, "73", de59(ON="SP20261121001"), about(terminal, paid)
        )
        assert "00" == (await world.ask(confirm)).code
        await world.until(partial(is_asked, terminal, 0))


@pytest.mark.parametrize(("way", "amount"), [(CARD, 21_478), (CASH, 21_478)])
@pytest.mark.parametrize("rule", ["confirm", "reverse"])
async def test_decided_by_rule(open_world: OpenWorld, rule: str, way: str, amount: int) -> None:
    """After the set time the payment stands or is undone, and the terminal finds it decided."""
    async with open_world(changes=rules(0.01, 0.2, rule)) as world:
        terminal = await world.with_courier()
        paid = await pay(world, terminal, "SP20261121001", amount, way)
        stands = rule == "confirm"
        state = "confirmed" if stands else "to_pay"
        await world.until(lambda: world.order("SP20261121001").state == state)
        await world.until(
            lambda: len(world.events("SP20261121001")) == 2,
        )
        confirm = terminal.order("0220", way, "73", de59(ON="SP20261121001"), about(terminal, paid))
        assert ("00" if stands else "12") == (await world.ask(confirm)).code
        await world.agree()
        account = "assets:scheme:demo" if way == CARD else "assets:courier:C1001"
        assert (amount if stands else 0) == world.balances().get(account, 0)


async def test_a_payment_that_the_bank_does_not_know_is_undone(
    open_world: OpenWorld,
) -> None:
    """The bank's word counts more than the rule: what it does not know cannot stand."""
    async with open_world(changes=rules(0.01, NEVER_S)) as world:
        terminal = await world.with_courier()
        paid = await pay(world, terminal, "SP20261121001", 21_478, CARD)
        await world.stop("bank")
        (world.folder / "lost").mkdir()
        for file in list(world.folder.glob("bank*")):
            if file.is_file() and file.suffix != ".toml":
                file.rename(world.folder / "lost" / file.name)
        await world.drain()
        await world.start("bank")
        world.changes.update(rules(0.01, 0.2))
        await world.start_switch()
        await world.until(lambda: world.order("SP20261121001").state == "to_pay")
        await world.until(lambda: world.state(paid) == "reversed")
        await world.agree()
        assert 0 == world.receivable()
