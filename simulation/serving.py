"""The listening side of the simulated network: how a service takes connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from acquirer.simulation.network import SimStream

CONNECT_WAITING_MAX = 256


class SimListener(trio.abc.Listener[trio.abc.Stream]):
    """Takes connections for a server that accepts them one by one."""

    def __init__(self, closed: Callable[[], object]) -> None:
        self._send, self._receive = trio.open_memory_channel[SimStream](CONNECT_WAITING_MAX)
        self._closed = closed

    def take(self, stream: SimStream) -> None:
        """A connection arrives; one too many is refused."""
        try:
            self._send.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            stream.reset()

    async def accept(self) -> trio.abc.Stream:
        """The next connection."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        """Take no more; those that nobody has accepted are turned away."""
        self._closed()
        self._send.close()
        with suppress(trio.EndOfChannel, trio.ClosedResourceError):
            while True:
                self._receive.receive_nowait().reset()
        self._receive.close()
        await trio.lowlevel.checkpoint()


def serving(
    nursery: trio.Nursery, serve: Callable[[SimStream], Awaitable[None]]
) -> Callable[[SimStream], None]:
    """A route's ``serve`` that runs a task for each connection."""
    return lambda stream: nursery.start_soon(serve, stream)
