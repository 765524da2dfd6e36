"""Track 2 as a value that masks itself.

Layout: PAN, separator, expiry YYMM (or a separator), service code n3 (or a separator),
discretionary digits. The separator is ``D`` in BCD and often ``=`` in text; both are read.
Source: ISO/IEC 7813, 8.2 (track 2); DE35 of ISO 8583:1987.
"""

from __future__ import annotations

import msgspec

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.pan import Pan
from acquirer.codecs.parts import is_digits

DIGITS_MAX = 38
CHIP_SERVICE = ("2", "6")
CIPHERED_DIGITS = 16


def ciphered_part(track: str) -> slice:
    """Where a terminal's track is enciphered: 16 digits, then the last one, or the last two.

    Args:
        track: digits and separators; an odd number of them leaves one in clear behind, an even
            number two.

    Raises:
        RemoteFormatError: it is too short for that.

    >>> ciphered_part("6225880000000007D30121010000000000")
    slice(16, 32, None)
    """
    end = len(track) - (1 if len(track) % 2 else 2)
    if end < CIPHERED_DIGITS:
        raise RemoteFormatError("too short for an enciphered track", field="35")
    return slice(end - CIPHERED_DIGITS, end)


class Track2(msgspec.Struct, frozen=True):
    """One track 2; only :attr:`pan`'s masked form shows in ``repr`` and ``str``.

    Attributes:
        expiry: YYMM, or empty where the track has a separator instead.
        service_code: 3 digits, or empty likewise.
        discretionary: the rest, digits.

    >>> track = Track2.parse("6225880000000007D30121010000000000")
    >>> track, track.expiry, track.service_code
    (Track2('622588******0007D*'), '3012', '101')
    """

    pan: Pan
    expiry: str
    service_code: str
    discretionary: str = ""

    @classmethod
    def parse(cls, value: str) -> Track2:
        """Read a track 2 without sentinels.

        Raises:
            RemoteFormatError: no separator, no PAN of 8 to 19 digits, no digits, too long.
        """
        if len(value) > DIGITS_MAX:
            raise RemoteFormatError(f"more than {DIGITS_MAX} digits", field="35")
        digits, separator, rest = value.replace("=", "D").partition("D")
        if not separator:
            raise RemoteFormatError("no separator", field="35")
        if not (is_digits(digits) and 8 <= len(digits) <= 19):
            raise RemoteFormatError("the card number is 8 to 19 digits", field="35.1")
        expiry, rest = _part(rest, 4, "35.2")
        service_code, rest = _part(rest, 3, "35.3")
        if rest and not is_digits(rest.replace("D", "0")):
            raise RemoteFormatError("the discretionary part holds digits only", field="35.4")
        return cls(Pan(digits), expiry, service_code, rest)

    def format(self, separator: str = "D") -> str:
        """The whole track in clear, for the wire only."""
        text = "D".join((self.pan.digits, self.expiry or "D")) + (self.service_code or "D")
        return (text + self.discretionary).replace("D", separator)

    @property
    def has_chip(self) -> bool:
        """Whether its service code says that the card has a chip (first digit 2 or 6)."""
        return self.service_code[:1] in CHIP_SERVICE

    @property
    def masked(self) -> str:
        """The masked PAN and ``D*``."""
        return f"{self.pan.masked}D*"

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"Track2({self.masked!r})"


def _part(rest: str, size: int, path: str) -> tuple[str, str]:
    if rest[:1] == "D":
        return "", rest[1:]
    part = rest[:size]
    if len(part) != size or not is_digits(part):
        raise RemoteFormatError(f"must be {size} digits or a separator", field=path)
    return part, rest[size:]
