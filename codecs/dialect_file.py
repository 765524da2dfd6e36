"""Dialect files: their keys, and their compilation to pyiso8583 field specs.

The user's view of the format is ``docs/dialects.md``. A field is encoding × length prefix ×
padding, each a key of its own, so that a vendor's habits are data. ``dialect.py`` uses the result.
Source: docs/interfaces/bank-link.md, "Framing and dialects"; ISO 8583:1987, 4.3 and 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from acquirer.codecs.field_forms import (
    HEX_DIGITS,
    Filled,
    Form,
    HexDigits,
    Side,
    Signed,
    SignedPacked,
    WholeBytes,
)
from acquirer.codecs.field_parts import PartsFormat
from acquirer.codecs.reasons import UNDEFINED
from acquirer.codecs.wire_codecs import EBCDIC1047, length_codec

TEXT_CODECS = {
    "ascii": "ascii",
    "latin1": "latin-1",
    "ebcdic": "cp500",
    "ebcdic037": "cp037",
    "ebcdic1047": EBCDIC1047,
    "gb18030": "gb18030",
    "utf8": "utf-8",
}
_ALPHABETS = {"n": "0123456789", "z": "0123456789D=", "h": HEX_DIGITS}
_DIGIT_TYPES = ("n", "z", "h", "x+n")
BYTE_TYPES = ("b", "raw")
_PREFIX_DIGITS_MAX = 6

TextEncoding = Literal["ascii", "latin1", "ebcdic", "ebcdic037", "ebcdic1047", "gb18030", "utf8"]
NumericEncoding = Literal["bcd", "ascii", "ebcdic", "ebcdic037", "ebcdic1047"]
BinaryEncoding = Literal["raw", "hex"]
PrefixEncoding = Literal["bcd", "binary", "hex", "ascii", "ebcdic", "ebcdic037", "ebcdic1047"]


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
        type: ``n`` digits, ``z`` track digits and separators, ``h`` hexadecimal digits, ``x+n``
            a sign and digits, ``an``/``ans`` text, ``b`` bytes, ``raw`` text whose character set
            belongs to the terminal (kept as hexadecimal).
        length: fixed length: digits (n, z, h; x+n without the sign), characters (an, ans) or
            bytes (b, raw).
        max: largest length, counted alike, of a field with a prefix.
        accept_max: longest that is still read where that is more than ``max``.
        prefix: digits of the length prefix, 1 to 6 (LL is 2).
        prefix_counts: what the prefix counts where that is not the usual: bytes of packed digits
            and of bytes in hexadecimal, digits of bytes.
        encoding: of the value; ``prefix_encoding`` of its length.
        odd: where an odd number of BCD digits stands in its bytes.
        pad: the nibble written beside them; ``accept_pad`` those read.
        separator: how a text ``z`` field writes track separators (both are read).
        fill: character that fills a short value to ``length`` or ``max``, on ``fill_side``;
            without it short values of fixed fields are refused.
        strip: whether the filling is taken off when a value is read.
        sign: how an ``x+n`` field writes it: a letter before the digits, or the last digit's zone.
        parts: the fields that it is made of.
    """

    type: Literal["n", "z", "h", "x+n", "an", "ans", "b", "raw"]
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
    strip: bool = False
    prefix_counts: Literal["digits", "bytes"] | None = None
    sign: Literal["letter", "overpunch"] = "letter"
    parts: PartsFormat | None = None


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
    trailer: str = ""
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
        fill: character and side for short values, or ``None``.
        form: how the value stands in what pyiso8583 reads, or ``None`` where it is just that.
    """

    pyiso: dict[str, Any]
    separator: str = ""
    hex_text: bool = False
    prefix_digits: bytes = b""
    fill: tuple[str, Side] | None = None
    form: Form | None = None

    def fits(self, kind: str, value: str) -> bool:
        """Whether a value of a field of this type can be written.

        Args:
            kind: the field's type, as :class:`FieldFormat` has it.
        """
        codec, size_max = self.pyiso["data_enc"], self.pyiso["max_len"]
        if self.form:
            return self._form_fits(self.form, value)
        if kind in BYTE_TYPES:
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

    def _form_fits(self, form: Form, value: str) -> bool:
        try:
            wire = form.write(value)
            text = self.pyiso["data_enc"] != "b"
            size = len(wire.encode(self.pyiso["data_enc"])) if text else len(wire)
        except ValueError:
            return False
        if not text and self.pyiso["len_count"] == "bytes":
            size //= 2
        return size == self.pyiso["max_len"] or bool(
            self.pyiso["len_type"] and size < self.pyiso["max_len"]
        )


class Pads(str):
    """The pad nibble written, equal to each that is accepted; pyiso8583 compares with ``==``."""

    __slots__ = ("_accepted",)
    _accepted: str

    def __new__(cls, written: str, accepted: str) -> Pads:
        """One nibble to write and all those to accept, as hexadecimal digits."""
        pads = super().__new__(cls, written)
        pads._accepted = accepted
        return pads

    @property
    def accepted(self) -> str:
        """Those that are read."""
        return self._accepted

    def __getitem__(self, _key: object) -> Pads:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and len(other) == 1 and other in self._accepted

    __hash__ = str.__hash__


def compile_spec(file: DialectFile) -> dict[str, FieldSpec]:
    """Compile all data elements, the MTI (``t``) and the bitmaps (``p``, ``1``) of a file.

    Args:
        file: one that :func:`~acquirer.codecs.dialect_checks.parse_file` has checked.
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
        compiled[key] = field_spec(field_format, file.defaults, hex_codec)
    return compiled


def field_spec(entry: FieldFormat, defaults: Defaults, hex_codec: str = "ascii") -> FieldSpec:
    """Compile one data element.

    Args:
        hex_codec: the encoding of bytes that are written in hexadecimal.

    Raises:
        ValueError: keys that contradict each other.
    """
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
    size_max = _size_max(entry)
    spec["max_len"] = size_max * (2 if encoding == "hex" else 1)
    prefix_digits = b""
    form = _form(entry, defaults, encoding)
    if entry.type == "x+n":
        spec |= {"len_count": "bytes", "max_len": _signed_bytes(entry, encoding)}
        _drop_pads(spec)
    if entry.length is None:
        if isinstance(form, WholeBytes):
            spec |= {"len_count": "bytes", "max_len": (size_max + 1) // 2}
            _drop_pads(spec)
        elif encoding == "raw" and entry.prefix_counts == "digits":
            spec |= {"len_count": "nibbles", "max_len": 2 * size_max}
        prefix, prefix_digits = _prefix(entry, defaults, spec["max_len"], encoding)
        spec |= prefix
    elif entry.prefix is not None or entry.accept_max is not None or entry.prefix_counts:
        raise ValueError("a field of fixed length has no prefix, prefix_counts and accept_max")
    text_track = entry.type == "z" and encoding != "bcd"
    return FieldSpec(
        pyiso=spec,
        separator=(entry.separator or defaults.separator) if text_track else "",
        hex_text=encoding == "hex",
        prefix_digits=prefix_digits,
        fill=None if isinstance(form, Filled) else _fill(entry),
        form=form,
    )


def _drop_pads(spec: dict[str, Any]) -> None:
    for side in ("left_pad", "right_pad"):
        spec.pop(side, None)


def _size_max(entry: FieldFormat) -> int:
    if (entry.length is None) == (entry.max is None):
        raise ValueError("has either length or max")
    size = entry.length if entry.length is not None else entry.max
    size_max = max(size or 0, entry.accept_max or 0)
    if size_max == 0 and entry.length == 0 and entry.type == "ans":
        return 0
    if not 1 <= size_max < 10**_PREFIX_DIGITS_MAX:
        raise ValueError("length, max and accept_max are 1 to 999999")
    return size_max


def _form(entry: FieldFormat, defaults: Defaults, encoding: str) -> Form | None:
    """The form of a field's values where pyiso8583 cannot give them as they are."""
    if entry.sign != "letter" and entry.type != "x+n":
        raise ValueError("sign is of x+n fields")
    if entry.type == "x+n":
        if entry.length is None or entry.fill is not None:
            raise ValueError("an x+n field has a length and no fill")
        if encoding != "bcd":
            return Signed(entry.length, overpunched=entry.sign == "overpunch")
        if entry.sign == "overpunch":
            raise ValueError("packed digits have no zone for a sign")
        return SignedPacked(entry.length, TEXT_CODECS[defaults.text])
    if encoding == "bcd" and entry.prefix_counts == "bytes":
        side, written, accepted = _pads(entry, defaults)
        return WholeBytes(_ALPHABETS[entry.type].strip("="), side, written, accepted)
    nibbles = entry.fill == "F" and encoding == "bcd"
    if entry.fill is not None and (entry.strip or nibbles or entry.max is not None):
        _fill(entry, packed=encoding == "bcd")
        strip = entry.strip or nibbles
        return Filled(entry.fill, entry.fill_side, _size_max(entry), strip)
    if entry.strip:
        raise ValueError("strip needs a fill")
    return HexDigits() if entry.type == "h" else None


def _signed_bytes(entry: FieldFormat, encoding: str) -> int:
    digits = entry.length or 0
    if encoding == "bcd":
        return 1 + (digits + 1) // 2
    return digits if entry.sign == "overpunch" else digits + 1


def _encoding(entry: FieldFormat, defaults: Defaults) -> str:
    allowed: tuple[str, ...]
    default: str
    if entry.type in _DIGIT_TYPES:
        allowed, default = get_args(NumericEncoding), defaults.numeric
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
    side, written, accepted = _pads(entry, defaults)
    return {f"{side}_pad": Pads(written, accepted)}


def _pads(entry: FieldFormat, defaults: Defaults) -> tuple[Side, str, str]:
    """Where the filling nibble of an odd number of digits stands; the one written, those read."""
    written = entry.pad or defaults.pad
    is_left = (entry.odd or defaults.odd) == "left"
    accepted = entry.accept_pad or ("0F" if is_left else written)
    return "right" if is_left else "left", written, accepted


def _prefix(
    entry: FieldFormat, defaults: Defaults, size_max: int, encoding: str
) -> tuple[dict[str, Any], bytes]:
    style = entry.prefix_encoding or defaults.prefix_encoding
    if entry.prefix is None or not 1 <= entry.prefix <= _PREFIX_DIGITS_MAX:
        raise ValueError(f"a field with max has a prefix of 1 to {_PREFIX_DIGITS_MAX} digits")
    usual = "bytes" if entry.type in ("an", "ans", "b", "raw") else "digits"
    if entry.type in ("an", "ans") and entry.prefix_counts not in (None, usual):
        raise ValueError("the prefix of text counts bytes")
    per_unit = 2 if encoding == "hex" and entry.prefix_counts == "bytes" else 1
    in_bytes = style in ("bcd", "binary")
    width = (entry.prefix + 1) // 2 if in_bytes else entry.prefix
    base = {"binary": 256, "hex": 16}.get(style, 10)
    says_max = base ** (width if style == "binary" else entry.prefix) - 1
    if size_max > says_max * per_unit:
        raise ValueError(f"a length of {size_max} does not fit its prefix")
    if style == "hex" or per_unit > 1:
        name = style if style in ("bcd", "binary", "hex") else TEXT_CODECS[style]
        return {"len_enc": length_codec(name, per_unit=per_unit), "len_type": width}, b""
    if in_bytes:
        return {"len_enc": "bcd" if style == "bcd" else "b", "len_type": width}, b""
    codec = TEXT_CODECS[style]
    return {"len_enc": codec, "len_type": width}, "0123456789".encode(codec)


def _fill(entry: FieldFormat, *, packed: bool = False) -> tuple[str, Side] | None:
    if entry.fill is None:
        return None
    if len(entry.fill) != 1 or entry.type in ("b", "raw", "z", "h") or entry.accept_max:
        raise ValueError("fill is one character of an n, an or ans field without accept_max")
    ways = [("0", "left"), ("F", "right")] if packed else [("0", "left")]
    if entry.type == "n" and (entry.fill, entry.fill_side) not in ways:
        raise ValueError("an n field can only be filled with 0 on the left")
    return entry.fill, entry.fill_side
