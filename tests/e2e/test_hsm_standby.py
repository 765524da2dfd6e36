"""Two security modules: payments go on when the first falls or hangs, and when it returns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from acquirer.config.estate import load_estate
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.server import HsmServer

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[Any]]
SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
HEADER = 8


@asynccontextmanager
async def standby() -> AsyncIterator[tuple[str, HsmServer]]:
    """A second module under the same local master keys: its address and itself."""
    server = HsmServer(HsmTable(header_length=HEADER, test_lmk=True).module())
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(server.serve, 0)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}", server
        nursery.cancel_scope.cancel()


async def test_the_first_module_falls(open_world: Open) -> None:
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


async def test_the_first_module_hangs(open_world: Open) -> None:
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
