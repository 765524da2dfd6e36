"""An independent POS terminal for tests: bytes by hand, from the terminal interface alone.

Uses nothing of the product: BCD packing, bitmaps, MACs and PIN blocks are written here once more,
on pycryptodome's ciphers, so that a mistake in the product's codecs cannot hide itself.
Start at :class:`PosTerminal` (makes requests) and :class:`Line` (a connection).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio
from Crypto.Cipher import DES, DES3

# Field → (kind, size): n/N = BCD padded left/right, a = characters, b = bytes; L2 and L3 are
# length prefixes of 1 and 2 BCD bytes.
FIELDS: dict[int, tuple[str, int]] = {
    2: ("nL2", 19),
    3: ("n", 6),
    4: ("n", 12),
    11: ("n", 6),
    12: ("n", 6),
    13: ("n", 4),
    14: ("n", 4),
    15: ("n", 4),
    22: ("N", 3),
    23: ("n", 3),
    25: ("n", 2),
    26: ("n", 2),
    32: ("nL2", 11),
    35: ("nL2", 37),
    36: ("nL3", 104),
    37: ("a", 12),
    38: ("a", 6),
    39: ("a", 2),
    41: ("a", 8),
    42: ("a", 15),
    44: ("aL2", 25),
    48: ("nL3", 322),
    49: ("a", 3),
    52: ("b", 8),
    53: ("n", 16),
    54: ("aL3", 20),
    55: ("bL3", 255),
    58: ("bL3", 100),
    59: ("bL3", 600),
    60: ("nL3", 17),
    61: ("nL3", 29),
    62: ("bL3", 512),
    63: ("aL3", 163),
    64: ("b", 8),
}
MAC_SLOT = bytes(8)
WAIT_S = 300.0


class Card(Protocol):
    """What a card brings, and the PIN that its holder knows."""

    @property
    def pan(self) -> str:
        """The account number."""

    @property
    def track2(self) -> str:
        """The stripe."""

    @property
    def pin(self) -> str:
        """Digits."""

    @property
    def expiry(self) -> str:
        """YYMM."""


def pack(number: int, value: str | bytes) -> bytes:
    """One data element as it stands in a message."""
    kind, size = FIELDS[number]
    if isinstance(value, bytes):
        body, units = value, len(value)
    elif kind[0] in "nN":
        units = len(value)
        digits = value if units % 2 == 0 else ("0" + value if kind == "n" else value + "0")
        body = bytes.fromhex(digits)
    else:
        body, units = value.encode("latin-1"), len(value)
    if kind.endswith("L2"):
        return bytes.fromhex(f"{units:02d}") + body
    if kind.endswith("L3"):
        return bytes.fromhex(f"{units:04d}") + body
    assert units == size, f"DE{number} has {units} units"
    return body


def unpack(raw: bytes) -> tuple[str, dict[int, Any]]:
    """MTI and data elements; digits and characters as text, ``b`` fields as bytes."""
    mti, bitmap, at = raw[:2].hex(), int.from_bytes(raw[2:10], "big"), 10
    fields: dict[int, Any] = {}
    for number in range(2, 65):
        if not bitmap >> (64 - number) & 1:
            continue
        kind, units = FIELDS[number]
        if "L" in kind:
            prefix = 1 if kind.endswith("L2") else 2
            units, at = int(raw[at : at + prefix].hex()), at + prefix
        size = (units + 1) // 2 if kind[0] in "nN" else units
        body, at = raw[at : at + size], at + size
        assert len(body) == size, f"DE{number} is cut off"
        if kind[0] == "b":
            fields[number] = body
        elif kind[0] == "a":
            fields[number] = body.decode("latin-1")
        else:
            left = kind == "N" or "L" in kind
            fields[number] = body.hex()[:units] if left else body.hex()[len(body) * 2 - units :]
    assert at == len(raw), f"{len(raw) - at} bytes too many"
    return mti, fields


def message(mti: str, fields: Mapping[int, str | bytes]) -> bytes:
    """MTI, bitmap and fields."""
    bitmap = sum(1 << (64 - number) for number in fields)
    body = b"".join(pack(number, fields[number]) for number in sorted(fields))
    return bytes.fromhex(mti) + bitmap.to_bytes(8, "big") + body


def des(key: bytes) -> Any:
    """A DES or TDES cipher in ECB by the key's length."""
    return DES.new(key, DES.MODE_ECB) if len(key) == 8 else DES3.new(key, DES3.MODE_ECB)


def xor(one: bytes, other: bytes) -> bytes:
    """Byte by byte."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def blocks_of(data: bytes) -> list[bytes]:
    """Eight bytes each, the last one filled with zeros."""
    return [data[at : at + 8].ljust(8, b"\0") for at in range(0, len(data), 8)]


def cup_ecb(key: bytes, data: bytes) -> bytes:
    """The ECB MAC of part 3, eight ASCII bytes."""
    total = bytes(8)
    for block in blocks_of(data):
        total = xor(total, block)
    text = total.hex().upper().encode()
    first = des(key).encrypt(text[:8])
    second = des(key).encrypt(xor(first, text[8:]))
    return bytes(second.hex().upper().encode()[:8])


def x919(key: bytes, data: bytes) -> bytes:
    """ANSI X9.19 retail MAC, eight bytes."""
    total = bytes(8)
    for block in blocks_of(data):
        total = DES.new(key[:8], DES.MODE_ECB).encrypt(xor(total, block))
    if len(key) == 8:
        return total
    middle = DES.new(key[8:16], DES.MODE_ECB).decrypt(total)
    return bytes(DES.new(key[:8], DES.MODE_ECB).encrypt(middle))


def cmac(key: bytes, data: bytes) -> bytes:
    """CMAC of SP 800-38B over TDES, eight bytes."""
    first = _doubled(bytes(des(key).encrypt(bytes(8))))
    parts = [data[at : at + 8] for at in range(0, len(data), 8)] or [b""]
    if len(parts[-1]) == 8:
        parts[-1] = xor(parts[-1], first)
    else:
        parts[-1] = xor((parts[-1] + b"\x80").ljust(8, b"\0"), _doubled(first))
    total = bytes(8)
    for part in parts:
        total = bytes(des(key).encrypt(xor(total, part)))
    return total


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    reduced = number & (1 << 64) - 1 ^ (0x1B if number >> 64 else 0)
    return reduced.to_bytes(8, "big")


MACS = {"cup_ecb": cup_ecb, "x919": x919, "cmac": cmac}


def pin_block(key: bytes, pin: str, pan: str = "") -> bytes:
    """ISO 9564 format 0 under the PIN key; zeros for the PAN where there is none."""
    account = pan[:-1][-12:] if pan else "0" * 12
    clear = xor(
        bytes.fromhex(f"0{len(pin):X}{pin}".ljust(16, "F")), bytes.fromhex("0000" + account)
    )
    return bytes(des(key).encrypt(clear))


def sealed_track(key: bytes, track: str) -> str:
    """Track 2 with the 16 digits enciphered that end before its last one or two."""
    end = len(track) - 1 - (len(track) + 1) % 2
    middle = bytes(des(key).encrypt(bytes.fromhex(track[end - 16 : end]))).hex().upper()
    return track[: end - 16] + middle + track[end:]


@dataclass(frozen=True)
class Reply:
    """A reply as it came."""

    tpdu: bytes
    header: bytes
    mti: str
    fields: dict[int, Any]
    raw: bytes

    def __getitem__(self, number: int) -> Any:
        return self.fields[number]

    def get(self, number: int) -> Any:
        """A field's value, or the empty string."""
        return self.fields.get(number, "")

    @property
    def code(self) -> str:
        """DE39."""
        return str(self.get(39))

    @property
    def demand(self) -> int:
        """Processing demand of the header: its sixth digit."""
        return int(self.header.hex()[5])

    @property
    def items(self) -> dict[str, bytes]:
        """DE59 by tag."""
        found, rest = {}, self.get(59) or b""
        while rest:
            size = int(rest[2:5])
            found[rest[:2].decode()] = rest[5 : 5 + size]
            rest = rest[5 + size :]
        return found

    def without(self, *numbers: int) -> dict[int, Any]:
        """The fields but for these."""
        return {n: v for n, v in self.fields.items() if n not in numbers}

    @classmethod
    def of(cls, frame: bytes) -> Reply:
        """Take a frame's body apart."""
        return cls(frame[:5], frame[5:11], *unpack(frame[11:]), frame[11:])


@dataclass(frozen=True)
class WorkKeys:
    """Working keys in clear."""

    pin: bytes
    mac: bytes
    track: bytes = b""


def de59(**items: str) -> bytes:
    """Tagged items in GB18030."""
    encoded = [(tag, text.encode("gb18030")) for tag, text in items.items()]
    return b"".join(b"%b%03d%b" % (tag.encode(), len(text), text) for tag, text in encoded)


@dataclass
class PosTerminal:
    """Makes requests and checks replies; the sockets are :class:`Line`'s.

    Attributes:
        keys: those of the newest sign-on, for new requests.
        stan: the last one used.
    """

    terminal_id: str
    merchant_id: str
    tmk: bytes
    mac: str = "cup_ecb"
    keys: WorkKeys = WorkKeys(b"", b"")
    batch: str = "000001"
    stan: int = 0
    tpdu: bytes = field(default=bytes.fromhex("6000030102"))
    header: bytes = field(default=bytes.fromhex("603100310000"))

    def next_stan(self) -> str:
        """A STAN not used before."""
        self.stan += 1
        return f"{self.stan:06d}"

    def frame(
        self,
        mti: str,
        fields: Mapping[int, str | bytes],
        *,
        mac: bool = True,
        keys: WorkKeys | None = None,
    ) -> bytes:
        """Length, TPDU, header and message, with terminal, merchant and MAC filled in."""
        fields = {41: self.terminal_id, 42: self.merchant_id, **fields}
        if mac:
            data = message(mti, {**fields, 64: MAC_SLOT})[:-8]
            raw = data + MACS[self.mac]((keys or self.keys).mac, data)
        else:
            raw = message(mti, fields)
        body = self.tpdu + self.header + raw
        return len(body).to_bytes(2, "big") + body

    # --- requests -----------------------------------------------------------------------------

    def sign_on(self, code: str = "003", **more: str) -> bytes:
        """0800; ``take_keys`` reads the reply."""
        return self.frame("0800", {11: self.next_stan(), 60: f"00{self.batch}{code}"}, mac=False)

    def echo(self) -> bytes:
        """0820 with network code 301, without STAN."""
        return self.frame("0820", {60: f"00{self.batch}301"}, mac=False)

    def sign_off(self) -> bytes:
        """0820 with network code 002."""
        return self.frame("0820", {11: self.next_stan(), 60: f"00{self.batch}002"}, mac=False)

    def card_fields(self, card: Card, pin: str | None) -> dict[int, str | bytes]:
        """What a swiped card with a PIN brings; ``pin`` empty: none, None: the card's."""
        pin = card.pin if pin is None else pin
        fields: dict[int, str | bytes] = {22: "021" if pin else "022", 25: "00", 35: card.track2}
        if pin:
            algorithm = "6" if len(self.keys.pin) == 16 else "0"
            block = pin_block(self.keys.pin, pin, card.pan)
            fields |= {26: "12", 52: block, 53: f"2{algorithm}".ljust(16, "0")}
        if self.keys.track:
            fields[35] = sealed_track(self.keys.track, card.track2)
            fields[53] = f"{2 if pin else 0}61".ljust(16, "0")
        return fields

    def chip_fields(self, card: Card, amount_minor: int, **changed: bytes | None) -> dict[int, Any]:
        """What a chip brings: DE22, DE23 and DE55 with all that an online authorisation wants.

        Args:
            changed: objects by tag, such as ``x9F02``; None leaves one out.
        """
        objects: dict[str, bytes | None] = {
            "9F26": bytes(range(8)),
            "9F27": b"\x80",
            "9F10": bytes.fromhex("06010A03A00000"),
            "9F37": bytes.fromhex("52BF4585"),
            "9F36": bytes.fromhex("001F"),
            "95": bytes(5),
            "9A": bytes.fromhex("261130"),
            "9C": b"\x00",
            "9F02": bytes.fromhex(f"{amount_minor:012d}"),
            "5F2A": bytes.fromhex("0156"),
            "82": bytes.fromhex("7C00"),
            "9F1A": bytes.fromhex("0156"),
            "9F33": bytes.fromhex("E0F8C8"),
            "9F34": bytes.fromhex("420300"),
        }
        objects.update((tag[1:], value) for tag, value in changed.items())
        icc = b"".join(
            bytes.fromhex(tag) + bytes([len(value)]) + value
            for tag, value in objects.items()
            if value is not None
        )
        return {2: card.pan, 22: "052", 23: "001", 55: icc}

    def script_result(self, sale: Reply, left_out: str = "", **changed: Any) -> bytes:
        """0620 about a sale; ``changed`` has fields by number, such as ``x37``."""
        objects = {
            "DF31": bytes.fromhex("2000000001"),
            "9F10": bytes.fromhex("06010A03A00000"),
            "9F36": bytes.fromhex("001F"),
            "95": bytes(5),
        }
        icc = b"".join(
            bytes.fromhex(tag) + bytes([len(value)]) + value
            for tag, value in objects.items()
            if tag != left_out
        )
        fields: dict[int, Any] = {
            3: "000000",
            11: self.next_stan(),
            37: sale[37],
            55: icc,
            60: f"00{self.batch}95150",
            61: f"{self.batch}{sale[11]}{sale[13]}",
        }
        fields |= {int(key[1:]): value for key, value in changed.items()}
        return self.frame("0620", fields)

    def sale_fields(
        self, card: Card, amount_minor: int, *, stan: str = "", pin: str | None = None
    ) -> dict[int, str | bytes]:
        """A sale without MAC, to change before it is framed."""
        return {
            3: "000000",
            4: f"{amount_minor:012d}",
            11: stan or self.next_stan(),
            49: "156",
            60: f"22{self.batch}00020",
            **self.card_fields(card, pin),
        }

    def sale(self, card: Card, amount_minor: int, **more: Any) -> bytes:
        """0200, type 22."""
        return self.frame("0200", self.sale_fields(card, amount_minor, **more))

    def balance(self, card: Card, **more: Any) -> bytes:
        """0200, DE3 310000, type 01."""
        fields = self.sale_fields(card, 0, **more) | {3: "310000", 60: f"01{self.batch}00020"}
        del fields[4]
        return self.frame("0200", fields)

    def instalment(self, card: Card, amount_minor: int, terms: bytes | None, **more: Any) -> bytes:
        """0200, type 22, with DE25 64 and DE62."""
        fields = self.sale_fields(card, amount_minor, **more) | {25: "64"}
        return self.frame("0200", fields | ({} if terms is None else {62: terms}))

    def code_sale(
        self,
        code: str,
        amount_minor: int,
        *,
        stan: str = "",
        more: Mapping[int, str | bytes] | None = None,
    ) -> bytes:
        """0200, type 22, with a code in DE59 that a customer shows; no card."""
        fields = self._cardless(amount_minor, stan) | {59: de59(A3=code)}
        return self.frame("0200", {**fields, **(more or {})})

    def mail_sale(self, card: Card, amount_minor: int, cvn2: str, **more: Any) -> bytes:
        """0200, type 22, with DE25 08, the card keyed in, and its CVN2 in DE59, if any."""
        fields = self._mailed(card, self.sale_fields(card, amount_minor, pin="", **more))
        return self.frame("0200", fields | ({59: de59(CV=cvn2)} if cvn2 else {}))

    def _mailed(self, card: Card, fields: Mapping[int, str | bytes]) -> dict[int, str | bytes]:
        keyed: dict[int, str | bytes] = {2: card.pan, 14: card.expiry, 22: "012", 25: "08"}
        return {number: value for number, value in fields.items() if number != 35} | keyed

    def _cardless(self, amount_minor: int, stan: str = "") -> dict[int, str | bytes]:
        return {
            3: "000000",
            4: f"{amount_minor:012d}",
            11: stan or self.next_stan(),
            22: "032",
            25: "00",
            49: "156",
            60: f"22{self.batch}00050",
        }

    def _shown(
        self, card: Card | None, amount_minor: int, condition: str, **more: Any
    ) -> dict[int, str | bytes]:
        """What a void or refund says of the card: swiped, keyed in (08), or none there."""
        if card is None:
            return self._cardless(amount_minor, **more) | {25: condition}
        fields = self.sale_fields(card, amount_minor, pin="", **more) | {25: condition}
        return self._mailed(card, fields) if condition == "08" else fields

    def void(
        self,
        card: Card | None,
        amount_minor: int,
        original: Reply,
        condition: str = "00",
        **more: Any,
    ) -> bytes:
        """0200, DE3 200000, type 23, of the sale with this reply."""
        fields = self._shown(card, amount_minor, condition, **more) | {
            3: "200000",
            37: original[37],
            38: original.get(38) or "000000",
            60: f"23{self.batch}00020",
            61: f"{self.batch}{original[11]}{original[13]}",
        }
        return self.frame("0200", fields)

    def refund(
        self,
        card: Card | None,
        amount_minor: int,
        original: Reply | None = None,
        condition: str = "00",
        **more: Any,
    ) -> bytes:
        """0220, DE3 200000, type 25, of the sale with this reply; of none, with zeros in DE61."""
        fields = self._shown(card, amount_minor, condition, **more) | {
            3: "200000",
            60: f"25{self.batch}00020",
            61: "0" * 16,
            63: "000",
        }
        if original is not None:
            fields |= {
                37: original[37],
                38: original[38],
                61: f"{self.batch}{original[11]}{original[13]}",
            }
        return self.frame("0220", fields)

    def offline_sale(
        self, card: Card, amount_minor: int, code: str = "A1B2C3", mode: str = "01", **more: Any
    ) -> bytes:
        """0220, DE3 000000, type 30, with an approval code."""
        fields = self.sale_fields(card, amount_minor, pin="", **more) | {
            38: code,
            60: f"30{self.batch}00020",
            61: "0" * 16 + mode + "0" * 11,
        }
        return self.frame("0220", fields)

    def preauth(self, card: Card, amount_minor: int, **more: Any) -> bytes:
        """0100, DE3 030000, type 10."""
        fields = self.sale_fields(card, amount_minor, **more) | {
            3: "030000",
            25: "06",
            60: f"10{self.batch}00050",
        }
        return self.frame("0100", fields)

    def about(
        self,
        what: str,
        card: Card,
        amount_minor: int,
        original: Reply,
        changes: Mapping[int, str | bytes | None] | None = None,
    ) -> bytes:
        """What names a pre-authorisation, or a completion, by the reply that it got.

        Args:
            what: ``preauth_void``, ``completion``, ``completion_advice`` or ``completion_void``.
            changes: fields that are otherwise; None leaves one out.
        """
        mti, processing_code, kind = {
            "preauth_void": ("0100", "200000", "11"),
            "completion": ("0200", "000000", "20"),
            "completion_advice": ("0220", "000000", "24"),
            "completion_void": ("0200", "200000", "21"),
        }[what]
        fields = self.sale_fields(card, amount_minor, pin="") | {
            3: processing_code,
            25: "06",
            37: original[37],
            38: original[38],
            60: f"{kind}{self.batch}00050",
            61: f"{original[60][2:8]}{original[11]}{original[13]}",
            **(changes or {}),
        }
        return self.frame(mti, {n: value for n, value in fields.items() if value is not None})

    def tip(
        self,
        card: Card,
        sale_minor: int,
        tip_minor: int,
        original: Reply,
        changes: Mapping[int, str | bytes] | None = None,
    ) -> bytes:
        """0220, DE3 000000, type 34, of the sale with this reply."""
        fields = self.sale_fields(card, sale_minor + tip_minor, pin="") | {
            37: original[37],
            38: original[38],
            48: f"{tip_minor:012d}",
            60: f"34{self.batch}00050",
            61: f"{self.batch}{original[11]}{original[13]}",
            **(changes or {}),
        }
        return self.frame("0220", fields)

    def reversal(self, frame: bytes, reason: str = "98") -> bytes:
        """0400 of the request in ``frame``: its STAN, DE3, DE4, DE25 and DE60."""
        original = Reply.of(frame[2:])
        kept: dict[int, str | bytes] = {
            n: original[n] for n in (2, 3, 4, 11, 22, 25, 49, 60) if n in original.fields
        }
        return self.frame("0400", kept | {39: reason})

    def settlement(
        self,
        debit: tuple[int, int] = (0, 0),
        credit: tuple[int, int] = (0, 0),
        *,
        mac: bool = False,
    ) -> bytes:
        """0500 of this batch: amount and count of each, all with domestic cards."""
        sums = f"{debit[0]:012d}{debit[1]:03d}{credit[0]:012d}{credit[1]:03d}0" + "0" * 31
        fields = {11: self.next_stan(), 48: sums, 60: f"00{self.batch}201"}
        return self.frame("0500", fields, mac=mac)

    def upload(self, *items: tuple[str, str, int], mac: bool = False) -> bytes:
        """0320 with items: STAN, card number and amount of each."""
        listed = "".join(f"00{stan}{pan:0>20}{amount:012d}" for stan, pan, amount in items)
        fields = {11: self.next_stan(), 48: f"{len(items):02d}{listed}", 60: f"00{self.batch}201"}
        return self.frame("0320", fields, mac=mac)

    def upload_end(self, count: int, code: str = "202", *, mac: bool = False) -> bytes:
        """0320 that closes the batch; 207 where it is balanced."""
        fields = {11: self.next_stan(), 48: f"{count:04d}", 60: f"00{self.batch}{code}"}
        return self.frame("0320", fields, mac=mac)

    def courier(self, courier_id: str, password: str, code: str = "402") -> bytes:
        """0820 with 60.3 = 402 or 403, sealed."""
        fields: dict[int, str | bytes] = {
            11: self.next_stan(),
            59: de59(OC=courier_id),
            60: f"00{self.batch}{code}",
        }
        if code == "402":
            fields[52] = pin_block(self.keys.pin, password)
            fields[53] = "1600000000000000"
        return self.frame("0820", fields)

    def order(
        self,
        mti: str,
        processing_code: str,
        kind: str,
        items: bytes,
        fields: Mapping[int, str | bytes] | None = None,
        *,
        stan: str = "",
    ) -> bytes:
        """An order transaction of part 5 with its items and whatever else it carries."""
        return self.frame(
            mti,
            {
                3: processing_code,
                11: stan or self.next_stan(),
                49: "156",
                59: items,
                60: f"{kind}{self.batch}000",
                **(fields or {}),
            },
        )

    # --- replies ------------------------------------------------------------------------------

    def take_keys(self, reply: Reply, code: str = "003") -> WorkKeys:
        """Check a sign-on's reply, decipher its keys and use them from now on."""
        assert reply.code == "00", reply
        size = 8 if code == "001" else 16
        parts = reply[62]
        keys = []
        for at in range(0, len(parts), size + 4):
            sealed, kcv = parts[at : at + size], parts[at + size : at + size + 4]
            if size == 16 and at == size + 4 and not any(sealed[8:]):
                sealed = sealed[:8]
            key = des(self.tmk).decrypt(sealed)
            assert des(key).encrypt(bytes(8))[:4] == kcv, "wrong KCV"
            keys.append(key)
        self.keys = WorkKeys(*keys)
        self.batch = reply[60][2:8]
        return self.keys

    def sealed(self, reply: Reply, keys: WorkKeys | None = None) -> bool:
        """Whether a reply's MAC is right under the keys of its request."""
        return 64 in reply.fields and reply[64] == MACS[self.mac](
            (keys or self.keys).mac, reply.raw[:-8]
        )


@dataclass
class Line:
    """One connection of a terminal.

    Error handling: ``receive`` raises EOFError where the switch has closed.
    """

    stream: trio.abc.Stream
    buffer: bytes = b""

    @classmethod
    async def open(cls, address: str) -> Line:
        """Connect to ``host:port``."""
        host, _, port = address.rpartition(":")
        return cls(await trio.open_tcp_stream(host, int(port)))

    async def send(self, *frames: bytes) -> None:
        """Send frames in one write."""
        await self.stream.send_all(b"".join(frames))

    async def receive(self) -> Reply:
        """The next reply."""
        with trio.fail_after(WAIT_S):
            while len(self.buffer) < 2 or len(self.buffer) < 2 + int.from_bytes(
                self.buffer[:2], "big"
            ):
                data = await self.stream.receive_some(65536)
                if not data:
                    raise EOFError
                self.buffer += data
        end = 2 + int.from_bytes(self.buffer[:2], "big")
        frame, self.buffer = self.buffer[2:end], self.buffer[end:]
        return Reply.of(frame)

    async def ask(self, frame: bytes) -> Reply:
        """Send one request and receive one reply."""
        await self.send(frame)
        return await self.receive()

    async def finish(self) -> None:
        """Say that no more requests come; replies may."""
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()

    async def is_closed(self) -> bool:
        """Wait until the switch closes without a further byte."""
        with trio.fail_after(WAIT_S):
            try:
                return await self.stream.receive_some(1) == b""
            except trio.BrokenResourceError:
                return True

    async def aclose(self) -> None:
        """Hang up."""
        await self.stream.aclose()

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self.stream)
