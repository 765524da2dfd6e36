"""TCP streams that wait before they read and do not wait after they wrote."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from acquirer.config.tcp_stream import ACCEPTED_AT_ONCE_MAX, TcpListener, TcpStream

pytestmark = pytest.mark.anyio

MORE_THAN_BUFFERS = bytes(range(256)) * 40_000


@pytest.fixture
async def pair() -> AsyncIterator[tuple[TcpStream, trio.SocketStream]]:
    """One of ours, and its peer."""
    ours, theirs = trio.socket.socketpair()
    stream, peer = TcpStream.of(trio.SocketStream(ours)), trio.SocketStream(theirs)
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


async def test_all_who_wait_are_let_in_in_one_turn() -> None:
    """Others that are ready need not run between two of them; past so many they have their turn."""
    (opened,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = TcpListener(opened)
    crowd = [await trio.open_tcp_stream(*listener.address) for _ in range(ACCEPTED_AT_ONCE_MAX + 1)]
    let_in = [await listener.accept()]
    with trio.CancelScope() as no_turn:
        no_turn.cancel()
        while len(let_in) <= len(crowd):
            let_in.append(await listener.accept())
    assert ACCEPTED_AT_ONCE_MAX == len(let_in)
    let_in.append(await listener.accept())
    for number, (peer, stream) in enumerate(zip(crowd, let_in, strict=True)):
        await peer.send_all(b"%d" % number)
        assert b"%d" % number == await stream.receive_some()
        assert "127.0.0.1" == stream.peer
        await stream.aclose()
        await peer.aclose()
    await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_who_was_not_taken_is_closed_with_the_port() -> None:
    """A program that stops leaves nobody connected to nothing."""
    (opened,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = TcpListener(opened)
    peers = [await trio.open_tcp_stream(*listener.address) for _ in range(2)]
    first = await listener.accept()
    await listener.aclose()
    with trio.fail_after(30):
        assert b"" == await peers[1].receive_some()
    for stream in (first, *peers):
        await stream.aclose()
