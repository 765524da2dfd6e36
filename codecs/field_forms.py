"""Values whose bytes pyiso8583 can cut but not understand: signs, packed parts, filling.

pyiso8583 gives such a field as text or as hexadecimal; a form turns that into the value, and back.
``dialect_file.py`` chooses the form of a field, ``dialect.py`` applies it.
Source: ISO 8583:1987, 4.2 (x + n); jPOS (IFA_AMOUNT, IFB_AMOUNT, IFE_SIGNED_NUMERIC, IFB_FNUMERIC)
and moov-io/iso8583 (PackedBCDHex, padding), as far as they differ from plain digits and text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

HEX_DIGITS = "0123456789ABCDEF"
_DIGITS = "0123456789"
_ZONES = {"C": "{ABCDEFGHI", "D": "}JKLMNOPQR"}

Side = Literal["left", "right"]


class Form(Protocol):
    """How a value stands in what pyiso8583 reads and writes."""

    def read(self, wire: str) -> str:
        """The value.

        Raises:
            ValueError: it is none; the text says why.
        """
        ...

    def write(self, value: str) -> str:
        """What pyiso8583 is to write.

        Raises:
            ValueError: no such value.
        """
        ...


@dataclass(frozen=True, slots=True)
class WholeBytes:
    """Packed digits whose prefix counts bytes: an odd number of them has a filling nibble.

    A filling 0 cannot be told from a digit and is read as one; F goes.

    Attributes:
        alphabet: what digits there may be.
        side: where the filling nibble stands; ``pad`` is written, ``accepted`` are read.
    """

    alphabet: str
    side: Side
    pad: str
    accepted: str

    def read(self, wire: str) -> str:
        """Without a filling F."""
        edge = wire[:1] if self.side == "left" else wire[-1:]
        if edge and edge in self.accepted and edge not in self.alphabet:
            wire = wire[1:] if self.side == "left" else wire[:-1]
        if wire.strip(self.alphabet):
            raise ValueError("letters in a numeric field")
        return wire

    def write(self, value: str) -> str:
        """With a filling nibble beside an odd number of digits."""
        if value.strip(self.alphabet):
            raise ValueError("letters in a numeric field")
        if len(value) % 2 == 0:
            return value
        return self.pad + value if self.side == "left" else value + self.pad


@dataclass(frozen=True, slots=True)
class Filled:
    """A value with filling, which may be taken off when it is read.

    Attributes:
        fill: one character, or ``F`` behind packed digits.
        side: where it stands.
        size: digits or characters with filling.
        strip: whether it is taken off.
    """

    fill: str
    side: Side
    size: int
    strip: bool

    def read(self, wire: str) -> str:
        """Without the filling where it is taken off."""
        if not self.strip:
            return wire
        return wire.lstrip(self.fill) if self.side == "left" else wire.rstrip(self.fill)

    def write(self, value: str) -> str:
        """With it."""
        if self.read(value) != value:
            raise ValueError(f"begins or ends with {self.fill!r}, which is its filling")
        pad = self.fill * (self.size - len(value))
        return pad + value if self.side == "left" else value + pad


@dataclass(frozen=True, slots=True)
class HexDigits:
    """Digits 0 to 9 and A to F, any number of them."""

    def read(self, wire: str) -> str:
        """In upper case."""
        if wire.strip("0123456789ABCDEFabcdef"):
            raise ValueError("not hexadecimal")
        return wire.upper()

    def write(self, value: str) -> str:
        """As it is read."""
        return self.read(value)


@dataclass(frozen=True, slots=True)
class Signed:
    """An amount with its sign, x + n: ``C`` (credit) or ``D`` (debit) and digits, as text.

    Attributes:
        size: digits without the sign.
        overpunched: the sign stands in the last digit's zone (``{ABC…`` or ``}JKL…``) and not
            before the digits.
    """

    size: int
    overpunched: bool = False

    def read(self, wire: str) -> str:
        """Sign first."""
        if self.overpunched:
            return _checked(_from_zone(wire), self.size)
        return _checked(wire, self.size)

    def write(self, value: str) -> str:
        """As it travels."""
        sign, digits = (value := _checked(value, self.size))[0], value[1:]
        return digits[:-1] + _ZONES[sign][int(digits[-1])] if self.overpunched else value


@dataclass(frozen=True, slots=True)
class SignedPacked:
    """As :class:`Signed`, the sign as one byte of text before packed digits.

    Attributes:
        size: digits without the sign; an odd number has a 0 before it.
        codec: of the sign.
    """

    size: int
    codec: str

    def read(self, wire: str) -> str:
        """Sign first."""
        try:
            sign = bytes.fromhex(wire[:2]).decode(self.codec)
        except ValueError:
            raise ValueError("the sign is C or D") from None
        if self.size % 2 and wire[2:3] != "0":
            raise ValueError("a digit stands where the padding should")
        return _checked(sign + wire[2 + self.size % 2 :], self.size)

    def write(self, value: str) -> str:
        """Hexadecimal of sign and digits."""
        value = _checked(value, self.size)
        return value[0].encode(self.codec).hex().upper() + "0" * (self.size % 2) + value[1:]


def _from_zone(wire: str) -> str:
    for sign, zone in _ZONES.items():
        if wire and wire[-1] in zone:
            return sign + wire[:-1] + str(zone.index(wire[-1]))
    return "C" + wire


def _checked(value: str, size: int) -> str:
    if value[:1] not in ("C", "D"):
        raise ValueError("the sign is C or D")
    if len(value) != size + 1 or value[1:].strip(_DIGITS):
        raise ValueError(f"a sign is followed by {size} digits")
    return value
