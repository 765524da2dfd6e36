"""Two security modules: payments go on when the first falls or hangs, and when it returns.

What an operator sees of modules that fall: readiness and alarms, over HTTP.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.server import HsmServer
from acquirer.hsm_sim.state import Settings
from acquirer.simulation.provision import BankChoice, switch_config

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
HEADER = 8


def stranger() -> SecurityModule:
    """A module under other local master keys."""
    lmk = VariantLmk((*TEST_VARIANT_PAIRS[1:], TEST_VARIANT_PAIRS[0]))
    return SecurityModule({"00": lmk}, settings=Settings(header_length=HEADER))


@asynccontextmanager
async def standby() -> AsyncIterator[tuple[str, HsmServer]]:
    """A second module under the same local master keys: its address and itself."""
    server = HsmServer(HsmTable(header_length=HEADER, test_lmk=True).module())
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(server.serve, 0)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}", server
        nursery.cancel_scope.cancel()


async def test_the_first_module_falls(open_world: OpenWorld) -> None:
    """Keys that one module made serve at the other; no payment is refused, before or after."""
    async with standby() as (address, server):
        hsm = {
            "transport": "tcp",
            "header_length": HEADER,
            "deadline_s": 2.0,
            "check_every_s": 0.05,
            "standby": [address],
        }
        async with open_world(changes={"hsm": hsm}) as world:
            terminal = await world.signed_on()
            assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
            await world.stop("hsm")
            for _ in range(3):
                assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
            assert server._module.counts["CA"].calls == 3
            await world.start("hsm")
            first = world.module.counts["CA"]

            async def taken_back() -> bool:
                before = first.calls
                assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
                return bool(first.calls > before)

            await world.until(taken_back)
            await world.agree()


async def test_the_first_module_hangs(open_world: OpenWorld) -> None:
    """A module that takes commands and answers none costs its share of the deadline, once."""
    async with standby() as (address, _), trio.open_nursery() as nursery:

        async def hung(stream: trio.SocketStream) -> None:
            while await stream.receive_some(4096):
                pass

        (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), hung, 0)
        hsm = {
            "transport": "tcp",
            "header_length": HEADER,
            "deadline_s": 0.6,
            "address": f"127.0.0.1:{listener.socket.getsockname()[1]}",
            "standby": [address],
        }
        async with open_world(changes={"hsm": hsm}) as world:
            terminal = await world.signed_on()
            assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
            await world.agree()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[Callable[[int, set[str]], Awaitable[bool]]]:
    """Asks the switch over HTTP whether it is ready, and which alarms of modules stand."""
    async with httpx.AsyncClient(base_url=f"http://{world.http}") as client:

        async def shows(status: int, alarms: set[str]) -> bool:
            ready, metrics = await client.get("/readyz"), await client.get("/metrics")
            assert ready.json()["ready"] is (ready.status_code == 200)
            standing = set(re.findall(r'acquirer_alarm\{alarm="(hsm_\w+)"\} 1', metrics.text))
            return (status, alarms) == (ready.status_code, standing)

        yield shows


async def test_one_of_two_modules_down_is_an_alarm(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch is ready still, for the other answers; the alarm ends when the first is back."""
    monkeypatch.setattr("acquirer.switch.watch.alarms.EVERY_S", 0.05)
    monkeypatch.setattr("acquirer.switch.watch.alarms.HOLD_S", 0.1)
    async with standby() as (address, _):
        hsm = {
            "transport": "tcp",
            "header_length": HEADER,
            "deadline_s": 0.5,
            "check_every_s": 0.05,
            "standby": [address],
        }
        async with open_world(changes={"hsm": hsm}) as world, watched(world) as shows:
            await world.until(lambda: shows(200, set()))
            await world.stop("hsm")
            await world.until(lambda: shows(200, {"hsm_module_down"}))
            await world.start("hsm")
            await world.until(lambda: shows(200, set()))


async def test_without_a_module_a_switch_is_not_ready(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no payment has asked for it, and ready again when it is back."""
    monkeypatch.setattr("acquirer.switch.watch.alarms.EVERY_S", 0.05)
    monkeypatch.setattr("acquirer.switch.watch.alarms.HOLD_S", 0.1)
    hsm = {"transport": "tcp", "header_length": HEADER, "deadline_s": 0.5, "check_every_s": 0.05}
    async with open_world(changes={"hsm": hsm}) as world, watched(world) as shows:
        await world.until(lambda: shows(200, set()))
        await world.stop("hsm")
        await world.until(lambda: shows(503, {"hsm_unavailable", "hsm_module_down"}))
        await world.start("hsm")
        await world.until(lambda: shows(200, set()))
        assert "00" == (await world.ask((await world.signed_on()).sale(SYBIL, 1_000))).code


async def test_the_first_module_returns_under_another_local_master_key(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standby goes on; alone, such a module serves nothing, and readiness says so."""
    monkeypatch.setattr("acquirer.switch.watch.alarms.EVERY_S", 0.05)
    monkeypatch.setattr("acquirer.switch.watch.alarms.HOLD_S", 0.1)
    async with standby() as (address, server):
        hsm = {
            "transport": "tcp",
            "header_length": HEADER,
            "deadline_s": 0.5,
            "check_every_s": 0.05,
            "standby": [address],
        }
        async with open_world(changes={"hsm": hsm}) as world, watched(world) as shows:
            terminal = await world.signed_on()
            await world.stop("hsm")
            right, world.module = world.module, stranger()
            await world.start("hsm")
            strange = {"hsm_module_down", "hsm_other_lmk"}
            await world.until(lambda: shows(200, strange))
            assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
            state, lmk = server._module.state, server._module.state.default_lmk
            state.default_lmk = stranger().state.default_lmk
            await world.until(lambda: shows(503, {"hsm_unavailable", *strange}))
            state.default_lmk = lmk
            await world.until(lambda: shows(200, strange))
            assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
            await world.stop("hsm")
            world.module = right
            await world.start("hsm")
            await world.until(lambda: shows(200, set()))
            await world.agree()


async def test_a_start_with_the_first_module_under_another_local_master_key(
    open_world: OpenWorld,
) -> None:
    """The module that opens the data key serves, wherever it stands in the order."""
    async with standby() as (address, _), standby() as (wrong, server):
        server._module = stranger()
        hsm = {"transport": "tcp", "header_length": HEADER, "address": wrong, "standby": [address]}
        async with open_world(changes={"hsm": hsm}) as world, watched(world) as shows:
            terminal = await world.signed_on()
            assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
            await world.until(lambda: shows(200, {"hsm_module_down", "hsm_other_lmk"}))


async def test_a_terminals_key_under_another_local_master_key_is_an_alarm(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal is refused A7; the module fits, so that it stays and all others are served."""
    monkeypatch.setattr("acquirer.switch.watch.alarms.EVERY_S", 0.05)
    hsm = {"transport": "tcp", "header_length": HEADER, "check_every_s": 0.05}
    places = dict.fromkeys(("pos", "http", "hsm", "bank", "orders", "database_url"), "")
    document = switch_config(load_estate(), **places, choice=BankChoice(), data_key={})
    terminals = document["terminals"]
    terminals[0]["tmk"] = "U" + "0" * 32
    name = terminals[0]["terminal_id"]
    async with (
        open_world(changes={"hsm": hsm, "terminals": terminals}) as world,
        watched(world) as shows,
    ):
        refused = await world.ask(world.terminal(name).sign_on("003"))
        assert "A7" == refused.code
        await world.until(lambda: shows(200, {"hsm_key_refused"}))
        terminal = await world.signed_on("10000002")
        assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
