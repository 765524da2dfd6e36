"""An independent DUKPT terminal for tests: keys derived by hand from ANSI X9.24 alone.

Uses nothing of the product, as :mod:`pos_terminal`, whose messages it sends. It derives as the
standards tell a host to, bit by bit from the initial key, on pycryptodome's ciphers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from Crypto.Cipher import AES, DES
from Crypto.Hash import CMAC
from pos_terminal import (
    MAC_SLOT,
    Card,
    PosTerminal,
    Reply,
    WorkKeys,
    de59,
    des,
    message,
    pin_block,
    x919,
    xor,
)

MASK = bytes.fromhex("C0C0C0C000000000C0C0C0C000000000")
NO_KEYS = WorkKeys(b"", b"")


def _aes(key: bytes, data: bytes) -> bytes:
    return bytes(AES.new(key, AES.MODE_ECB).encrypt(data))


@dataclass(frozen=True)
class MessageKeys:
    """The keys of one message."""

    pin: bytes
    request: bytes
    response: bytes


class TdesDukpt:
    """X9.24-1: serial numbers of 10 bytes, the last 21 bits of which count."""

    counter_bits, counts_to = 21, 10

    def __init__(self, bdk: bytes, ksn: bytes) -> None:
        block = ksn[:7] + bytes([ksn[7] & 0xE0])
        self.initial = bytes(des(bdk).encrypt(block) + des(xor(bdk, MASK)).encrypt(block))

    def keys(self, ksn: bytes) -> MessageKeys:
        """PIN key, and the MAC keys of both directions."""
        number = int.from_bytes(ksn[2:], "big")
        counter, register, key = number & 0x1FFFFF, number & ~0x1FFFFF, self.initial
        for bit in range(20, -1, -1):
            if counter >> bit & 1:
                register |= 1 << bit
                key = self._next(key, register.to_bytes(8, "big"))
        variants = [xor(key, bytes.fromhex(v) * 2) for v in (
            "00000000000000FF", "000000000000FF00", "00000000FF000000",
        )]  # fmt: skip
        return MessageKeys(*variants)

    def _next(self, key: bytes, register: bytes) -> bytes:
        def half(used: bytes) -> bytes:
            left, right = used[:8], used[8:]
            return xor(bytes(DES.new(left, DES.MODE_ECB).encrypt(xor(register, right))), right)

        return half(xor(key, MASK)) + half(key)

    def mac(self, key: bytes, data: bytes) -> bytes:
        """The retail MAC."""
        return x919(key, data)


class AesDukpt:
    """X9.24-3 with AES-128: serial numbers of 12 bytes, the last 4 of which count."""

    counter_bits, counts_to = 32, 16

    def __init__(self, bdk: bytes, ksn: bytes) -> None:
        self.initial = _aes(bdk, bytes.fromhex("0101800100020080") + ksn[:8])

    def keys(self, ksn: bytes) -> MessageKeys:
        """PIN key, and one MAC key for both directions."""
        device, counter, key, so_far = ksn[4:8], int.from_bytes(ksn[8:], "big"), self.initial, 0
        for bit in range(31, -1, -1):
            if counter >> bit & 1:
                so_far |= 1 << bit
                head = bytes.fromhex("0101800000020080")
                key = _aes(key, head + device + so_far.to_bytes(4, "big"))
        pin = _aes(key, bytes.fromhex("0101100000020080") + ksn[4:])
        mac = _aes(key, bytes.fromhex("0101200200020080") + ksn[4:])
        return MessageKeys(pin, mac, mac)

    def mac(self, key: bytes, data: bytes) -> bytes:
        """The first half of CMAC."""
        return bytes(CMAC.new(key, data, ciphermod=AES).digest()[:8])


def iso4(key: bytes, pin: str, pan: str = "0" * 12) -> bytes:
    """ISO 9564 format 4, its random digits always the same."""
    field = bytes.fromhex(f"4{len(pin):X}{pin}".ljust(16, "A") + "0123456789ABCDEF")
    number = pan.rjust(12, "0")
    account = bytes.fromhex(f"{len(number) - 12}{number}".ljust(32, "0"))
    return _aes(key, xor(_aes(key, field), account))


@dataclass
class DukptTerminal(PosTerminal):
    """A terminal whose every message is under a key of its own.

    Attributes:
        bdk: the base key, from which its initial key is made.
        initial: its serial number with counter zero.
        counter: of the last message.
        by_counter: the keys of the messages that it has made, for their replies.
    """

    bdk: bytes = b""
    initial: bytes = b""
    counter: int = 0

    def __post_init__(self) -> None:
        kind = TdesDukpt if len(self.initial) == 10 else AesDukpt
        self.dukpt: TdesDukpt | AesDukpt = kind(self.bdk, self.initial)

    @property
    def is_aes(self) -> bool:
        """Whether it is of X9.24-3."""
        return isinstance(self.dukpt, AesDukpt)

    @property
    def ksn(self) -> bytes:
        """The serial number of the last message."""
        size = len(self.initial)
        return (int.from_bytes(self.initial, "big") | self.counter).to_bytes(size, "big")

    def advance(self) -> MessageKeys:
        """The keys of the next message."""
        self.counter += 1
        return self.dukpt.keys(self.ksn)

    def pin_fields(self, pin: str, pan: str = "") -> dict[int, Any]:
        """A PIN under the keys of the message that is made next."""
        key = self.dukpt.keys((int.from_bytes(self.ksn, "big") + 1).to_bytes(len(self.ksn), "big"))
        control = f"{2 if pan else 1}6".ljust(16, "0")
        if not self.is_aes:
            return {52: pin_block(key.pin, pin, pan), 53: control}
        block = iso4(key.pin, pin, pan or "0" * 12)
        return {53: control, 59: de59(PB=block.hex().upper())}

    def card_fields(self, card: Card, pin: str | None) -> dict[int, Any]:
        """As of any terminal."""
        pin = card.pin if pin is None else pin
        fields: dict[int, Any] = {22: "021" if pin else "022", 25: "00", 35: card.track2}
        return fields | ({26: "12", **self.pin_fields(pin, card.pan)} if pin else {})

    def frame(
        self,
        mti: str,
        fields: Mapping[int, str | bytes],
        *,
        mac: bool = True,
        keys: WorkKeys | None = None,
        ksn: bytes | None = None,
    ) -> bytes:
        """A sealed message has its serial number in DE62, ``ksn`` in place of the right one."""
        if not mac:
            return super().frame(mti, fields, mac=False)
        under = self.advance()
        serial = self.ksn if ksn is None else ksn
        own = fields.get(62, b"")
        assert isinstance(own, bytes)
        whole: dict[int, str | bytes] = {
            41: self.terminal_id, 42: self.merchant_id, **fields, 62: serial + own, 64: MAC_SLOT,
        }  # fmt: skip
        if not serial:
            del whole[62]
        data = message(mti, whole)[:-8]
        raw = data + self.dukpt.mac(under.request, data)
        body = self.tpdu + self.header + raw
        return len(body).to_bytes(2, "big") + body

    def courier(self, courier_id: str, password: str, code: str = "402") -> bytes:
        """As of any terminal, the password under the message's own key."""
        fields: dict[int, Any] = {
            11: self.next_stan(), 59: de59(OC=courier_id), 60: f"00{self.batch}{code}",
        }  # fmt: skip
        if code == "402":
            pin = self.pin_fields(password)
            fields |= pin | {59: fields[59] + pin.get(59, b"")}
        return self.frame("0820", fields)

    def take_keys(self, reply: Reply, code: str = "001") -> WorkKeys:
        """A sign-on brings the batch, and nothing else."""
        assert reply.code == "00", reply
        assert 62 not in reply.fields
        self.batch = reply[60][2:8]
        return NO_KEYS

    def sealed(self, reply: Reply, keys: WorkKeys | None = None) -> bool:
        """Whether a reply is under the response key of the last message."""
        under = self.dukpt.keys(self.ksn).response
        return 64 in reply.fields and reply[64] == self.dukpt.mac(under, reply.raw[:-8])

    def copy(self) -> DukptTerminal:
        """The same terminal, counting on its own from here."""
        return replace(self)
