"""What can be read of a message that does not decode: each field by itself, as lengths lead.

Fixed lengths and legible length prefixes say where each field begins and ends, whatever is in it.
A field at fault is left out; text that is cut inside a character is read as far as it goes.
``dialect.py`` uses it; nothing here decides which fault a message may have.
Source: ISO 8583:1987, 4.3 and 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import iso8583

from acquirer.codecs.bitmap import BitmapLayout
from acquirer.codecs.dialect_file import Pads
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.reasons import UNDEFINED, reason

_LENGTH_MAX = 9999
_CUT_SHORT = frozenset({"incomplete multibyte sequence", "unexpected end of data"})

Parts = dict[str, dict[str, bytes]]


@dataclass(slots=True)
class Reading:
    """What was read.

    Attributes:
        mti: four digits, or empty.
        fields: data element number → value.
        faults: one for each field that was left out or cut, in the order of the message; last,
            where that is so, why reading ended before the message did.
        broken: field at fault → its bytes, with its length prefix.
        is_whole: whether every length was certain: the fields end with the message's last byte.
        end: bytes from the message's start that were read.
    """

    mti: str = ""
    fields: dict[int, str] = field(default_factory=dict)
    faults: list[RemoteFormatError] = field(default_factory=list)
    broken: dict[int, bytes] = field(default_factory=dict)
    is_whole: bool = False
    end: int = 0


class LooseReader:
    """Reads around faults in one dialect.

    Args:
        spec: the dialect's pyiso8583 specification.
        bitmap: where it stands and how it is written.
        prefix_digits: field → the bytes that its text length prefix is made of.
        decode: reads a whole message strictly.
    """

    def __init__(
        self,
        spec: Mapping[str, dict[str, Any]],
        bitmap: BitmapLayout,
        prefix_digits: Mapping[str, bytes],
        decode: Callable[[bytes], Message],
    ) -> None:
        self._spec = spec
        self._loose = {key: _loose(key, entry) for key, entry in spec.items()}
        self._bitmap = bitmap
        self._prefix_digits = prefix_digits
        self._decode = decode

    def read(self, raw: bytes) -> Reading:
        """Read what can be read.

        Args:
            raw: MTI to last field.
        """
        parts, end = self._split(self._bitmap.with_flag(raw))
        if end and end[0] == "t":
            return Reading(faults=[RemoteFormatError(end[1], field="t", offset=0)])
        head = parts.pop("t", {"data": b""})["data"]
        offset = len(head)
        for key in ("p", "1"):
            offset += len(parts.pop(key, {"data": b""})["data"])
        try:
            mti = self._decode(head + self._bitmap.of(None)).mti
        except RemoteFormatError as error:
            return Reading(faults=[error])
        found = Reading(mti, is_whole=end is None)
        for key, part in parts.items():
            number, body = int(key), part["len"] + part["data"]
            try:
                found.fields |= self._decode(head + self._bitmap.of(number) + body).fields
            except RemoteFormatError as error:
                text = error.text
                codec = self._spec[key]["data_enc"]
                if codec != "b" and (readable := before_cut(part["data"], codec)):
                    found.fields[number], text = readable, "cut inside a character"
                found.faults.append(RemoteFormatError(text, field=key, offset=offset))
                found.broken[number] = body
            offset += len(body)
        found.end = offset
        if end is not None:
            found.faults.append(RemoteFormatError(end[1], field=end[0], offset=offset))
        return found

    def wire_fields(self, raw: bytes) -> dict[int, tuple[bytes, bytes]]:
        """The bytes of each field, as far as lengths lead: length prefix and value."""
        parts, _ = self._split(self._bitmap.with_flag(raw))
        return {
            int(key): (part["len"], part["data"])
            for key, part in parts.items()
            if key not in ("t", "p", "1")
        }

    def _split(self, raw: bytes) -> tuple[Parts, tuple[str, str] | None]:
        """The bytes of each field as far as lengths lead; where that is not to the end, at which
        field they stop, and why."""
        end: tuple[str, str] | None = None
        try:
            parts = iso8583.decode(raw, self._loose)[1]
        except iso8583.DecodeError as error:
            parts = error.doc_enc
            if sum(len(part["len"] + part["data"]) for part in parts.values()) != error.pos:
                parts.pop(error.field, None)
            codec = self._spec[error.field]["data_enc"]
            end = error.field, reason(error.msg, codec, len(raw) - error.pos)
        if "1" in parts and len(parts["1"]["data"]) > self._bitmap.half_size:
            return {key: parts[key] for key in ("t", "p", "1")}, ("65", UNDEFINED)
        legible: Parts = {}
        for key, part in parts.items():
            if part["len"].strip(self._prefix_digits.get(key, part["len"])):
                return legible, (key, "the length is no digits")
            legible[key] = part
        return legible, end


def before_cut(data: bytes, codec: str) -> str:
    """The text before a character that the end of its bytes cuts; empty where it is not that.

    >>> before_cut(bytes.fromhex("C4E3BA"), "gb18030")
    '你'
    """
    try:
        data.decode(codec)
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason in _CUT_SHORT:
            return data[: error.start].decode(codec)
    return ""


def _loose(key: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A field's spec that reads any bytes and any length; MTI and bitmaps stay as they are."""
    if not key.isdigit() or key == "1" or entry["data_enc"] == UNDEFINED:
        return entry
    loose = dict(entry)
    if entry["data_enc"] != "b":
        loose["data_enc"] = "latin-1"
    for side in ("left_pad", "right_pad"):
        if side in entry:
            loose[side] = Pads("0", "0123456789ABCDEF")
    if entry["len_type"]:
        loose["max_len"] = _LENGTH_MAX
    return loose
