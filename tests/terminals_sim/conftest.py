"""A scripted host on in-memory streams: answers as the interface says, or wrongly on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
import trio
import trio.testing

from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import WorkingKeys
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand
from acquirer.config.estate import Card
from acquirer.hsm_sim.crypto import des, mac
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

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
    """Answers 00 to everything; ``script`` holds acts for the next requests, None for usual."""

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

    def answer(self, frame: bytes) -> list[bytes] | None:
        """Frames to send back; None closes."""
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


@pytest.fixture
def card() -> Card:
    """A test card of the demo estate's kind."""
    return Card("alice", "6225882202982730907", "3106", "101", "9918", 500000)


@pytest.fixture
def make_identity() -> Callable[..., Identity]:
    """Makes terminals that differ from the usual one."""

    def make(**changes: Any) -> Identity:
        values = {"terminal_id": "10000001", "merchant_id": "898110053310001", "tmk": TMK}
        return Identity(**{**values, **changes})

    return make


@pytest.fixture
def identity(make_identity: Callable[..., Identity]) -> Identity:
    """The usual terminal: CUP-ECB, GB18030."""
    return make_identity()


@pytest.fixture
def host(identity: Identity) -> FakeHost:
    """The usual host."""
    return FakeHost(identity)


@pytest.fixture
def make_host() -> type[FakeHost]:
    """For tests with a terminal of their own."""
    return FakeHost


@pytest.fixture
def act() -> type[Act]:
    """How to say what the host does next."""
    return Act


@pytest.fixture
def wire() -> Callable[..., Any]:
    """Opens a client and a host on in-memory streams, signed on unless told otherwise."""

    @asynccontextmanager
    async def opened(
        host: FakeHost,
        *,
        saved: TerminalState | None = None,
        sign_on: bool = True,
        refuse: bool = False,
        **options: Any,
    ) -> AsyncIterator[Bench]:
        async with trio.open_nursery() as nursery:

            async def connect() -> trio.abc.Stream:
                if refuse:
                    raise OSError(111, "Connection refused")
                near, far = trio.testing.memory_stream_pair()
                host.connections += 1
                nursery.start_soon(host.serve, far)
                return near

            state = saved or TerminalState(host.identity.terminal_id)
            terminal = Terminal(host.identity, state, today=lambda: date(2026, 11, 21))
            store = MemoryStore()
            async with TerminalClient(terminal, store, TerminalLink(connect), **options) as client:
                if sign_on:
                    assert (await client.sign_on()).approved
                    host.requests.clear()
                yield Bench(host, client, store)
            nursery.cancel_scope.cancel()

    return opened


@pytest.fixture
def signed_on(host: FakeHost) -> Terminal:
    """A terminal without a connection that has keys, at STAN 000002 of batch 000007."""
    terminal = Terminal(
        host.identity,
        TerminalState(host.identity.terminal_id),
        today=lambda: date(2026, 11, 21),
    )
    request = terminal.sign_on()
    answers = host.answer(request.frame)
    assert answers is not None
    assert terminal.take(request, answers[0]) is not None
    host.requests.clear()
    return terminal
