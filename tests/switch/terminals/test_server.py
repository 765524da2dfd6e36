"""The terminals' port with a session that only waits: who is served, and when."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from trio.testing import memory_stream_pair

from acquirer.switch.settings import LimitSettings
from acquirer.switch.terminals.server import TerminalServer
from acquirer.switch.terminals.session import FRAMING, Session
from acquirer.switch.watch.metrics import Metrics

pytestmark = pytest.mark.anyio

TERMINALS, ANSWERS, TURNS = 200, 2000, 3


class Waiting:
    """A session that answers a frame with itself after some turns of the loop."""

    def __init__(self) -> None:
        self.began: list[bytes] = []

    async def answer(self, frame: bytes, _address: str, *, is_too_much: bool) -> bytes:
        """The frame again."""
        self.began.append(frame)
        for _ in range(TURNS):
            await trio.lowlevel.checkpoint()
        return FRAMING.encode(frame)


class Port(trio.abc.Listener[trio.abc.Stream]):
    """A port in memory."""

    def __init__(self) -> None:
        self._came, self._waiting = trio.open_memory_channel[trio.abc.Stream](TERMINALS)

    def connect(self) -> trio.abc.Stream:
        """A terminal's end of a new connection."""
        ours, theirs = memory_stream_pair()
        self._came.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        """The next connection."""
        try:
            return await self._waiting.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        """Take no more."""
        self._came.close()


@asynccontextmanager
async def serving(session: object, **limits: Any) -> AsyncIterator[Port]:
    """A server until the block ends."""
    port = Port()
    settings = LimitSettings(**limits)
    server = TerminalServer(cast(Session, session), settings, Metrics())
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, port)
        yield port
        server.drain()


async def test_nobody_is_starved() -> None:
    """Of many who each ask again as soon as they are answered none is more than one turn ahead."""
    session = Waiting()
    answers: Counter[int] = Counter()
    all_are_in = trio.Event()
    most_ahead = 0
    async with serving(session) as port, trio.open_nursery() as crowd:

        async def terminal(number: int, stream: trio.abc.Stream) -> None:
            nonlocal most_ahead
            while answers.total() < ANSWERS:
                await stream.send_all(FRAMING.encode(b"%d" % number))
                await stream.receive_some()
                answers[number] += 1
                if len(answers) == TERMINALS:
                    all_are_in.set()
                await all_are_in.wait()
                most_ahead = max(most_ahead, answers[number] - min(answers.values()))
            crowd.cancel_scope.cancel()

        for number in range(TERMINALS):
            crowd.start_soon(terminal, number, port.connect())
    assert most_ahead <= 2
    assert min(answers.values()) >= ANSWERS // TERMINALS - 2


async def test_a_drained_port_answers_what_is_in_flight() -> None:
    """It takes nothing new, and its tasks end."""
    session = Waiting()
    async with serving(session) as port:
        stream = port.connect()
        await stream.send_all(FRAMING.encode(b"last"))
        while not session.began:
            await trio.lowlevel.checkpoint()
    assert FRAMING.encode(b"last") == await stream.receive_some()
    assert b"" == await stream.receive_some()
