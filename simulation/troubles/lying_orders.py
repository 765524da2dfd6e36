"""An order system that drips its answers, cuts them to pieces, nests them and lies.

An answer in thousands of pieces is given up, for whoever reads it serves nobody else meanwhile; one
that cannot be true is no answer; nothing of it reaches a terminal's screen that would steer it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import CodecError
from acquirer.codecs.message import Message
from acquirer.simulation.network import SimStream
from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "orders_lie"
# Nobody's answer comes in so many pieces; reading one takes some 10 µs.
PIECES = 20_000
DRIP_S = 0.03
DEPTH = 20_000
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
STEERING = "a\x1b[2J\u202eb\x85[red]c"
LIES: dict[str, dict[str, Any]] = {
    "another order": {"order_no": "00000000"},
    "another merchant": {"merchant_id": "000000000000000"},
    "less than nothing": {"amount_minor": -500},
    "more than there is": {"amount_minor": 10**15},
    "a part of a unit": {"amount_minor": 5.5},
    "a text as amount": {"amount_minor": "500"},
    "a status that is none": {"status": "77"},
    "a currency that is none": {"currency_code": "¹⁵⁶"},
    "a way that is none": {"pay_ways": "9"},
    "nothing": {"amount_minor": None},
}


class LyingOrders(Trouble):
    """The order system of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._findings: list[str] = []
        self._encodings = {player.me.terminal_id: player.me.encoding for player in world.players}
        self._forms: dict[str, Callable[[bytes, bytes], bytes]] = {
            "in pieces": _in_pieces,
            "interim answers": lambda head, body: INTERIM * PIECES + head + body,
            "nested": lambda head, body: _with_body(head, _nested(body)),
            "steering": lambda head, body: _with_body(head, _changed(body, {"text": STEERING})),
            "no JSON": lambda head, body: _with_body(head, b"\xff\xfe" + body),
        }
        world.serve_orders = self._serve
        world.auditor.told.append(self._told)

    def findings(self) -> Iterable[str]:
        """What was believed."""
        yield from self._findings
        orders = self.world.orders.store.connection
        for merchant_id, order_no, amount_minor, currency_code in self.world.auditor.rows(
            "SELECT merchant_id, order_no, amount_minor, currency_code FROM orders"
        ):
            true = orders.execute(
                "SELECT amount_minor, currency_code FROM orders"
                " WHERE merchant_id = ? AND order_no = ?",
                (merchant_id, order_no),
            ).fetchone()
            # Of an order that is paid in parts, less is due.
            is_true = true is not None and 0 <= int(str(amount_minor)) <= true[0]
            if not is_true or true[1] != currency_code:
                yield (
                    f"order {order_no}: of {amount_minor} {currency_code} here,"
                    f" {true} at the order system"
                )

    def finished(self, request: bytes) -> None:
        """The switch uses a connection again whose last answer came in thousands of pieces."""
        path = request.split(b"\r\n", 1)[0].decode("latin-1")
        self._findings.append(f"orders: an answer in {PIECES} pieces was taken before {path}")

    def form_of_next(self) -> str:
        """What becomes of the next answer; empty for nothing."""
        faults = self.world.faults
        if not faults.strikes(KIND):
            return ""
        form = faults.choice(KIND, ("drip", *self._forms, *LIES))
        self.world.trace.note("orders", f"answers with {form}")
        return form

    def as_form(self, form: str, head: bytes, body: bytes) -> bytes:
        """An answer in this form."""
        if form in LIES:
            return _with_body(head, _changed(body, LIES[form]))
        return self._forms[form](head, body)

    async def _serve(self, stream: SimStream) -> None:
        await self.world.orders.serve(_Lying(self, stream))

    def _told(self, message: Message) -> None:
        encoding = self._encodings.get(message.get(41))
        if encoding is None or not message.get(59):
            return
        try:
            text = De59.parse(message.binary(59)).text("OT", encoding)
        except CodecError:
            return
        if any(unicodedata.category(one) in ("Cc", "Cf") for one in text):
            self._findings.append(f"text: terminal {message.get(41)} shows {text!r}")


class _Lying(trio.abc.Stream):
    """A connection of the order system's whose answers are changed on their way out."""

    def __init__(self, trouble: LyingOrders, stream: SimStream) -> None:
        self._trouble = trouble
        self._stream = stream
        self._is_query = self._is_flooded = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """A request."""
        data = await self._stream.receive_some(max_bytes)
        if data and self._is_flooded:
            self._is_flooded = False
            self._trouble.finished(data)
        self._is_query = data.startswith((b"GET ", b"POST /orders "))
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """An answer; only those to queries can be lies."""
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        form = self._trouble.form_of_next()
        if form == "drip":
            for at in range(len(data)):
                await self._stream.send_all(data[at : at + 1])
                await trio.sleep(DRIP_S)
            return
        is_flood = form in ("in pieces", "interim answers")
        if form and (self._is_query or is_flood) and body.startswith(b"{"):
            data = self._trouble.as_form(form, head + b"\r\n\r\n", body)
            self._is_flooded = is_flood
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """It never blocks."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()


def _in_pieces(head: bytes, body: bytes) -> bytes:
    """The same answer with blanks after it, each in a chunk of its own."""
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    chunked = b"\r\n".join((lines[0], b"transfer-encoding: chunked", *lines[1:]))
    first = b"%x\r\n%b\r\n" % (len(body), body)
    return chunked + first + b"1\r\n \r\n" * PIECES + b"0\r\n\r\n"


def _with_body(head: bytes, body: bytes) -> bytes:
    lines = [
        b"content-length: %d" % len(body) if line.lower().startswith(b"content-length") else line
        for line in head.split(b"\r\n")
    ]
    return b"\r\n".join(lines) + body


def _changed(body: bytes, members: dict[str, Any]) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body) | members)


def _nested(body: bytes) -> bytes:
    return body[:-1] + b',"more":' + b"[" * DEPTH + b"]" * DEPTH + b"}"
