"""Message dialects: data files compiled to pyiso8583 specifications.

A dialect file says for each data element its type, length prefix, encoding and padding; nothing
of a vendor's habits is written in code. ``load_dialect("cup_pos")`` reads a shipped file from
``dialects/``; a path ending in ``.toml`` reads one of yours.

File format: ``mti`` and ``bitmap`` encodings, ``[defaults]`` for all fields, then
``[fields.N]`` with ``name``, ``type`` (``n z an ans b raw``), ``length`` (fixed) or ``max``
with ``prefix`` (digits of the length prefix: 2 or 3), and where they differ from the defaults
``encoding`` (``bcd ascii ebcdic raw hex``), ``prefix_encoding`` (``bcd ascii ebcdic binary``),
``odd`` (``left`` or ``right``: where the digits of an odd BCD field stand) and ``accept_max``.
``raw`` is text whose character set belongs to the terminal; like ``b`` it is kept as hexadecimal.
Source: ISO 8583:1987 clause 4; terminal interface part 2; bank interface "Dialects are files".
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import iso8583

from acquirer.codecs.errors import DialectError, LocalFormatError, RemoteFormatError
from acquirer.codecs.framing import LengthHeader
from acquirer.codecs.message import Message

_TEXT = {"ascii": "ascii", "ebcdic": "cp500", "ebcdic037": "cp037", "latin1": "latin-1"}
_UNDEFINED = "not part of this dialect"


class _EitherPad(str):
    """A pad nibble written as 0 and accepted as 0 or F; pyiso8583 compares with ``==``."""

    __slots__ = ()

    def __getitem__(self, _key: object) -> _EitherPad:
        return self

    def __eq__(self, other: object) -> bool:
        return other == "F" or str.__eq__(self, other) is True

    __hash__ = str.__hash__


class Dialect:
    """One compiled dialect: decodes and encodes whole messages (MTI to last field).

    Attributes:
        name: the file's name.
        names: data element number → short name.
        types: data element number → type as the file has it.
        length_header: how this dialect's links frame a message.
        mac_fields: the data elements that can hold a MAC, 64 and 128 by default.
    """

    def __init__(self, source: dict[str, Any], name: str) -> None:
        self.name = name
        self.names: dict[int, str] = {}
        self.types: dict[int, str] = {}
        self.mac_fields: tuple[int, ...] = (64, 128)
        self.length_header = LengthHeader.parse(source.get("length_header", "binary2"))
        defaults = source.get("defaults", {})
        mti = source.get("mti", "ascii")
        bitmap = source.get("bitmap", "binary")
        bitmap_text = _TEXT["ebcdic" if mti.startswith("ebcdic") else "ascii"]
        self._spec: dict[str, dict[str, Any]] = {
            "h": {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": 0},
            "t": {"data_enc": "b" if mti == "bcd" else _TEXT[mti], "len_type": 0, "max_len": 4},
        }
        for key in ("p", "1"):
            enc = "b" if bitmap == "binary" else bitmap_text
            length = 8 if bitmap == "binary" else 16
            self._spec[key] = {"data_enc": enc, "len_type": 0, "max_len": length}
        if mti == "bcd":
            self._spec["t"]["max_len"] = 2
        for number in range(2, 193):
            self._spec[str(number)] = {
                "data_enc": "undefined",
                "len_type": 0,
                "max_len": 1,
                "desc": _UNDEFINED,
            }
        for key, entry in source.get("fields", {}).items():
            number = int(key)
            try:
                self._spec[key] = _field_spec({**defaults, **entry})
            except (KeyError, ValueError) as error:
                raise DialectError(f"{name}: {error}", field=key) from error
            self.names[number] = entry.get("name", f"field {number}")
            self.types[number] = entry["type"]
        self._numeric = frozenset(n for n, t in self.types.items() if t == "n")
        self._track = frozenset(n for n, t in self.types.items() if t == "z")
        self._defined = frozenset(self.types)
        self._hex = frozenset(n for n, t in self.types.items() if t in ("b", "raw"))

    def decode(self, raw: bytes) -> Message:
        """Decode one message.

        Args:
            raw: MTI to last field, without framing, TPDU and header.

        Raises:
            RemoteFormatError: with the field's path, the offset and the fields read before it.
        """
        try:
            decoded, _ = iso8583.decode(raw, self._spec)
        except iso8583.DecodeError as error:
            text = _UNDEFINED if self._is_undefined(error.field) else error.msg
            raise RemoteFormatError(
                text,
                field=error.field,
                offset=error.pos,
                partial=_partial(error.doc_dec, error.field),
            ) from None
        mti = decoded["t"]
        fields = {int(k): v for k, v in decoded.items() if k.isdigit() and k != "1"}
        if not (mti.isascii() and mti.isdigit()):
            raise RemoteFormatError("the MTI is not four digits", field="t", offset=0)
        for number, value in fields.items():
            if number in self._numeric:
                if value and not (value.isascii() and value.isdigit()):
                    self._refuse(number, "letters in a numeric field", mti, fields)
            elif number in self._track:
                if not _is_track(value):
                    self._refuse(number, "a track holds digits and one separator", mti, fields)
            elif number in self._hex and self._spec[str(number)]["data_enc"] != "b":
                try:
                    fields[number] = bytes.fromhex(value).hex().upper()
                except ValueError:
                    self._refuse(number, "not hexadecimal", mti, fields)
        return Message(mti, fields, bytes(raw))

    def encode(self, message: Message) -> bytes:
        """Encode a message; sets ``message.raw`` and returns it.

        Raises:
            LocalFormatError: a value does not fit its field.
        """
        values = {str(number): value for number, value in message.fields.items()}
        values["t"] = message.mti
        try:
            encoded, _ = iso8583.encode(values, self._spec)
        except iso8583.EncodeError as error:
            text = _UNDEFINED if self._is_undefined(error.field) else error.msg
            raise LocalFormatError(text, field=error.field) from None
        message.raw = bytes(encoded)
        return message.raw

    def mac_input(self, raw: bytes) -> bytes:
        """The bytes under the MAC of a message whose last field is an 8-byte MAC field."""
        return raw[:-8] if self._spec["64"]["data_enc"] == "b" else raw[:-16]

    def with_mac(self, raw: bytes, mac: bytes) -> bytes:
        """``raw`` with its last field, a placeholder, replaced by the MAC's 8 bytes."""
        if self._spec["64"]["data_enc"] == "b":
            return raw[:-8] + mac
        return raw[:-16] + mac.hex().upper().encode(self._spec["64"]["data_enc"])

    def _is_undefined(self, field: str) -> bool:
        return field.isdigit() and field != "1" and int(field) not in self._defined

    def _refuse(self, number: int, text: str, mti: str, fields: dict[int, str]) -> None:
        before = {n: v for n, v in fields.items() if n < number}
        raise RemoteFormatError(text, field=str(number), partial={0: mti, **before})

    def __repr__(self) -> str:
        return f"Dialect({self.name!r}, {len(self.types)} fields)"


def _is_track(value: str) -> bool:
    head, _, tail = value.replace("=", "D").partition("D")
    rest = tail.replace("D", "")
    return (not head or head.isdigit()) and (not rest or rest.isdigit()) and value.isascii()


def _partial(decoded: dict[str, str], failed: str) -> dict[int, str]:
    partial = {int(k): v for k, v in decoded.items() if k.isdigit() and k not in ("1", failed)}
    if failed != "t" and decoded.get("t"):
        partial[0] = decoded["t"]
    return partial


def _field_spec(entry: dict[str, Any]) -> dict[str, Any]:
    kind = entry["type"]
    if kind not in ("n", "z", "an", "ans", "b", "raw"):
        raise ValueError(f"type {kind!r} is none of n, z, an, ans, b, raw")
    default = {"n": "numeric", "z": "numeric", "b": "binary", "raw": "binary"}.get(kind, "text")
    encoding = entry.get("encoding", entry.get(default, "raw" if kind in ("b", "raw") else "ascii"))
    digits = kind in ("n", "z")
    spec: dict[str, Any] = {"len_type": 0, "len_count": "bytes", "desc": entry.get("name", "")}
    if encoding == "bcd":
        spec |= {"data_enc": "b", "len_count": "nibbles"}
        if entry.get("odd", "right") == "left":
            spec["right_pad"] = _EitherPad("0")
        else:
            spec["left_pad"] = "0"
    elif encoding == "raw":
        spec["data_enc"] = "b"
    elif encoding == "hex":
        spec["data_enc"] = _TEXT["ascii"]
    else:
        spec["data_enc"] = _TEXT[encoding]
    if digits and encoding in ("raw", "hex"):
        raise ValueError(f"type {kind} cannot be {encoding}")
    length = entry["length"] if "length" in entry else entry["max"]
    spec["max_len"] = entry.get("accept_max", length) * (2 if encoding == "hex" else 1)
    if "length" not in entry:
        prefix, style = entry["prefix"], entry.get("prefix_encoding", "ascii")
        if style in ("bcd", "binary"):
            spec |= {"len_enc": "bcd" if style == "bcd" else "b", "len_type": (prefix + 1) // 2}
        else:
            spec |= {"len_enc": _TEXT[style], "len_type": prefix}
    return spec


@lru_cache(maxsize=64)
def load_dialect(name: str) -> Dialect:
    """Read and compile a dialect.

    Args:
        name: a shipped dialect (``cup_pos``, ``iso87_ascii``, …) or the path of a ``.toml`` file.

    Raises:
        DialectError: no such dialect, or the file is wrong; the text names file and field.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise DialectError(f"no dialect file {name}")
        text = path.read_text("utf-8")
    else:
        file = resources.files("acquirer.codecs").joinpath("dialects", f"{name}.toml")
        if not file.is_file():
            shipped = ", ".join(shipped_dialects())
            raise DialectError(f"no dialect {name!r}; shipped are {shipped}")
        text = file.read_text("utf-8")
    try:
        return Dialect(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise DialectError(f"{name}: {error}") from error


def shipped_dialects() -> list[str]:
    """The names of the dialects that come with the package, sorted."""
    folder = resources.files("acquirer.codecs").joinpath("dialects")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name[-5:] == ".toml")
