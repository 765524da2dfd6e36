"""The TCP shell: splits, pipelining, limits."""

import pytest
import trio
import trio.testing

from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.server import HsmServer, ServerLimits
from acquirer.hsm_sim.state import Settings

pytestmark = pytest.mark.anyio

REPLY = b"ND0026860476470449110007-E000"


def frame(body: bytes) -> bytes:
    """A body with its length."""
    return len(body).to_bytes(2, "big") + body


def server(limits: ServerLimits | None = None) -> HsmServer:
    """A server with a fresh module and 4-character headers."""
    return HsmServer(SecurityModule.with_test_lmks(Settings(test_lmk=True)), limits)


async def receive(stream: trio.abc.Stream, size: int) -> bytes:
    """Exactly ``size`` bytes, or fewer at the end of the stream."""
    received = b""
    while len(received) < size:
        chunk = await stream.receive_some(size - len(received))
        if not chunk:
            break
        received += chunk
    return received


async def test_pipelined_over_tcp() -> None:
    """Many requests in one write are answered in their order, on a port of the system's choice."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(server().serve, 0)
        stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname()[:2])
        async with stream:
            expected = b"".join(frame(b"%04d" % n + REPLY) for n in range(100))
            await stream.send_all(b"".join(frame(b"%04dNC" % n) for n in range(100)))
            assert expected == await receive(stream, len(expected))
        nursery.cancel_scope.cancel()


async def test_byte_by_byte() -> None:
    """Frames may come in any split."""
    client, peer = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server().handle, peer)
        for byte in frame(b"ABCDNC"):
            await client.send_all(bytes([byte]))
        expected = frame(b"ABCD" + REPLY)
        assert expected == await receive(client, len(expected))
        await client.aclose()


@pytest.mark.parametrize("broken", [b"\xff\xff", b"\x00\x00", b"\x80\x01NCNC"])
async def test_broken_frames_close_one_connection(broken: bytes) -> None:
    """A frame that cannot be ends its connection; others live on."""
    hsm = server()
    client, peer = trio.testing.memory_stream_pair()
    other, other_peer = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hsm.handle, peer)
        nursery.start_soon(hsm.handle, other_peer)
        await client.send_all(broken)
        assert await receive(client, 1) == b""
        await other.send_all(frame(b"ABCDNC"))
        assert frame(b"ABCD" + REPLY) == await receive(other, 35)
        await other.aclose()
    assert (hsm.broken_frames, hsm.connections) == (1, 0)


async def test_too_many_connections() -> None:
    """A connection beyond the limit is closed at once."""
    hsm = server(ServerLimits(max_connections=1))
    first, first_peer = trio.testing.memory_stream_pair()
    second, second_peer = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hsm.handle, first_peer)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(hsm.handle, second_peer)
        assert await receive(second, 1) == b""
        await first.aclose()
    assert hsm.refused_connections == 1


def test_idle_connections_are_closed() -> None:
    """A silent connection ends after the idle time-out, on the clock of the test."""

    async def main() -> None:
        client, peer = trio.testing.memory_stream_pair()
        await server(ServerLimits(idle_timeout_s=30)).handle(peer)
        assert trio.current_time() - started == pytest.approx(30)
        assert await receive(client, 1) == b""

    clock = trio.testing.MockClock(autojump_threshold=0)
    started = clock.current_time()
    trio.run(main, clock=clock)


async def test_broken_connection_is_no_fault() -> None:
    """A client that disappears before its reply leaves the server as it was."""
    hsm = server()
    client, peer = trio.testing.memory_stream_pair()
    await client.send_all(frame(b"ABCDNC"))
    await client.aclose()
    await hsm.handle(peer)
    assert hsm.connections == 0
