"""Why a message does not fit its dialect, in words of the message.

pyiso8583 says it in words of its own ("field t", "nibbles"); this is the one place that knows them.
What it says that is not in the table passes as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

UNDEFINED = "not part of this dialect"
_UNITS = {"bytes": "bytes", "nibbles": "digits"}
_Rule = tuple[re.Pattern[str], Callable[[re.Match[str], str, int], str]]


def reason(text: str, codec: str = "", left: int = 0) -> str:
    """A fault in a received message.

    Args:
        text: what pyiso8583 says.
        codec: the field's encoding; UNDEFINED of a field that the dialect does not have.
        left: bytes from the fault to the message's end.

    >>> reason("Field data is 2 bytes, expecting 8")
    '8 bytes are needed, 2 follow'
    """
    return UNDEFINED if codec == UNDEFINED else _said(_RECEIVED, text, codec, left)


def reason_ours(text: str, codec: str = "") -> str:
    """A fault in a value that we were to send.

    >>> reason_ours("Field data is 3 nibbles, expecting 4")
    '3 digits, 4 are needed'
    """
    return _said(_SENT, text, codec, 0)


def _said(rules: tuple[_Rule, ...], text: str, codec: str, left: int) -> str:
    for pattern, words in rules:
        if found := pattern.match(text):
            return words(found, codec, left)
    return text


def _too_short(found: re.Match[str], _codec: str, _left: int) -> str:
    size, unit, needed = int(found[1]), _UNITS[found[2]], int(found[3])
    if size > needed:
        return "a digit stands where the padding should"
    return f"{needed} {unit} are needed, {size} follow"


def _too_long(found: re.Match[str], _codec: str, _left: int) -> str:
    return f"{found[1]} {_UNITS[found[2]]}, at most {found[3]} are allowed"


_LARGER = re.compile(r"Field data is (\d+) (bytes|nibbles), larger than maximum (\d+)"), _too_long
_RECEIVED: tuple[_Rule, ...] = (
    (re.compile(r"Field data is (\d+) (bytes|nibbles), expecting (\d+)"), _too_short),
    _LARGER,
    (
        re.compile(r"Field length is (\d+) bytes wide, expecting (\d+)"),
        lambda found, _codec, _left: f"the length takes {found[2]} bytes, {found[1]} follow",
    ),
    (
        re.compile(r"Failed to decode field length"),
        lambda _found, _codec, _left: "the length is no digits",
    ),
    (
        re.compile(r"Failed to decode field, invalid data"),
        lambda _found, codec, _left: f"no text in {codec}",
    ),
    (
        re.compile(r"Failed to decode field, non-hex data"),
        lambda _found, _codec, _left: "not hexadecimal",
    ),
    (
        re.compile(r"Extra data after last field"),
        lambda _found, _codec, left: f"bytes left over behind it: {left}",
    ),
)
_SENT: tuple[_Rule, ...] = (
    (
        re.compile(r"Field data is (\d+) (bytes|nibbles), expecting (\d+)"),
        lambda found, _codec, _left: f"{found[1]} {_UNITS[found[2]]}, {found[3]} are needed",
    ),
    _LARGER,
    (
        re.compile(r"Failed to encode field, invalid data"),
        lambda _found, codec, _left: f"cannot be written in {codec}",
    ),
    (
        re.compile(r"Failed to encode field, (non-hex|odd-length hex) data"),
        lambda _found, _codec, _left: "not hexadecimal",
    ),
)
