"""The merchant's side of a measurement of orders: every order exists, every notice is taken.

It keeps no books; it notes how old each notice is when it comes, and tells at ``GET /stats``.
Speaks as much HTTP/1.1 as the switch's client uses.
"""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial

import msgspec
import trio

from acquirer.bench.children import print_ready
from acquirer.bench.host import quiet
from acquirer.config.children import die_with_parent

AMOUNT_MINOR = 100
RECEIVE_BYTES = 65_536


class Notice(msgspec.Struct):
    """What is read of a notice."""

    timestamp: str


class Stats(msgspec.Struct):
    """Notices so far, and the age in milliseconds that 99 of 100 did not exceed."""

    events: int
    p99_ms: float


_decode_notice = msgspec.json.Decoder(Notice).decode
_ages_ms: list[float] = []


async def serve(stream: trio.SocketStream) -> None:
    """Answer requests on one connection until it closes."""
    buffer = b""
    async with stream:
        while True:
            while b"\r\n\r\n" not in buffer:
                received = await stream.receive_some(RECEIVE_BYTES)
                if not received:
                    return
                buffer += received
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            start, *lines = head.split(b"\r\n")
            length = 0
            for line in lines:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            while len(buffer) < length:
                buffer += await stream.receive_some(RECEIVE_BYTES)
            body, buffer = buffer[:length], buffer[length:]
            answer = answer_to(start.split(b" ")[1].decode(), body)
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(answer), answer)
            )


def answer_to(path: str, body: bytes) -> bytes:
    """The body of an answer."""
    if path == "/events":
        happened = datetime.fromisoformat(_decode_notice(body).timestamp).timestamp()
        _ages_ms.append((time.time() - happened) * 1000)
        return b"{}"
    if path == "/stats":
        ages = sorted(_ages_ms)
        p99_ms = round(ages[len(ages) * 99 // 100], 1) if ages else 0.0
        return msgspec.json.encode(Stats(len(ages), p99_ms))
    _, _, merchant_id, order_no = path.split("/")
    return msgspec.json.encode(
        {
            "order_no": order_no,
            "merchant_id": merchant_id,
            "status": "00",
            "amount_minor": AMOUNT_MINOR,
            "currency_code": "156",
            "pay_ways": "123",
            "text": "Tea set|Block 9, Unit 1509",
        }
    )


async def main() -> None:
    """Serve until the parent ends."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, quiet(serve), 0, host="127.0.0.1"))
        print_ready(orders=f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")


if __name__ == "__main__":
    die_with_parent()
    trio.run(main)
