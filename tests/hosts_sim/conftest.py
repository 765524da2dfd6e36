"""A bank core simulator on a memory stream, and the messages to ask it with."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from acquirer.codecs.bank_fields import De90
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.framing import FrameDecoder
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.config.estate import Card, load_estate
from acquirer.hosts_sim.bank.report import totals, transactions
from acquirer.hosts_sim.bank.server import BankSim, open_bank
from acquirer.hosts_sim.bank.settings import BankSimSettings
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.pinblock import encode_iso0

DIALECT = load_dialect("iso87_ascii")
BANK = load_estate().banks[0]
AT = "0604123456"


def card(name: str = "alice") -> Card:
    """A card of the demo estate."""
    return next(card for card in load_estate().cards if card.name == name)


def pin_block(pin: str, of: Card, zpk: bytes | None = None) -> str:
    """DE52 under the bank's ZPK, or another key."""
    block = encode_iso0(pin, Pan(of.pan).account_number)
    return des.encrypt_ecb(zpk or bytes.fromhex(BANK.zpk), block).hex().upper()


def sale(stan: int = 1, amount_minor: int = 1250, of: Card | None = None, **more: str) -> Message:
    """A sale; ``de52=…`` and the like add or change fields, an empty value takes one out."""
    of = of or card()
    fields = {
        2: of.pan,
        3: "000000",
        4: f"{amount_minor:012d}",
        7: AT,
        11: f"{stan:06d}",
        12: "203456",
        13: "0604",
        14: of.expiry,
        32: "00085500",
        37: f"{stan:012d}",
        41: "10000001",
        42: "898110053310001",
        49: "156",
    }
    return _changed(Message("0200", fields), more)


def undo(original: Message, stan: int, mti: str, **more: str) -> Message:
    """A void (0200), refund (0220), reversal (0400) or inquiry (0600) of a message."""
    fields = {n: v for n, v in original.fields.items() if n not in (14, 52, 53, 54)}
    fields |= {11: f"{stan:06d}", 37: f"{stan:012d}"}
    fields[90] = De90.of(original.mti, original.get(11), original.get(7), original.get(32)).format()
    if mti in ("0200", "0220"):
        fields[3] = "200000"
    if mti == "0600":
        fields[3] = "330000"
    return _changed(Message(mti, fields), more)


def _changed(message: Message, more: dict[str, str]) -> Message:
    for name, value in more.items():
        message.fields[int(name.removeprefix("de"))] = value
    message.fields = {n: v for n, v in message.fields.items() if v}
    return message


@dataclass
class Desk:
    """A link to the simulator from the acquirer's side."""

    bank: BankSim
    stream: trio.abc.Stream
    folder: Path
    decoder: FrameDecoder = field(default_factory=lambda: FrameDecoder(DIALECT.length_header, 8192))
    received: deque[Message] = field(default_factory=deque)
    inquiries: int = 900_000

    async def send(self, *messages: Message) -> None:
        """Send messages in one write."""
        await self.send_frames(*(DIALECT.encode(message) for message in messages))

    async def send_frames(self, *raws: bytes) -> None:
        """Send any bytes as frames."""
        await self.stream.send_all(b"".join(DIALECT.length_header.encode(raw) for raw in raws))

    async def receive(self) -> Message:
        """The next message from the bank."""
        while not self.received:
            chunk = await self.stream.receive_some(65536)
            if not chunk:
                raise EOFError
            self.received.extend(DIALECT.decode(f) for f in self.decoder.feed(bytes(chunk)))
        return self.received.popleft()

    async def ask(self, message: Message) -> Message:
        """Send one message and take the next that comes."""
        await self.send(message)
        return await self.receive()

    async def code(self, message: Message) -> str:
        """DE39 of the reply to one message."""
        return (await self.ask(message)).get(39)

    def rows(self) -> list[dict[str, Any]]:
        """The bank's transactions."""
        with transactions(self.folder) as found:
            return list(found["transactions"])

    def states(self) -> list[str]:
        """The states of the bank's transactions, oldest first."""
        return [row["state"] for row in self.rows()]

    def totals(self) -> dict[str, Any]:
        """The bank's totals."""
        figures: dict[str, Any] = totals(self.folder)["totals"]
        return figures

    async def balance(self, of: Card | None = None) -> int:
        """A card's balance by a balance inquiry."""
        self.inquiries += 1
        reply = await self.ask(sale(self.inquiries, 0, of, de3="310000", de4=""))
        return int(reply.get(54)[8:20])


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Desk]]:
    """Opens a simulator on the test's folder; settings as keyword arguments."""

    @asynccontextmanager
    async def opened(
        *,
        inline: bool = True,
        wall: Callable[[], datetime] = lambda: datetime(2026, 6, 4, 20, 34, 56),
        **settings: Any,
    ) -> AsyncIterator[Desk]:
        folder = tmp_path / "bank"
        values = BankSimSettings(data=str(folder), **settings)
        async with (
            open_bank(values, inline=inline, wall=wall) as bank,
            trio.open_nursery() as nursery,
        ):
            near, far = memory_stream_pair()
            nursery.start_soon(bank.serve_stream, far)
            yield Desk(bank, near, folder)
            nursery.cancel_scope.cancel()

    return opened


@pytest.fixture(scope="session")
def messages() -> Any:
    """The builders of this file: ``sale``, ``undo``, ``card``, ``pin_block``."""

    return SimpleNamespace(sale=sale, undo=undo, card=card, pin_block=pin_block)
