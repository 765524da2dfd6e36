"""The baseline: a bare trio relay on the terminals' framing, with no work on the way.

terminal → relay → one multiplexed link → host → back. It does what no switch can do without: read
a frame, find its reply among those of all others, write it back.
"""

from __future__ import annotations

import sys

import trio

from acquirer.bench.children import print_ready
from acquirer.bench.host import quiet
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.children import die_with_parent

FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 4096
KEY_BYTES = 8


class Relay:
    """One link to the host, shared by all terminals by a key before each frame."""

    def __init__(self, link: trio.SocketStream) -> None:
        self._link = link
        self._waiting: dict[bytes, tuple[trio.Event, list[bytes]]] = {}
        self._next = 0
        self._lock = trio.Lock()

    async def read_link(self) -> None:
        """Hand each reply to the terminal that waits for its key."""
        decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
        while data := await self._link.receive_some(65_536):
            for frame in decoder.feed(data):
                event, reply = self._waiting.pop(frame[:KEY_BYTES])
                reply.append(frame[KEY_BYTES:])
                event.set()

    async def terminal(self, stream: trio.SocketStream) -> None:
        """Relay one terminal's frames, one after the other."""
        decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
        async with stream:
            while data := await stream.receive_some(16_384):
                for frame in decoder.feed(data):
                    self._next += 1
                    key = self._next.to_bytes(KEY_BYTES, "big")
                    event, reply = self._waiting[key] = trio.Event(), []
                    async with self._lock:
                        await self._link.send_all(FRAMING.encode(key + frame))
                    await event.wait()
                    await stream.send_all(FRAMING.encode(reply[0]))


async def main(host_port: int) -> None:
    """Serve until the parent ends."""
    link = await trio.open_tcp_stream("127.0.0.1", host_port)
    relay = Relay(link)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.read_link)
        print_ready(pos=f"127.0.0.1:{listener.socket.getsockname()[1]}")
        await trio.serve_listeners(quiet(relay.terminal), [listener])


if __name__ == "__main__":
    die_with_parent()
    trio.run(main, int(sys.argv[1]))
