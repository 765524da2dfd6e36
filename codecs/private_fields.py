"""The terminal interface's fields with a shape of their own: DE48, 53, 54, 60, 61, 62.

Each is a frozen value with ``parse`` (from the text that ``Message`` holds) and ``format``.
``parse`` raises ``RemoteFormatError`` with a path such as ``60.3``, ``format`` raises
``LocalFormatError``. DE59 has a module of its own, the bank link's fields are in
``bank_fields``. Source: docs/interfaces/terminal.md, parts 2 to 4.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

import msgspec

from acquirer.codecs.errors import LocalFormatError, RemoteFormatError
from acquirer.codecs.parts import amount_digits, cut, is_digits, join

_DE60 = (2, 6, 3, 1, 1, 1, 3)
_DE61 = (6, 6, 4, 2, 11)
_DE48_HALF = (12, 3, 12, 3, 1)


class De60(msgspec.Struct, frozen=True):
    """DE60 n..17: what kind of message this is. It may end after any part from ``batch`` on.

    >>> De60.parse("00000519003").network_code
    '003'
    >>> De60("22", "000705").format()
    '22000705'
    """

    transaction_type: str
    batch: str
    network_code: str = ""
    terminal_capability: str = ""
    ic_condition: str = ""
    partial_approval: str = ""
    account_type: str = ""

    @classmethod
    def parse(cls, value: str) -> De60:
        """Read 8 to 17 digits."""
        return cls(*cut(value, _DE60, "60", parts_min=2))

    def format(self) -> str:
        """The digits of DE60."""
        return join(msgspec.structs.astuple(self), _DE60, "60", parts_min=2)


@dataclass(frozen=True, slots=True)
class De61:
    """DE61 n..29: which transaction this one refers to. It may end after any part.

    ``original_date`` is MMDD.
    """

    original_batch: str
    original_stan: str = ""
    original_date: str = ""
    auth_mode: str = ""
    institution: str = ""

    @classmethod
    def parse(cls, value: str) -> De61:
        """Read 6 to 29 digits."""
        return cls(*cut(value, _DE61, "61", parts_min=1))

    def format(self) -> str:
        """The digits of DE61."""
        return join(astuple(self), _DE61, "61", parts_min=1)


class De53(msgspec.Struct, frozen=True):
    """DE53 n16 of a terminal or of a bank's card message: how PIN and tracks are protected.

    Attributes:
        pin_format: 2 with PAN, 1 without, 0 no PIN.
        algorithm: 0 single DES, 6 double-length TDES.
        tracks_encrypted: whether DE35 and DE36 are under the track key.

    >>> De53(2, 6).format()
    '2600000000000000'
    """

    pin_format: int = 0
    algorithm: int = 0
    tracks_encrypted: bool = False

    @classmethod
    def parse(cls, value: str) -> De53:
        """Read 16 digits; those after the third have no meaning here and are not looked at."""
        cut(value, (16,), "53", parts_min=1)
        if value[0] not in "012":
            raise RemoteFormatError("the PIN format is 0, 1 or 2", field="53.1")
        if value[1] not in "06":
            raise RemoteFormatError("the algorithm is 0 or 6", field="53.2")
        if value[2] not in "01":
            raise RemoteFormatError("the track digit is 0 or 1", field="53.3")
        return cls(int(value[0]), int(value[1]), value[2] == "1")

    def format(self) -> str:
        """The 16 digits of DE53."""
        if self.pin_format not in (0, 1, 2) or self.algorithm not in (0, 6):
            raise LocalFormatError("no such PIN format or algorithm", field="53")
        return f"{self.pin_format}{self.algorithm}{int(self.tracks_encrypted)}".ljust(16, "0")


@dataclass(frozen=True, slots=True)
class Balance:
    """One item of DE54, 20 characters: an account's balance.

    Attributes:
        account_type: 2 characters, as in DE3.
        amount_type: ``01`` ledger balance, ``02`` available balance, ….
        currency_code: 3 characters.
        amount_minor: minor units; a debit balance (``D``) is negative.

    >>> Balance("10", "02", "156", -1250).format()
    '1002156D000000001250'
    """

    account_type: str
    amount_type: str
    currency_code: str
    amount_minor: int

    @classmethod
    def parse(cls, item: str) -> Balance:
        """Read one item."""
        if len(item) != 20:
            raise RemoteFormatError("a balance is 20 characters", field="54")
        sign, digits = item[7], item[8:]
        if sign not in "CD":
            raise RemoteFormatError("the sign is C or D", field="54.4")
        if not is_digits(digits):
            raise RemoteFormatError("the amount is 12 digits", field="54.5")
        amount_minor = int(digits) if sign == "C" else -int(digits)
        return cls(item[:2], item[2:4], item[4:7], amount_minor)

    def format(self) -> str:
        """The 20 characters of this item."""
        head = self.account_type + self.amount_type + self.currency_code
        if len(self.account_type) != 2 or len(self.amount_type) != 2 or len(head) != 7:
            raise LocalFormatError("account type 2, amount type 2, currency 3", field="54")
        sign = "D" if self.amount_minor < 0 else "C"
        return head + sign + amount_digits(abs(self.amount_minor), 12, "54.5")


def parse_balances(value: str) -> tuple[Balance, ...]:
    """All items of a DE54 (terminals: one at most, banks: six at most); none where it is empty."""
    if len(value) > 120:
        raise RemoteFormatError("more than six balances", field="54")
    return tuple(Balance.parse(value[at : at + 20]) for at in range(0, len(value), 20))


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """One half of a settlement's DE48: sums of one batch, amounts in minor units.

    Attributes:
        flag: 0 in a request; in a reply 1 balanced, 2 not.
    """

    debit_minor: int = 0
    debit_count: int = 0
    credit_minor: int = 0
    credit_count: int = 0
    flag: int = 0

    def _format(self) -> str:
        values = (
            self.debit_minor,
            self.debit_count,
            self.credit_minor,
            self.credit_count,
            self.flag,
        )
        return "".join(
            amount_digits(value, size, "48") for value, size in zip(values, _DE48_HALF, strict=True)
        )


@dataclass(frozen=True, slots=True)
class SettlementTotals:
    """DE48 n62 of a settlement (0500, 0510): domestic cards, then foreign cards.

    >>> SettlementTotals(BatchTotals(11011, 1, 2002, 1)).format()[:31]
    '0000000110110010000000020020010'
    """

    domestic: BatchTotals = BatchTotals()
    foreign: BatchTotals = BatchTotals()

    @classmethod
    def parse(cls, value: str) -> SettlementTotals:
        """Read 62 digits."""
        parts = cut(value, _DE48_HALF * 2, "48", parts_min=10)
        numbers = [int(part) for part in parts]
        return cls(BatchTotals(*numbers[:5]), BatchTotals(*numbers[5:]))

    def format(self) -> str:
        """The 62 digits of DE48."""
        return self.domestic._format() + self.foreign._format()


@dataclass(frozen=True, slots=True)
class WorkingKeys:
    """DE62 of a sign-on reply: working keys under the TMK, each with its KCV of 4 bytes.

    Keys are cryptograms, 8 bytes (single) or 16 (double); ``track_key`` is empty but for 004.
    A single-length MAC key among double ones is followed by 8 zero bytes on the wire.
    """

    pin_key: bytes = field(repr=False)
    pin_kcv: bytes
    mac_key: bytes = field(repr=False)
    mac_kcv: bytes
    track_key: bytes = field(default=b"", repr=False)
    track_kcv: bytes = b""

    @classmethod
    def parse(cls, value: bytes, network_code: str) -> WorkingKeys:
        """Read 24 (60.3 = 001), 40 (003) or 60 (004) bytes.

        Raises:
            RemoteFormatError: another length, or a code that brings no keys.
        """
        size = _key_bytes(network_code)
        count = 3 if network_code == "004" else 2
        step = size + 4
        if not size or len(value) != step * count:
            text = f"{len(value)} bytes are no keys of network code {network_code}"
            raise RemoteFormatError(text, field="62")
        found = [
            (value[at : at + size], value[at + size : at + step])
            for at in range(0, len(value), step)
        ]
        (pin_key, pin_kcv), (mac_key, mac_kcv) = found[:2]
        track_key, track_kcv = found[2] if count == 3 else (b"", b"")
        if size == 16 and not any(mac_key[8:]):
            mac_key = mac_key[:8]
        return cls(pin_key, pin_kcv, mac_key, mac_kcv, track_key, track_kcv)

    def format(self, network_code: str) -> bytes:
        """The bytes of DE62 for this network management code.

        Raises:
            LocalFormatError: a key or KCV of the wrong length, or a code that brings no keys.
        """
        size = _key_bytes(network_code)
        mac_key = self.mac_key
        if size == 16 and len(mac_key) == 8:
            mac_key += bytes(8)
        keys = [(self.pin_key, self.pin_kcv), (mac_key, self.mac_kcv)]
        if network_code == "004":
            keys.append((self.track_key, self.track_kcv))
        elif self.track_key:
            raise LocalFormatError("a track key needs network code 004", field="62")
        if not size or any(len(key) != size or len(kcv) != 4 for key, kcv in keys):
            text = f"keys or KCVs of a length that network code {network_code} does not have"
            raise LocalFormatError(text, field="62")
        return b"".join(key + kcv for key, kcv in keys)


def _key_bytes(network_code: str) -> int:
    return {"001": 8, "003": 16, "004": 16}.get(network_code, 0)
