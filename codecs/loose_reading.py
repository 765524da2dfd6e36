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

_LENGTH_MAX = 9999
_CUT_SHORT = frozenset({"incomplete multibyte sequence", "unexpected end of data"})

Parts = dict[str, dict[str, bytes]]


@dataclass(slots=True)
class Reading:
    """What was read.

    Attributes:
        mti: four digits, or empty.
        fields: data element number → value.
        faults: one for each field that was left out or cut, in the order of the message.
        is_whole: whether every length was certain: the fields end with the message's last byte.
    """

    mti: str = ""
    fields: dict[int, str] = field(default_factory=dict)
    faults: list[RemoteFormatError] = field(default_factory=list)
    is_whole: bool = False


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
        parts, is_whole = self._split(self._bitmap.with_flag(raw))
        head = parts.pop("t", {"data": b""})["data"]
        offset = len(head)
        for key in ("p", "1"):
            offset += len(parts.pop(key, {"data": b""})["data"])
        try:
            found = Reading(self._decode(head + self._bitmap.of(None)).mti, is_whole=is_whole)
        except RemoteFormatError:
            return Reading()
        for key, part in parts.items():
            number, body = int(key), part["len"] + part["data"]
            try:
                found.fields |= self._decode(head + self._bitmap.of(number) + body).fields
            except RemoteFormatError as error:
                text = error.text
                if readable := self._before_cut(key, part["data"]):
                    found.fields[number], text = readable, "cut inside a character"
                found.faults.append(RemoteFormatError(text, field=key, offset=offset))
            offset += len(body)
        return found

    def _split(self, raw: bytes) -> tuple[Parts, bool]:
        """The bytes of each field as far as lengths lead, and whether that is to the end."""
        try:
            parts, is_whole = iso8583.decode(raw, self._loose)[1], True
        except iso8583.DecodeError as error:
            parts, is_whole = error.doc_enc, False
            if sum(len(part["len"] + part["data"]) for part in parts.values()) != error.pos:
                parts.pop(error.field, None)
        if "1" in parts and len(parts["1"]["data"]) > self._bitmap.half_size:
            return {key: parts[key] for key in ("t", "p", "1")}, False
        legible: Parts = {}
        for key, part in parts.items():
            if part["len"].strip(self._prefix_digits.get(key, part["len"])):
                return legible, False
            legible[key] = part
        return legible, is_whole

    def _before_cut(self, key: str, data: bytes) -> str:
        """The text before a character that the field's end cuts; empty where it is not that."""
        codec = self._spec[key]["data_enc"]
        if codec == "b":
            return ""
        try:
            data.decode(codec)
        except UnicodeDecodeError as error:
            if error.end == len(data) and error.reason in _CUT_SHORT:
                return data[: error.start].decode(codec)
        return ""


def _loose(key: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A field's spec that reads any bytes and any length; MTI and bitmaps stay as they are."""
    if not key.isdigit() or key == "1" or entry["data_enc"] == "undefined":
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
