"""TCP streams that wait before they read and do not wait after they wrote."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from acquirer.config.tcp_stream import TcpStream

pytestmark = pytest.mark.anyio

MORE_THAN_BUFFERS = bytes(range(256)) * 40_000


@pytest.fixture
async def pair() -> AsyncIterator[tuple[TcpStream, trio.SocketStream]]:
    """One of ours, and its peer."""
    ours, theirs = trio.socket.socketpair()
    stream, peer = TcpStream(trio.SocketStream(ours)), trio.SocketStream(theirs)
    yield stream, peer
    await stream.aclose()
    await peer.aclose()


async def test_both_ways(pair: tuple[TcpStream, trio.SocketStream]) -> None:
    """What one sends the other receives; nothing comes after the end."""
    stream, peer = pair
    await stream.send_all(b"request")
    assert b"request" == await peer.receive_some()
    await peer.send_all(b"reply")
    assert b"rep" == await stream.receive_some(3)
    assert b"ly" == await stream.receive_some()
    await peer.send_eof()
    assert b"" == await stream.receive_some()


async def test_it_waits_for_what_has_not_come(pair: tuple[TcpStream, trio.SocketStream]) -> None:
    """A read that finds nothing waits, and is cancelled without loss."""
    stream, peer = pair
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.receive_some)
            await wait_all_tasks_blocked()
            scope.cancel()
    assert "" == stream.peer
    await peer.send_all(b"late")
    assert b"late" == await stream.receive_some()


async def test_what_the_system_does_not_take_at_once(
    pair: tuple[TcpStream, trio.SocketStream],
) -> None:
    """A long message is sent whole, as its peer reads; what is taken at once is told."""
    stream, peer = pair
    left = stream.send_now(MORE_THAN_BUFFERS)
    assert 0 < len(left) < len(MORE_THAN_BUFFERS)
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, left)
        while len(received) < len(MORE_THAN_BUFFERS):
            received += await peer.receive_some()
    assert MORE_THAN_BUFFERS == received


async def test_a_lost_connection_is_told(pair: tuple[TcpStream, trio.SocketStream]) -> None:
    """Who writes to a peer that has gone hears of it."""
    stream, peer = pair
    await peer.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"request")


async def test_closing_wakes_a_reader(pair: tuple[TcpStream, trio.SocketStream]) -> None:
    """A read or a write on a closed stream says that it is closed, whenever it was closed."""
    stream, _ = pair
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await stream.aclose()
    for call in (stream.receive_some, stream.wait_send_all_might_not_block):
        with pytest.raises(trio.ClosedResourceError):
            await call()
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"request")
