"""Wall clocks that jump: money is where it belongs, nothing waits, nothing is decided too soon."""

from __future__ import annotations

from typing import Any

import pytest
from pos_terminal import PosTerminal, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.settings import Rule
from acquirer.ledger.reports.orders import event_lines
from acquirer.ledger.store.database import Database
from acquirer.payments.orders import unconfirmed
from acquirer.switch.surroundings import Surroundings, wall_ms

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
SLOW, STUBBORN, DROP = 6604, 6609, 6601
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


ORDER, AMOUNT = "SP20261121001", 21_478


class Clock:
    """The wall clock, and how far it is off."""

    def __init__(self) -> None:
        self.off_ms = 0

    def __call__(self) -> int:
        """Milliseconds since 1970 UTC, or so."""
        return wall_ms() + self.off_ms


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 30 * DAY_MS, -DAY_MS])
async def test_a_jump_while_money_is_under_way(open_world: OpenWorld, jump_ms: int) -> None:
    """A sale at the bank is answered, what is owed is sent soon, and all books agree."""
    clock = Clock()
    async with open_world(around=Surroundings(wall_ms=clock)) as world:
        terminal = await world.signed_on()
        dropped = await world.ask(terminal.sale(SYBIL, STUBBORN))
        assert "98" == dropped.code
        await world.until(lambda: world.entry(dropped[37]).state == "timed_out")
        async with world.line() as line:
            await line.send(terminal.sale(SYBIL, SLOW))
            await world.until(lambda: any(e.amount_minor == SLOW for e in world.journal()))
            clock.off_ms = jump_ms
            assert "00" == (await line.receive()).code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
        assert "98" == (await world.ask(terminal.sale(SYBIL, DROP))).code
        await world.agree()
        assert SLOW + 500 == world.receivable()


async def restarted(world: World) -> None:
    """Stop the switch and start it again."""
    await world.drain()
    await world.start_switch()


def notices(world: World) -> list[tuple[str, int]]:
    """State and attempts of every notice."""
    with Database(world.url).read_only_engine().connect() as connection:
        return [(line.state, line.attempts) for line in event_lines(connection)]


async def pay_cash(world: World, terminal: PosTerminal, order_no: str, amount_minor: int) -> bytes:
    """An order's payment; its frame."""
    items = de59(ON=order_no, OC="C1001")
    frame: bytes = terminal.order("0200", "900000", "72", items, {4: f"{amount_minor:012d}"})
    assert "00" == (await world.ask(frame)).code
    return frame


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("jump_ms", [400 * DAY_MS, 4 * DAY_MS])
async def test_notices_of_a_jump_are_delivered_when_it_has_passed(
    open_world: OpenWorld, jump_ms: int, *, restarts: bool
) -> None:
    """Those tried before and in it are not dead, and do not wait for the time that it showed."""
    clock = Clock()
    away = [Rule("down", on="events")]
    async with open_world(around=Surroundings(wall_ms=clock), order_rules=away) as world:
        terminal = await world.with_courier()
        await pay_cash(world, terminal, ORDER, AMOUNT)
        await world.until(lambda: [n for _, n in notices(world) if n >= 1])
        clock.off_ms = jump_ms
        if restarts:
            await restarted(world)
        await world.until(lambda: [n for _, n in notices(world) if n >= 2])
        clock.off_ms = 0
        if restarts:
            await restarted(world)
        assert {"pending"} == {state for state, _ in notices(world)}
        await world.stop("orders")
        away.clear()
        await world.start("orders")
        await world.until(lambda: {"delivered"} == {state for state, _ in notices(world)})


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("jump_ms", [13 * HOUR_MS, 400 * DAY_MS])
async def test_a_payment_that_is_seconds_old_is_not_decided_for_its_terminal(
    open_world: OpenWorld,
    monkeypatch: pytest.MonkeyPatch,
    jump_ms: int,
    *,
    restarts: bool,
) -> None:
    """Half a day of the wall clock is no half day; the terminal's reversal is taken."""
    looks: list[object] = []
    look = unconfirmed.look

    async def counted(*arguments: Any) -> None:
        await look(*arguments)
        looks.append(arguments)

    monkeypatch.setattr(unconfirmed, "look", counted)
    clock = Clock()
    changes = {"orders": {"look_every_s": 0.02}}
    async with open_world(around=Surroundings(wall_ms=clock), changes=changes) as world:
        terminal = await world.with_courier()
        frame = await pay_cash(world, terminal, ORDER, AMOUNT)
        for off_ms in (jump_ms, 0):
            clock.off_ms = off_ms
            if restarts:
                await restarted(world)
            looks.clear()
            await world.until(lambda: len(looks) > 3)
        await world.until(lambda: {"delivered"} == {state for state, _ in notices(world)})
        assert "01" == world.order(ORDER).status
        assert "00" == (await world.ask(terminal.reversal(frame))).code
