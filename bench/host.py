"""The far end of a measurement: an echo for the relay, and a bank core that approves all.

It keeps no books: what is measured is the switch, not its partner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio

from acquirer.bench.children import print_ready
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.codecs.message import Message
from acquirer.config.children import die_with_parent

Handler = Callable[[trio.SocketStream], Awaitable[None]]

FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 8192
ECHOED = (3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 70, 90)


def quiet(serve: Handler) -> Handler:
    """A handler that ends without a word when its peer goes away."""

    async def handler(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await serve(stream)

    return handler


async def echo(stream: trio.SocketStream) -> None:
    """Send every frame back."""
    decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
    async with stream:
        while data := await stream.receive_some(65_536):
            await stream.send_all(b"".join(map(FRAMING.encode, decoder.feed(data))))


async def bank(stream: trio.SocketStream) -> None:
    """Approve every request in the dialect ``iso87_ascii``."""
    dialect = load_dialect("iso87_ascii")
    decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
    async with stream:
        while data := await stream.receive_some(65_536):
            replies = []
            for frame in decoder.feed(data):
                request = dialect.decode(frame)
                if request.mti[2] == "1":
                    continue
                fields = {n: request.fields[n] for n in ECHOED if n in request.fields}
                fields[39] = "00"
                if request.mti == "0200":
                    fields[38] = request.get(11)
                reply = Message(f"{int(request.mti) + 10:04d}", fields)
                replies.append(FRAMING.encode(dialect.encode(reply)))
            await stream.send_all(b"".join(replies))


async def main() -> None:
    """Serve both until the parent ends."""
    async with trio.open_nursery() as nursery:
        ports = []
        for handler in (echo, bank):
            listeners = await nursery.start(
                partial(trio.serve_tcp, quiet(handler), 0, host="127.0.0.1")
            )
            ports.append(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        print_ready(echo=ports[0], bank=ports[1])


if __name__ == "__main__":
    die_with_parent()
    trio.run(main)
