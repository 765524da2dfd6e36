"""A scripted host on in-memory streams: answers as the interface says, or wrongly on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio
import trio.testing

from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import WorkingKeys
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand
from acquirer.hsm_sim.crypto import des, mac
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.store import MemoryStore

TMK = bytes.fromhex("541FD3BC64F46273C7CEA83B9767CDAB")
PIN_KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
MAC_KEY = bytes.fromhex("C24A8FB57AA20123133457799BBCDFF1")
TRACK_KEY = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
MACS: dict[str, Callable[[bytes, bytes], bytes]] = {"cup_ecb": mac.cup_ecb, "x919": mac.x919}
ECHOED = (2, 3, 4, 11, 25, 41, 42, 49, 60)


def kcv(key: bytes) -> bytes:
    """First 4 bytes of eight zero bytes under the key."""
    return des.encrypt_ecb(key, bytes(8))[:4]


@dataclass
class Act:
    """How to answer one request otherwise than usual."""

    fields: dict[int, str] = field(default_factory=dict)
    drop: bool = False
    close: bool = False
    mac: str = "good"
    demand: ProcessingDemand = ProcessingDemand.NOTHING
    remove: tuple[int, ...] = ()
    before: tuple[bytes, ...] = ()
    mti: str = ""


class FakeHost:
    """Answers 00 to everything; ``script`` holds acts for the next requests, None for usual.

    Attributes:
        answer: gives the frames to send back, or None to close; a test may put itself before it.
    """

    def __init__(self, identity: Identity, batch: str = "000007") -> None:
        self.identity = identity
        self.batch = batch
        self.mac_key = MAC_KEY
        self.pin_key = PIN_KEY
        self.script: deque[Act | None] = deque()
        self.requests: list[Message] = []
        self.envelopes: list[PosEnvelope] = []
        self.connections = 0
        self.order_fields: dict[str, str] = {}
        self.amount_due = ""
        self.answer: Callable[[bytes], list[bytes] | None] = self._usual

    def wrapped(self, network_code: str) -> WorkingKeys:
        """DE62 for a sign-on."""
        double = network_code != "001"
        pin_key, mac_key = (k if double else k[:8] for k in (self.pin_key, self.mac_key))
        extra = (des.encrypt_ecb(TMK, TRACK_KEY), kcv(TRACK_KEY)) if network_code == "004" else ()
        self.live_mac_key = mac_key
        return WorkingKeys(
            des.encrypt_ecb(TMK, pin_key),
            kcv(pin_key),
            des.encrypt_ecb(TMK, mac_key),
            kcv(mac_key),
            *extra,
        )

    def replies(self, frame: bytes) -> list[bytes]:
        """The frames that it sends back; it must not close."""
        answers = self.answer(frame)
        assert answers is not None
        return answers

    def _usual(self, frame: bytes) -> list[bytes] | None:
        dialect = load_dialect("cup_pos")
        envelope, raw = PosEnvelope.split(frame)
        message = dialect.decode(raw)
        self.requests.append(message)
        self.envelopes.append(envelope)
        act = (self.script.popleft() if self.script else None) or Act()
        if act.close:
            return None
        if act.drop:
            return list(act.before)
        fields = {n: message.fields[n] for n in ECHOED if n in message.fields}
        fields |= {12: "101500", 13: "1121", 37: f"{len(self.requests):012d}", 39: "00"}
        code = message.fields[60][8:11]
        if message.mti == "0200":
            fields[38] = f"A{len(self.requests):05d}"
        if message.mti == "0800":
            fields[60] = message.fields[60][:2] + self.batch + code
            fields[62] = self.wrapped(code).format(code).hex().upper()
        if message.fields[60][:2] == "71":
            fields[4] = self.amount_due
            fields[59] = De59.build(self.order_fields).hex
        fields |= act.fields
        fields = {n: v for n, v in fields.items() if n not in act.remove}
        reply = Message(act.mti or f"{int(message.mti) + 10:04d}", fields)
        if 64 in message.fields and act.mac != "none":
            fields[64] = "00" * 8
        out = dialect.encode(reply)
        if 64 in fields:
            key = self.live_mac_key
            value = MACS[self.identity.mac](key, dialect.mac_input(out))
            if act.mac == "bad":
                value = bytes(byte ^ 1 for byte in value)
            out = dialect.with_mac(out, value)
        return [*act.before, bytes(envelope.reply(act.demand)) + out]

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer on one connection until it ends."""
        header, decoder = LengthHeader(), FrameDecoder(LengthHeader(), 4096)
        async with stream:
            async for data in stream:
                for frame in decoder.feed(bytes(data)):
                    answers = self.answer(frame)
                    if answers is None:
                        return
                    for answer in answers:
                        await stream.send_all(header.encode(answer))


@dataclass
class Bench:
    """A terminal client wired to a fake host."""

    host: FakeHost
    client: TerminalClient
    store: MemoryStore

    @property
    def sent(self) -> list[str]:
        """MTI, DE60.1 and STAN of every request that reached the host."""
        return [f"{m.mti}.{m.get(60)[:2]}.{m.get(11)}" for m in self.host.requests]
