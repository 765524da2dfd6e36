"""The load on the security module: pipelined connections that number requests and match replies.

Each connection keeps so many requests on their way. A reply is found by its message header and
checked; as many requests as were answered follow in one write. The same load runs against the
module and against an echo of the same frames, which answers each request with itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from acquirer.bench.children import print_ready
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.children import die_with_parent

FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 32 * 1024
RECEIVE_BYTES_MAX = 64 * 1024
HEADER_LENGTH = 4


class WrongReplyError(RuntimeError):
    """A reply that belongs to no request, or not the reply that was expected."""


async def commands_per_second(
    port: int, bodies: Sequence[bytes], expected: bytes, requests: int, connections: int, depth: int
) -> float:
    """Send so many requests, and how many were answered in a second.

    Args:
        port: where the module or the echo listens on loopback.
        bodies: sent in turn.
        expected: what a reply's body begins with.
        requests: how many altogether.
        connections: at once.
        depth: requests on their way on each connection.

    Raises:
        WrongReplyError: a reply is not what it should be.
    """
    share = requests // connections
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(_lane, port, bodies, expected, share, depth)
    return share * connections / (trio.current_time() - started)


async def _lane(
    port: int, bodies: Sequence[bytes], expected: bytes, requests: int, depth: int
) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
    waiting: set[bytes] = set()
    sent = answered = 0

    def more(count: int) -> bytes:
        nonlocal sent
        frames = []
        for number in range(sent, min(sent + count, requests)):
            header = b"%04d" % (number % 10_000)
            waiting.add(header)
            frames.append(FRAMING.encode(header + bodies[number % len(bodies)]))
        sent += len(frames)
        return b"".join(frames)

    async with stream:
        await stream.send_all(more(depth))
        while answered < requests:
            received = await stream.receive_some(RECEIVE_BYTES_MAX)
            if not received:
                raise WrongReplyError("the connection ended")
            replies = decoder.feed(bytes(received))
            for reply in replies:
                header = reply[:HEADER_LENGTH]
                if header not in waiting or not reply.startswith(expected, HEADER_LENGTH):
                    raise WrongReplyError(repr(reply[: HEADER_LENGTH + 4]))
                waiting.remove(header)
            answered += len(replies)
            following = more(len(replies))
            if following:
                await stream.send_all(following)


async def echo(stream: trio.SocketStream) -> None:
    """Cut the frames that come, as any server must, and send them back in one write."""
    decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
    async with stream:
        while received := await stream.receive_some(RECEIVE_BYTES_MAX):
            await stream.send_all(b"".join(map(FRAMING.encode, decoder.feed(bytes(received)))))


async def serve_echo() -> None:
    """Serve the echo until the parent ends."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print_ready(echo=f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
    await trio.serve_listeners(echo, listeners)


if __name__ == "__main__":
    die_with_parent()
    trio.run(serve_echo)
