"""Connections to the security module: matching, deadlines, cuts; against a scripted far end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.addresses import TcpAddress
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.server import HsmServer
from acquirer.payments.kernel.errors import HsmUnavailable
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.hsm.transport import TcpTransport

pytestmark = pytest.mark.anyio

LENGTH = LengthHeader("binary", 2)
Serve = Callable[["FarEnd", trio.SocketStream], Awaitable[None]]


@dataclass
class FarEnd:
    """What a scripted module has seen."""

    connections: int = 0
    received: list[bytes] = field(default_factory=list)

    async def next_of(self, decoder: FrameDecoder, stream: trio.SocketStream) -> list[bytes]:
        """Frames that arrive; none at the end of the stream."""
        while data := await stream.receive_some(4096):
            if frames := decoder.feed(bytes(data)):
                self.received += frames
                return frames
        return []


def decoder() -> FrameDecoder:
    """For the module's side."""
    return FrameDecoder(LENGTH, 32_768)


def answer(frame: bytes) -> bytes:
    """The command's body echoed behind its code and error 00."""
    return LENGTH.encode(frame[:8] + b"XX00" + frame[8:])


async def echoing(far: FarEnd, stream: trio.SocketStream) -> None:
    """Answer each command with itself."""
    cut = decoder()
    while frames := await far.next_of(cut, stream):
        await stream.send_all(b"".join(answer(frame) for frame in frames))


@asynccontextmanager
async def wired(
    serve: Serve, connections: int = 1, deadline_s: float = 5.0
) -> AsyncIterator[tuple[TcpTransport, FarEnd]]:
    """A transport to a scripted module."""
    far = FarEnd()

    async def handle(stream: trio.SocketStream) -> None:
        far.connections += 1
        async with stream:
            await serve(far, stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        port = listeners[0].socket.getsockname()[1]
        transport = TcpTransport(
            nursery,
            TcpAddress("127.0.0.1", port),
            connections=connections,
            header_length=8,
            deadline_s=deadline_s,
        )
        yield transport, far
        transport.close()
        nursery.cancel_scope.cancel()


async def call_all(transport: TcpTransport, commands: list[bytes]) -> dict[bytes, bytes | None]:
    """Commands side by side; None for those that failed."""
    replies: dict[bytes, bytes | None] = {}

    async def one(command: bytes) -> None:
        try:
            replies[command] = await transport.call(command)
        except HsmUnavailable:
            replies[command] = None

    async with trio.open_nursery() as nursery:
        for command in commands:
            nursery.start_soon(one, command)
    return replies


async def test_pipelined() -> None:
    """Many commands at once share the connections, and each gets its own reply."""
    commands = [b"C%03d" % n for n in range(200)]
    async with wired(echoing, connections=2) as (transport, far):
        replies = await call_all(transport, commands)
        assert {command: b"XX00" + command for command in commands} == replies
        assert 2 == far.connections


async def test_replies_out_of_order() -> None:
    """Replies are matched by their header, not by their order."""

    async def backwards(far: FarEnd, stream: trio.SocketStream) -> None:
        cut = decoder()
        while len(far.received) < 3:
            await far.next_of(cut, stream)
        await stream.send_all(b"".join(answer(frame) for frame in reversed(far.received)))

    async with wired(backwards) as (transport, _):
        replies = await call_all(transport, [b"A", b"B", b"C"])
        assert {b"A": b"XX00A", b"B": b"XX00B", b"C": b"XX00C"} == replies


async def test_foreign_reply() -> None:
    """A reply to a command that nobody sent is passed over."""

    async def chatty(far: FarEnd, stream: trio.SocketStream) -> None:
        cut = decoder()
        while frames := await far.next_of(cut, stream):
            await stream.send_all(LENGTH.encode(b"99999999XX00?") + answer(frames[0]))

    async with wired(chatty) as (transport, _):
        assert b"XX00A" == await transport.call(b"A")


async def test_connection_cut() -> None:
    """A cut connection fails what it carried; the next command opens another."""

    async def cutting(far: FarEnd, stream: trio.SocketStream) -> None:
        if far.connections == 1:
            await far.next_of(decoder(), stream)
            return
        await echoing(far, stream)

    async with wired(cutting) as (transport, far):
        with pytest.raises(HsmUnavailable):
            await transport.call(b"A")
        assert b"XX00B" == await transport.call(b"B")
        assert 2 == far.connections


@pytest.mark.parametrize("junk", [b"\xff\xff", b"\x00\x00"])
async def test_broken_frame(junk: bytes) -> None:
    """A module that sends what is no frame is one whose connection broke."""

    async def broken(far: FarEnd, stream: trio.SocketStream) -> None:
        await far.next_of(decoder(), stream)
        await stream.send_all(junk)
        await far.next_of(decoder(), stream)

    async with wired(broken) as (transport, _):
        with pytest.raises(HsmUnavailable):
            await transport.call(b"A")


async def test_deadline() -> None:
    """A command without a reply ends with its deadline; others on the connection are not hurt."""

    async def choosy(far: FarEnd, stream: trio.SocketStream) -> None:
        cut = decoder()
        while frames := await far.next_of(cut, stream):
            for frame in frames:
                if frame[8:] != b"NEVER":
                    await stream.send_all(answer(frame))

    async with wired(choosy, deadline_s=0.3) as (transport, far):
        async with trio.open_nursery() as nursery:

            async def never() -> None:
                with pytest.raises(HsmUnavailable):
                    await transport.call(b"NEVER")

            nursery.start_soon(never)
            for n in range(5):
                assert b"XX00%d" % n == await transport.call(b"%d" % n)
        assert b"XX00A" == await transport.call(b"A")
        assert 1 == far.connections


async def test_silent_connection_is_given_up() -> None:
    """A connection on which nothing came back before the deadline is not used again."""

    async def deaf(far: FarEnd, stream: trio.SocketStream) -> None:
        if far.connections == 1:
            await trio.sleep_forever()
        await echoing(far, stream)

    async with wired(deaf, deadline_s=0.2) as (transport, far):
        with pytest.raises(HsmUnavailable):
            await transport.call(b"A")
        assert b"XX00B" == await transport.call(b"B")
        assert 2 == far.connections


async def test_nobody_listens() -> None:
    """Without a module: unavailable at once, each time, and no command is kept."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        await listener.aclose()
        transport = TcpTransport(
            nursery, TcpAddress("127.0.0.1", port), connections=1, header_length=8, deadline_s=5.0
        )
        replies = await call_all(transport, [b"%d" % n for n in range(10)])
        assert {None} == set(replies.values())


async def test_the_module_itself() -> None:
    """Against the simulator's server: a command, a restart of the module, a command."""
    server = HsmServer(HsmTable(header_length=8, test_lmk=True).module())
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as serving:
            (listener,) = await serving.start(server.serve, 0)
            port = listener.socket.getsockname()[1]
            transport = TcpTransport(
                nursery,
                TcpAddress("127.0.0.1", port),
                connections=1,
                header_length=8,
                deadline_s=5.0,
            )
            hsm = Hsm(transport)
            key = await hsm.generate_key("001")
            serving.cancel_scope.cancel()
        with pytest.raises(HsmUnavailable):
            await hsm.status()
        async with trio.open_nursery() as serving:
            await serving.start(server.serve, port)
            assert 8 == len(await hsm.kcv(key, "001"))
            serving.cancel_scope.cancel()
        transport.close()
