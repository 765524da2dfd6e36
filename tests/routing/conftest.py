"""Fakes for bank links: a security module in clear, and a scripted bank on a memory stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio
from certificates import Authority
from trio.testing import memory_stream_pair

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.framing import FrameDecoder
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.config.estate import load_estate
from acquirer.config.tls import TlsSettings
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.kcv import kcv
from acquirer.hsm_sim.crypto.mac import x919
from acquirer.routing.banks.banks import Banks
from acquirer.routing.banks.messages import BankRequest
from acquirer.routing.errors import SecurityUnavailableError
from acquirer.routing.links.shared_link import BankPlace
from acquirer.routing.settings import BankSettings

DIALECT = load_dialect("iso87_ascii")
ECHOED = (3, 4, 7, 11, 32, 37, 41, 42, 49, 70)


@dataclass
class ClearSecurity:
    """A ``LinkSecurity`` whose key strings are clear keys; ``is_down`` makes it refuse."""

    is_down: bool = False
    macs: int = 0

    def _check(self) -> None:
        if self.is_down:
            raise SecurityUnavailableError("down")

    async def import_zpk(self, zmk: str, cryptogram: str) -> tuple[str, str]:
        """Decipher under the clear ZMK."""
        self._check()
        key = des.decrypt_ecb(bytes.fromhex(zmk), bytes.fromhex(cryptogram.removeprefix("X")))
        return key.hex().upper(), kcv(key)

    async def import_zak(self, zmk: str, cryptogram: str) -> tuple[str, str]:
        """As for a ZPK."""
        return await self.import_zpk(zmk, cryptogram)

    async def translate_pin(self, zpk: str, new_zpk: str, pin_block: bytes, account: str) -> bytes:
        """Decipher and encipher: the block stays as it is."""
        self._check()
        clear = des.decrypt_ecb(bytes.fromhex(zpk), pin_block)
        return des.encrypt_ecb(bytes.fromhex(new_zpk), clear)

    async def mac(self, algorithm: str, zak: str, data: bytes) -> bytes:
        """X9.19."""
        self._check()
        self.macs += 1
        return x919(bytes.fromhex(zak), data)

    async def verify(self, algorithm: str, zak: str, data: bytes, mac: bytes) -> bool:
        """Compare with X9.19."""
        return mac == await self.mac(algorithm, zak, data)


@dataclass
class ScriptedBank:
    """The far end of a link: receives and sends single messages."""

    framing: ClassVar[Dialect] = DIALECT

    stream: trio.abc.Stream
    decoder: FrameDecoder = field(default_factory=lambda: FrameDecoder(DIALECT.length_header, 8192))
    received: deque[Message] = field(default_factory=deque)

    async def receive(self) -> Message:
        """The next message from the link."""
        while not self.received:
            chunk = await self.stream.receive_some(65536)
            if not chunk:
                raise EOFError
            for frame in self.decoder.feed(bytes(chunk)):
                self.received.append(DIALECT.decode(self.framing.split_envelope(frame)[1]))
        return self.received.popleft()

    async def send(self, *messages: Message) -> None:
        """Send messages in one write."""
        raws = [DIALECT.encode(message) for message in messages]
        await self.send_frames(*raws)

    async def send_frames(self, *raws: bytes) -> None:
        """Send any bytes as frames."""
        frames = [DIALECT.length_header.encode(self.framing.frame_body(raw)) for raw in raws]
        await self.stream.send_all(b"".join(frames))

    reply_to = staticmethod(lambda request, code, **more: reply_to(request, code, **more))

    async def answer(self, code: str = "00", **more: str) -> Message:
        """Receive one request and answer it; gives the request."""
        request = await self.receive()
        await self.send(reply_to(request, code, **more))
        return request


def reply_to(request: Message, code: str = "00", **more: str) -> Message:
    """A reply with the echoed fields and ``de39=…`` style extras."""
    fields = {n: v for n, v in request.fields.items() if n in ECHOED} | {39: code}
    fields |= {int(name.removeprefix("de")): value for name, value in more.items()}
    return Message(f"{request.mti[:2]}{int(request.mti[2]) + 1}0", fields)


@dataclass
class LinkRig:
    """``Banks`` with one bank, and the scripted ends of the connections that it opens."""

    settings: BankSettings
    security: ClearSecurity = field(default_factory=ClearSecurity)
    unmatched: list[Message] = field(default_factory=list)
    connects: list[float] = field(default_factory=list)
    refuse: int = 0
    near_ends: list[Any] = field(default_factory=list)
    place: BankPlace | None = None

    def __post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)
        place = self.place
        self.banks = Banks(
            [self.settings],
            self.security,
            on_unmatched=lambda _, message: self.unmatched.append(message),
            random=lambda: 0.0,
            wall=lambda: datetime(2026, 6, 4, 12, 34, 56, tzinfo=UTC),
            connect=self._connect,
            place=(lambda _: place) if place else None,
        )

    async def _connect(self, _: BankSettings) -> trio.abc.Stream:
        self.connects.append(trio.current_time())
        if self.refuse:
            self.refuse -= 1
            raise OSError("refused")
        near, far = memory_stream_pair()
        self.near_ends.append(near)
        await self._send.send(far)
        return near

    async def accept(self) -> ScriptedBank:
        """The far end of the next connection."""
        return ScriptedBank(await self._receive.receive())

    async def bring_up(self) -> ScriptedBank:
        """Accept, answer the sign-on, wait until the link is up."""
        bank = await self.accept()
        await bank.answer()
        await self.banks.wait_up(self.settings.name)
        return bank

    def request(self, stan: str = "000017", **changes: Any) -> Any:
        """A sale through the link, to be awaited."""
        deadline = trio.current_time() + changes.pop("timeout_s", 3.0)
        return self.banks.request("demo", sale(stan, **changes), deadline)

    @property
    def counters(self) -> Any:
        """The link's counters now."""
        return self.banks.states()[0].counters


def sale(stan: str = "000017", **changes: Any) -> BankRequest:
    """A sale of 12.50."""
    values: dict[str, Any] = {
        "kind": BankMessage.SALE,
        "rrn": f"615512{stan}",
        "stan": stan,
        "transmission_at": "0604123456",
        "local_time": "203456",
        "local_date": "0604",
        "acquirer_id": "00085500",
        "terminal_id": "10000001",
        "merchant_id": "898110053310001",
        "pan": Pan("6225882202982730907"),
        "amount_minor": 1250,
        "entry_mode": "021",
        "mcc": "4215",
    }
    values |= changes
    return BankRequest(**{**values, "kind": BankMessage(values["kind"])})


@pytest.fixture
def clear_security() -> ClearSecurity:
    """A security module whose keys are clear."""
    return ClearSecurity()


@pytest.fixture
def make_sale() -> Callable[..., BankRequest]:
    """Builds a sale of 12.50."""
    return sale


@pytest.fixture
def reply_of() -> Callable[..., Message]:
    """Builds a reply to a message."""
    return reply_to


@pytest.fixture
def framed_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the scripted bank frame its messages as a dialect file says."""
    return lambda path: monkeypatch.setattr(ScriptedBank, "framing", load_dialect(path))


@pytest.fixture
def make_rig() -> Callable[..., LinkRig]:
    """Builds a link to a scripted bank."""

    def make(place: BankPlace | None = None, **changes: Any) -> LinkRig:
        values: dict[str, Any] = {
            "name": "demo",
            "address": "bank.test:1",
            "acquirer_id": "00085500",
            "timeout_s": 3.0,
            "zpk": "UZPK",
            "zmk": load_estate().banks[0].zmk,
        }
        return LinkRig(BankSettings(**(values | changes)), place=place)

    return make


@pytest.fixture
def scripted_bank() -> Callable[[trio.abc.Stream], ScriptedBank]:
    """The far end of a stream."""
    return ScriptedBank


@pytest.fixture
def certificates(tmp_path: Path) -> Callable[[str], TlsSettings]:
    """Makes the certificates of ends that trust one authority."""
    return Authority(tmp_path)
