"""Dialect files: their keys, the checks on them, and their compilation to pyiso8583 field specs.

The user's view of the format is ``docs/dialects.md``. A field is encoding × length prefix ×
padding, each a key of its own, so that a vendor's habits are data. ``dialect.py`` uses the result.
Source: docs/interfaces/bank-link.md, "Framing and dialects"; ISO 8583:1987, 4.3 and 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import msgspec

from acquirer.codecs.errors import DialectError
from acquirer.codecs.framing import LengthHeader
from acquirer.codecs.reasons import UNDEFINED

TEXT_CODECS = {
    "ascii": "ascii",
    "latin1": "latin-1",
    "ebcdic": "cp500",
    "ebcdic037": "cp037",
    "gb18030": "gb18030",
    "utf8": "utf-8",
}
_ALPHABETS = {"n": "0123456789", "z": "0123456789D="}

TextEncoding = Literal["ascii", "latin1", "ebcdic", "ebcdic037", "gb18030", "utf8"]
NumericEncoding = Literal["bcd", "ascii", "ebcdic", "ebcdic037"]
BinaryEncoding = Literal["raw", "hex"]
PrefixEncoding = Literal["bcd", "binary", "ascii", "ebcdic", "ebcdic037"]
Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """``[defaults]``: what a field's own keys do not say."""

    numeric: NumericEncoding = "ascii"
    text: TextEncoding = "ascii"
    binary: BinaryEncoding = "raw"
    prefix_encoding: PrefixEncoding = "ascii"
    odd: Side = "right"
    pad: Literal["0", "F"] = "0"
    separator: Literal["=", "D"] = "="


@dataclass(frozen=True, slots=True)
class FieldFormat:
    """``[fields.N]``: one data element.

    Attributes:
        type: ``n`` digits, ``z`` track digits and separators, ``an``/``ans`` text, ``b`` bytes,
            ``raw`` text whose character set belongs to the terminal (kept as hexadecimal).
        length: fixed length: digits (n, z), characters (an, ans) or bytes (b, raw).
        max: largest length, counted alike, of a field with a prefix.
        accept_max: longest that is still read where that is more than ``max``.
        prefix: digits of the length prefix, 1 to 4 (LL is 2).
        encoding: of the value; ``prefix_encoding`` of its length.
        odd: where an odd number of BCD digits stands in its bytes.
        pad: the nibble written beside them; ``accept_pad`` those read.
        separator: how a text ``z`` field writes track separators (both are read).
        fill: character that fills a short value of a fixed field, on ``fill_side``; without it
            short values are refused.
    """

    type: Literal["n", "z", "an", "ans", "b", "raw"]
    name: str = ""
    length: int | None = None
    max: int | None = None
    accept_max: int | None = None
    prefix: int | None = None
    encoding: str | None = None
    prefix_encoding: PrefixEncoding | None = None
    odd: Side | None = None
    pad: Literal["0", "F"] | None = None
    accept_pad: Literal["0", "F", "0F"] | None = None
    separator: Literal["=", "D"] | None = None
    fill: str | None = None
    fill_side: Side = "right"


@dataclass(frozen=True, slots=True)
class DialectFile:
    """A whole file, ``extends`` already resolved."""

    title: str = ""
    mti: NumericEncoding = "ascii"
    bitmap: Literal["binary", "hex"] = "binary"
    secondary_bitmap: Literal["flagged", "always"] = "flagged"
    length_header: str = "binary2"
    tpdu: str = ""
    header: str = ""
    match_key: tuple[int, ...] = (7, 11, 37)
    reversal_mti: str = "0400"
    defaults: Defaults = Defaults()
    needs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    fields: dict[str, FieldFormat] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One compiled data element.

    Attributes:
        pyiso: the entry of a pyiso8583 specification.
        separator: the track separator on the wire, empty where the field is no text track.
        hex_text: whether bytes travel as hexadecimal text.
        prefix_digits: the ten bytes a text length prefix is made of, or empty.
        fill: character and side for short fixed values, or ``None``.
    """

    pyiso: dict[str, Any]
    separator: str = ""
    hex_text: bool = False
    prefix_digits: bytes = b""
    fill: tuple[str, Side] | None = None

    def fits(self, kind: str, value: str) -> bool:
        """Whether a value of a field of this type can be written.

        Args:
            kind: the field's type, as :class:`FieldFormat` has it.
        """
        codec, size_max = self.pyiso["data_enc"], self.pyiso["max_len"]
        if kind in ("b", "raw"):
            size = len(value) if self.hex_text else len(value) // 2
            is_sound = len(value) % 2 == 0 and not value.strip("0123456789ABCDEFabcdef")
        elif kind in ("n", "z"):
            size, is_sound = len(value), not value.strip(_ALPHABETS[kind])
        else:
            try:
                size, is_sound = len(value.encode(codec)), True
            except UnicodeError:
                return False
        is_fixed = not self.pyiso["len_type"] and self.fill is None
        return is_sound and size <= size_max and (size == size_max or not is_fixed)


class Pads(str):
    """The pad nibble written, equal to each that is accepted; pyiso8583 compares with ``==``."""

    __slots__ = ("_accepted",)
    _accepted: str

    def __new__(cls, written: str, accepted: str) -> Pads:
        """One nibble to write and all those to accept, as hexadecimal digits."""
        pads = super().__new__(cls, written)
        pads._accepted = accepted
        return pads

    def __getitem__(self, _key: object) -> Pads:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and len(other) == 1 and other in self._accepted

    __hash__ = str.__hash__


def parse_file(source: dict[str, Any], name: str) -> DialectFile:
    """Check a file's keys and values.

    Args:
        source: the TOML document, ``extends`` resolved.
        name: the file's name, for error texts.

    Raises:
        DialectError: an unknown key, or a value that is not allowed; the text names both.
    """
    try:
        file = msgspec.convert(source, DialectFile)
    except msgspec.ValidationError as error:
        raise DialectError(f"{name}: {error}") from None
    _refuse_unknown(source, DialectFile, name, "")
    _refuse_unknown(source.get("defaults", {}), Defaults, name, "defaults.")
    for key, entry in source.get("fields", {}).items():
        _refuse_unknown(entry, FieldFormat, name, f"fields.{key}.")
        if not (key.isascii() and key.isdigit() and 2 <= int(key) <= 128 and int(key) != 65):
            raise DialectError(f"{name}: data elements are 2 to 128 without 65", field=key)
    try:
        LengthHeader.parse(file.length_header)
    except DialectError as error:
        raise DialectError(f"{name}: {error}") from None
    if 11 not in file.match_key or len(file.match_key) < 2:
        raise DialectError(f"{name}: match_key needs 11 and at least one field more")
    if file.reversal_mti not in ("0400", "0420", "1420"):
        raise DialectError(f"{name}: reversal_mti is 0400, 0420 or 1420")
    for key in ("tpdu", "header"):
        value = getattr(file, key)
        if not _is_hex(value) or (key == "tpdu" and len(value) not in (0, 10)):
            raise DialectError(f"{name}: {key} is no hexadecimal text of the right length")
    return file


def extended(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged entry by entry; an entry, such as a whole field, is replaced."""
    merged = {**base, **own}
    for key in ("defaults", "needs", "fields"):
        tables = base.get(key, {}), own.get(key, {})
        if all(isinstance(table, dict) for table in tables):
            merged[key] = {**tables[0], **tables[1]}
    return merged


def compile_spec(file: DialectFile, name: str) -> dict[str, FieldSpec]:
    """Compile all data elements, the MTI (``t``) and the bitmaps (``p``, ``1``).

    Raises:
        DialectError: a field's keys contradict each other; the text names file and field.
    """
    compiled = {"h": FieldSpec({"data_enc": "ascii", "len_type": 0, "max_len": 0})}
    bcd_mti = file.mti == "bcd"
    mti = {"data_enc": "b" if bcd_mti else TEXT_CODECS[file.mti], "len_type": 0}
    compiled["t"] = FieldSpec(mti | {"max_len": 2 if bcd_mti else 4})
    hex_codec = "ascii" if bcd_mti else TEXT_CODECS[file.mti]
    binary = file.bitmap == "binary"
    bitmap = {"data_enc": "b" if binary else hex_codec, "max_len": 8 if binary else 16}
    for key in ("p", "1"):
        compiled[key] = FieldSpec(bitmap | {"len_type": 0})
    for number in range(2, 193):
        compiled[str(number)] = FieldSpec({"data_enc": UNDEFINED, "len_type": 0, "max_len": 1})
    for key, field_format in file.fields.items():
        try:
            compiled[key] = _field_spec(field_format, file.defaults, hex_codec)
        except ValueError as error:
            raise DialectError(f"{name}: {error}", field=key) from error
    return compiled


def _field_spec(entry: FieldFormat, defaults: Defaults, hex_codec: str) -> FieldSpec:
    encoding = _encoding(entry, defaults)
    spec: dict[str, Any] = {"len_type": 0, "len_count": "bytes", "desc": entry.name}
    if encoding == "bcd":
        spec |= {"data_enc": "b", "len_count": "nibbles"} | _pad(entry, defaults)
    elif encoding == "raw":
        spec["data_enc"] = "b"
    elif encoding == "hex":
        spec["data_enc"] = hex_codec
    else:
        spec["data_enc"] = TEXT_CODECS[encoding]
    if (entry.length is None) == (entry.max is None):
        raise ValueError("has either length or max")
    units = 2 if encoding == "hex" else 1
    size = entry.length if entry.length is not None else entry.max
    size_max = max(size or 0, entry.accept_max or 0)
    if not 1 <= size_max <= 9999:
        raise ValueError("length, max and accept_max are 1 to 9999")
    spec["max_len"] = size_max * units
    prefix_digits = b""
    if entry.length is None:
        prefix, prefix_digits = _prefix(entry, defaults, spec["max_len"])
        spec |= prefix
    elif entry.prefix is not None or entry.accept_max is not None:
        raise ValueError("a field of fixed length has neither prefix nor accept_max")
    text_track = entry.type == "z" and encoding != "bcd"
    return FieldSpec(
        pyiso=spec,
        separator=(entry.separator or defaults.separator) if text_track else "",
        hex_text=encoding == "hex",
        prefix_digits=prefix_digits,
        fill=_fill(entry),
    )


def _encoding(entry: FieldFormat, defaults: Defaults) -> str:
    allowed: tuple[str, ...]
    default: str
    if entry.type in ("n", "z"):
        allowed, default = ("bcd", "ascii", "ebcdic", "ebcdic037"), defaults.numeric
    elif entry.type == "b":
        allowed, default = ("raw", "hex"), defaults.binary
    elif entry.type == "raw":
        allowed, default = ("raw",), "raw"
    else:
        allowed, default = tuple(TEXT_CODECS), defaults.text
    encoding = entry.encoding or default
    if encoding not in allowed:
        raise ValueError(f"encoding of type {entry.type} is one of {', '.join(allowed)}")
    return encoding


def _pad(entry: FieldFormat, defaults: Defaults) -> dict[str, Any]:
    written = entry.pad or defaults.pad
    side = entry.odd or defaults.odd
    accepted = entry.accept_pad or ("0F" if side == "left" else written)
    return {"right_pad" if side == "left" else "left_pad": Pads(written, accepted)}


def _prefix(entry: FieldFormat, defaults: Defaults, size_max: int) -> tuple[dict[str, Any], bytes]:
    style = entry.prefix_encoding or defaults.prefix_encoding
    if entry.prefix is None or not 1 <= entry.prefix <= 4:
        raise ValueError("a field with max has a prefix of 1 to 4 digits")
    in_bytes = style in ("bcd", "binary")
    width = (entry.prefix + 1) // 2 if in_bytes else entry.prefix
    says_max = 256**width - 1 if style == "binary" else 10**entry.prefix - 1
    if size_max > says_max:
        raise ValueError(f"a length of {size_max} does not fit its prefix")
    if in_bytes:
        return {"len_enc": "bcd" if style == "bcd" else "b", "len_type": width}, b""
    codec = TEXT_CODECS[style]
    return {"len_enc": codec, "len_type": width}, "0123456789".encode(codec)


def _fill(entry: FieldFormat) -> tuple[str, Side] | None:
    if entry.fill is None:
        return None
    if len(entry.fill) != 1 or entry.length is None or entry.type in ("b", "raw", "z"):
        raise ValueError("fill is one character of a fixed n, an or ans field")
    if entry.type == "n" and (entry.fill, entry.fill_side) != ("0", "left"):
        raise ValueError("an n field can only be filled with 0 on the left")
    return entry.fill, entry.fill_side


def _refuse_unknown(entry: dict[str, Any], kind: type, name: str, path: str) -> None:
    unknown = sorted(set(entry) - {f.name for f in fields(kind)})
    if unknown:
        raise DialectError(f"{name}: no such key: {path}{unknown[0]}")


def _is_hex(text: str) -> bool:
    try:
        return bytes.fromhex(text).hex() == text.lower()
    except ValueError:
        return False
