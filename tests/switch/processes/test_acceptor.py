"""Terminals' connections over workers, with doors that only remember."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from acquirer.switch.processes.acceptor import Acceptor, Door
from acquirer.switch.processes.descriptors import Hand, Handed, pair
from acquirer.switch.settings import LimitSettings

pytestmark = pytest.mark.anyio


class Worker:
    """A worker's end of everything."""

    def __init__(self, acceptor: Acceptor, slot: int) -> None:
        ours, theirs = pair()
        self.said: list[tuple[Any, ...]] = []
        self.door = Door(Hand(ours), lambda *words: self.said.append(words))
        self.hand = Hand(theirs)
        self._acceptor = acceptor
        self.slot = slot

    def opens(self) -> None:
        """It takes connections."""
        self._acceptor.open_door(self.slot, self.door)

    async def next(self) -> Handed:
        """The next connection that it is given."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.door.hand.run)
            handed = await self.hand.next()
            nursery.cancel_scope.cancel()
        assert handed is not None
        return handed


@asynccontextmanager
async def accepting(acceptor: Acceptor) -> AsyncIterator[str]:
    """A port, as ``host:port``."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acceptor.accept, listener)
        yield f"127.0.0.1:{port}"
        acceptor.close()


async def connected(address: str) -> trio.SocketStream:
    """A terminal's end."""
    host, _, port = address.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


async def test_who_comes_before_any_worker_waits_with_what_he_said() -> None:
    """His bytes are there for whoever serves him."""
    acceptor = Acceptor(LimitSettings(), dict)
    async with accepting(acceptor) as address:
        terminal = await connected(address)
        await terminal.send_all(b"early")
        worker = Worker(acceptor, 1)
        # The port has taken it once a second one is turned to.
        other = await connected(address)
        worker.opens()
        first = await worker.next()
        assert b"early" == first.socket.recv(10)
        assert [1, False] == first.note
        first.socket.close()
        await trio.aclose_forcefully(other)
        await trio.aclose_forcefully(terminal)


async def test_connections_spread_and_come_back() -> None:
    """Each goes to the worker with fewest; one that is given back goes on elsewhere, as proven."""
    acceptor = Acceptor(LimitSettings(), dict)
    one, other = Worker(acceptor, 1), Worker(acceptor, 2)
    one.opens()
    other.opens()
    async with accepting(acceptor) as address:
        terminals = [await connected(address) for _ in range(2)]
        handed = await one.next()
        await other.next()
        assert [1, 1] == [one.door.connections, other.door.connections]
        acceptor.proven(1)
        acceptor.shut_door(1)
        acceptor.came_back(1, 1, one.door, handed.socket)
        with trio.fail_after(5):
            await acceptor.emptied(one.door)
        assert [1, True] == (await other.next()).note
        assert [0, 2] == [one.door.connections, other.door.connections]
        one.opens()
        assert [("release", 1)] == other.said
        for terminal in terminals:
            await trio.aclose_forcefully(terminal)


async def test_limits_count_over_all_workers() -> None:
    """An address's share; and when all is full, who has never been answered gives way."""
    acceptor = Acceptor(LimitSettings(connections_max=2, per_address_max=3), dict)
    one, other = Worker(acceptor, 1), Worker(acceptor, 2)
    one.opens()
    other.opens()
    async with accepting(acceptor) as address:
        terminals = [await connected(address) for _ in range(2)]
        await one.next()
        await other.next()
        acceptor.proven(1)
        terminals.append(await connected(address))
        await one.next()
        assert ("close", 2) in other.said
        assert ("refused", 1) in one.said
        for terminal in terminals:
            await trio.aclose_forcefully(terminal)


async def test_the_dead_leave_what_they_were_not_given_yet() -> None:
    """What a worker had is gone with it, and its place in the limits is free."""
    acceptor = Acceptor(LimitSettings(per_address_max=2), dict)
    dead, living = Worker(acceptor, 1), Worker(acceptor, 2)
    dead.opens()
    async with accepting(acceptor) as address:
        terminals = [await connected(address)]
        handed = await dead.next()
        terminals.append(await connected(address))
        while dead.door.connections < 2:
            await trio.lowlevel.checkpoint()
        handed.socket.close()
        acceptor.lost(1, dead.door)
        living.opens()
        assert [2, False] == (await living.next()).note
        terminals.append(await connected(address))
        assert [3, False] == (await living.next()).note
        assert b"" == await terminals[0].receive_some(1)
        for terminal in terminals:
            await trio.aclose_forcefully(terminal)
