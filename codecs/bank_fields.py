"""The bank link's fields with a shape of their own: DE90 and DE48/DE53 of a key exchange.

``parse`` raises ``RemoteFormatError``, ``format`` raises ``LocalFormatError``.
Source: docs/interfaces/bank-link.md, "Life of a link" and "Messages"; ISO 8583:1987 (DE90).
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, field

from acquirer.codecs.errors import LocalFormatError, RemoteFormatError
from acquirer.codecs.parts import cut, join

_DE90 = (4, 6, 10, 11, 11)
_KEY = re.compile(r"(X?[0-9A-F]{32})([0-9A-F]{6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class De90:
    """DE90 n42: the original transaction's data elements.

    Attributes:
        mti: 4 digits.
        stan: 6 digits.
        transmission_at: DE7 of the original, MMDDhhmmss.
        acquirer_id: DE32, 11 digits, zero-filled on the left; :meth:`of` fills.
        forwarder_id: DE33, likewise.

    >>> De90.of("0200", "000017", "0604123456", "12345").format()
    '020000001706041234560000001234500000000000'
    """

    mti: str
    stan: str
    transmission_at: str
    acquirer_id: str
    forwarder_id: str = "00000000000"

    @classmethod
    def of(
        cls, mti: str, stan: str, transmission_at: str, acquirer_id: str, forwarder_id: str = ""
    ) -> De90:
        """From the original's values, the institutions' ids filled to 11 digits."""
        return cls(mti, stan, transmission_at, acquirer_id.zfill(11), forwarder_id.zfill(11))

    @classmethod
    def parse(cls, value: str) -> De90:
        """Read 42 digits."""
        return cls(*cut(value, _DE90, "90", parts_min=5))

    def format(self) -> str:
        """The 42 digits of DE90."""
        return join(astuple(self), _DE90, "90", parts_min=5)


@dataclass(frozen=True, slots=True)
class BankKeys:
    """DE48 and DE53 of a key exchange (0800, DE70=101): new zone keys under the ZMK.

    Keys are 32 hexadecimal digits under scheme X, with or without the letter; the KCV of 6 digits
    follows each. DE53's first digit tells which keys DE48 brings: 1 ZPK, 2 ZAK, 3 both, ZPK
    first; its second is 6, double length. A key that is not exchanged is empty.
    """

    zpk: str = field(default="", repr=False)
    zpk_kcv: str = ""
    zak: str = field(default="", repr=False)
    zak_kcv: str = ""

    @classmethod
    def parse(cls, de48: str, de53: str) -> BankKeys:
        """Read one key or both.

        Args:
            de48: one or two times (``X`` and) 32 hexadecimal digits and 6 of the KCV.
            de53: 16 digits; only looked at where there is one key.

        Raises:
            RemoteFormatError: no keys in DE48, or DE53 does not tell which one it is.
        """
        keys: list[tuple[str, str]] = []
        at = 0
        while at < len(de48) and len(keys) < 2:
            found = _KEY.match(de48, at)
            if not found:
                break
            keys.append(("X" + found[1].upper().removeprefix("X"), found[2].upper()))
            at = found.end()
        if not keys or de48[at:].strip():
            raise RemoteFormatError("no keys under scheme X with 6-digit KCVs", field="48")
        if len(keys) == 2:
            return cls(*keys[0], *keys[1])
        if de53[:1] not in ("1", "2"):
            raise RemoteFormatError("one key, and the first digit is neither 1 nor 2", field="53")
        return cls(*keys[0]) if de53[0] == "1" else cls("", "", *keys[0])

    def format(self) -> tuple[str, str]:
        """DE48 and DE53.

        Raises:
            LocalFormatError: no key, or a key or KCV of another shape.
        """
        keys = [(k, c) for k, c in ((self.zpk, self.zpk_kcv), (self.zak, self.zak_kcv)) if k]
        texts = ["X" + key.removeprefix("X") + kcv for key, kcv in keys]
        if not keys or not all(_KEY.fullmatch(text) for text in texts):
            raise LocalFormatError("a key is X and 32 hexadecimal digits, its KCV 6", field="48")
        which = (1 if self.zpk else 0) + (2 if self.zak else 0)
        return "".join(texts).upper(), f"{which}6".ljust(16, "0")
