"""Text encodings and length prefixes that Python has no name for, as codecs of our own.

pyiso8583 reads text, and every length that is neither BCD nor binary, by the name of a text
encoding. So EBCDIC 1047, lengths in hexadecimal, and lengths that count other units than the bytes
behind them are registered here under names of ours, and it needs to know nothing of them.
Source: ISO 8583:1987, 4.3; docs/dialects.md; the prefixers of jPOS and moov-io/iso8583, and IBM
code page 1047 beside 037.
"""

from __future__ import annotations

import _codecs
from typing import Any

EBCDIC1047 = "acquirer_cp1047"
_LENGTHS = "acquirer_length_"
# Where the two code pages differ: byte and character of 1047.
_ONLY_1047 = {
    **{0x15: "\n", 0x25: "\x85", 0x5F: "^", 0xAD: "[", 0xB0: "¬", 0xBA: "Ý"},
    **{0xBB: "¨", 0xBD: "]"},
}
_DECODING = "".join(
    _ONLY_1047.get(code, character)
    for code, character in enumerate(bytes(range(256)).decode("cp037"))
)
_ENCODING = _codecs.charmap_build(_DECODING)


def length_codec(style: str, *, per_unit: int = 1) -> str:
    """The name of a codec that reads a length as decimal digits of what pyiso8583 counts.

    Args:
        style: ``hex`` (hexadecimal digits), ``bcd``, ``binary`` or the codec of decimal digits.
        per_unit: how many of those one unit of the prefix is: 2 where it counts bytes that are
            written as two characters each.

    >>> b"1A".decode(length_codec("hex")), b"08".decode(length_codec("ascii", per_unit=2))
    ('26', '16')
    >>> "26".encode(length_codec("hex")), "16".encode(length_codec("bcd", per_unit=2))
    (b'1A', b'\\x00\\x08')
    """
    return f"{_LENGTHS}{per_unit}_{style.replace('-', '')}"


def _search(name: str) -> Any:
    if name == EBCDIC1047:
        return _of_1047()
    if not name.startswith(_LENGTHS):
        return None
    per_unit, _, style = name.removeprefix(_LENGTHS).partition("_")
    return _of_lengths(style, int(per_unit))


def _of_1047() -> Any:
    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        return _codecs.charmap_encode(text, errors, _ENCODING)

    def decode(data: Any, errors: str = "strict") -> tuple[str, int]:
        return _codecs.charmap_decode(data, errors, _DECODING)

    return encode, decode, None, None


def _of_lengths(style: str, per_unit: int) -> Any:
    def encode(text: str, _errors: str = "strict") -> tuple[bytes, int]:
        units, rest = divmod(int(text), per_unit)
        if rest:
            raise ValueError("part of a unit")
        width = len(text)
        if style == "binary":
            return units.to_bytes(width, "big"), width
        if style == "bcd":
            return bytes.fromhex(f"{units:0{2 * width}d}"), width
        if style == "hex":
            return f"{units:0{width}X}".encode("ascii"), width
        return f"{units:0{width}d}".encode(style), width

    def decode(data: Any, _errors: str = "strict") -> tuple[str, int]:
        raw = bytes(data)
        if style == "binary":
            units = int.from_bytes(raw, "big")
        else:
            digits = (
                raw.hex() if style == "bcd" else raw.decode("ascii" if style == "hex" else style)
            )
            if digits.strip("0123456789" + ("ABCDEFabcdef" if style == "hex" else "")):
                raise ValueError("no digits")
            units = int(digits, 16 if style == "hex" else 10)
        return str(units * per_unit), len(raw)

    return encode, decode, None, None


_codecs.register(_search)
