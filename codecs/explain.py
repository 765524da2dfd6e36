"""A message in words, line by line and masked: for ``acquirer decode`` and for traces.

Everything shown has passed ``masking``. Private fields whose shape is known are explained
underneath their field; one that does not have its shape is shown as it is, with the reason.
Start at :func:`explain_message`. Source: docs/interfaces/terminal.md, parts 1 to 5; ISO 8583:1987,
4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any

from msgspec import structs

from acquirer.codecs import bertlv
from acquirer.codecs.bank_fields import De90
from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import CodecError
from acquirer.codecs.loose_reading import before_cut
from acquirer.codecs.masking import MASKED, mask_fields, mask_objects
from acquirer.codecs.private_fields import (
    De53,
    De60,
    De61,
    SettlementTotals,
    WorkingKeys,
    parse_balances,
)
from acquirer.codecs.response_codes import in_words
from acquirer.codecs.shown_text import printable
from acquirer.codecs.tpdu import PosEnvelope
from acquirer.codecs.track2 import ciphered_part

_NAME_WIDTH_MAX = 44
_TERMINAL_TEXT = "gb18030"
_NOTHING: Mapping[int, str] = MappingProxyType({})
_CLASSES = {
    "1": "authorisation",
    "2": "financial",
    "3": "file update",
    "4": "reversal",
    "5": "settlement",
    "6": "administrative",
    "8": "network management",
}
_FUNCTIONS = {
    "0": "request",
    "1": "reply",
    "2": "advice",
    "3": "advice reply",
    "4": "notification",
}
_DE59_NAMES = {
    "ON": "order number",
    "OC": "courier id",
    "OS": "order status",
    "OW": "ways of payment",
    "OT": "text to show",
    "OX": "exception reason",
    "IT": "items and quantities",
    "PA": "part to pay, minor units",
    "PI": "part's id",
    "PO": "order that it is a part of",
    "OD": "free text",
    "OR": "signed by",
    "OP": "merchant's payment reference",
    "A3": "QR payment code",
    "PB": "PIN block under AES",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is about, its name and its masked value.

    ``key`` is a data element number, ``MTI`` and the like, or empty; ``depth`` is 1 or more for
    a part of the line above.
    """

    key: str
    name: str
    value: str
    depth: int = 0


def explain_envelope(envelope: bytes, dialect: Dialect) -> list[Line]:
    """TPDU and header of a frame, in words; no lines where there are none."""
    if not envelope:
        return []
    if not dialect.has_tpdu:
        return [Line("header", "", envelope.hex().upper())]
    tpdu, header = envelope[:5].hex().upper(), envelope[5:].hex().upper()
    lines = [Line("TPDU", f"to {tpdu[2:6]}, from {tpdu[6:]}", tpdu)]
    if len(envelope) == 11:
        demand = PosEnvelope(envelope[:5], envelope[5:]).processing_demand
        text = (
            f"application class {header[:2]}, software {header[2:4]}, status {header[4]}, "
            f"demand {header[5]} ({demand.name.lower().replace('_', ' ')}), "
            f"sub-version {header[6:]}"
        )
        lines.append(Line("header", text, header))
    elif header:
        lines.append(Line("header", "", header))
    return lines


def explain_message(
    mti: str,
    values: Mapping[int, str],
    dialect: Dialect,
    *,
    raw: bytes = b"",
    encoding: str = "",
    broken: Mapping[int, str] = _NOTHING,
) -> list[Line]:
    """MTI, bitmap and every field, each followed by its parts; all masked.

    Args:
        mti: four digits, or empty where it could not be read.
        values: the fields, as ``Message.fields`` or ``CodecError.partial`` has them.
        dialect: names the fields and tells which private shapes apply.
        raw: the message's bytes, for the bitmap; without them it is not shown.
        encoding: of the terminal's text; empty for GB18030 where the dialect is a terminal's, and
            for what the dialect says in other fields than DE59.
        broken: fields that could not be read, as they may be shown.
    """
    lines = [Line("MTI", explain_mti(mti), mti)] if mti else []
    bitmap = dialect.bitmap.read(raw)
    if bitmap:
        numbers = sorted(dialect.bitmap.numbers(raw))
        lines.append(Line("bitmap", " ".join(map(str, numbers)), bitmap.hex().upper()))
    clear = {number: value for number, value in values.items() if number > 0}
    shown = shown_fields(mti, clear, dialect, encoding)
    for number, text in sorted({**broken, **shown}.items()):
        name = dialect.names.get(number, "")
        lines.append(Line(str(number), name, printable(text)))
        try:
            parts = _parts(number, mti, clear, dialect, encoding) if number in clear else []
        except CodecError as error:
            parts = [("unexpected shape", str(error), 1)]
        lines += [Line("", part, printable(value), depth) for part, value, depth in parts]
    return lines


def shown_fields(
    mti: str, values: Mapping[int, str], dialect: Dialect, encoding: str = ""
) -> dict[int, str]:
    """The masked fields, text in the terminal's encoding where it is printable text of it.

    Args:
        encoding: as for :func:`explain_message`.
    """
    shown = mask_fields(mti, {n: value for n, value in values.items() if n > 0})
    if not encoding and dialect.has_tpdu:
        encoding = _TERMINAL_TEXT
    for number, value in shown.items():
        codec = encoding or (_TERMINAL_TEXT if number == 59 else "")
        if codec and (number == 59 or value == values[number]):
            shown[number] = _in_terminals_text(value, dialect, number, codec)
    return shown


def _in_terminals_text(value: str, dialect: Dialect, number: int, encoding: str) -> str:
    """The value as text of an encoding; as it is where it is no such text."""
    try:
        if dialect.types.get(number) == "raw" or number == 59:
            raw = bytes.fromhex(value)
        elif dialect.text_codec(number) == "latin-1" and not value.isascii():
            raw = value.encode("latin-1")
        else:
            return value
    except ValueError:
        return value
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = before_cut(raw, encoding)
    except LookupError:
        return value
    return text if text.isprintable() and text else value


def shown_parts(values: Mapping[int, str], dialect: Dialect) -> dict[int, dict[str, str]]:
    """The parts of fields that a dialect file names; none of fields whose value is masked, unless
    the file says that they may be shown.

    Raises:
        RemoteFormatError: a field does not have the shape that the file says.
    """
    found: dict[int, dict[str, str]] = {}
    for number, value in values.items():
        inner = dialect.parts.get(number)
        if inner is not None and (inner.shown or number not in MASKED):
            found[number] = inner.shown_parts(value)
    return found


@dataclass(frozen=True, slots=True)
class ShownKey:
    """What may be shown of a working key: its length on the wire and its check value."""

    name: str
    size_bytes: int
    kcv: str


def shown_keys(mti: str, values: Mapping[int, str], dialect: Dialect) -> list[ShownKey]:
    """The working keys in DE62 of a sign-on's reply, in their order; none of other messages.

    Raises:
        RemoteFormatError: DE60 or DE62 does not have the shape of such a reply.
    """
    if mti != "0810" or dialect.types.get(62) != "b" or not values.get(62):
        return []
    network_code = De60.parse(values.get(60, "")).network_code
    if network_code not in ("001", "003", "004"):
        return []
    keys = WorkingKeys.parse(bytes.fromhex(values[62]), network_code)
    found = [
        ("PIN key", keys.pin_key, keys.pin_kcv),
        ("MAC key", keys.mac_key, keys.mac_kcv),
        ("track key", keys.track_key, keys.track_kcv),
    ]
    return [ShownKey(name, len(key), kcv.hex().upper()) for name, key, kcv in found if key]


def explain_mti(mti: str) -> str:
    """What four digits of an MTI say.

    >>> explain_mti("0210")
    'financial reply'
    """
    words = [_CLASSES.get(mti[1:2], "unknown class"), _FUNCTIONS.get(mti[2:3], "message")]
    if mti[3:] in ("1", "3", "5"):
        words.append("repeat")
    return " ".join(words)


def plain_text(lines: list[Line]) -> str:
    """The lines as aligned text without colours, one string without a newline at its end."""
    heads = [line.key if not line.depth else "  " * line.depth + line.name for line in lines]
    key_width = max([len(line.key) for line in lines if not line.depth], default=0)
    widths = [
        len(h if line.depth else line.name)
        for line, h in zip(lines, heads, strict=True)
        if line.depth or line.key.isdigit()
    ]
    name_width = min(max(widths, default=0), _NAME_WIDTH_MAX)
    out: list[str] = []
    for line, head in zip(lines, heads, strict=True):
        if line.depth:
            out.append(f"{'':{key_width}}  {head:{name_width}}  {line.value}")
        elif line.key.isdigit():
            out.append(f"{line.key:>{key_width}}  {line.name:{name_width}}  {line.value}")
        else:
            out.append(f"{line.key:{key_width}}  {line.value}  {line.name}".rstrip())
    return "\n".join(text.rstrip() for text in out)


_Parts = list[tuple[str, str, int]]


def _parts(
    number: int, mti: str, values: Mapping[int, str], dialect: Dialect, encoding: str
) -> _Parts:
    """The known parts of one field: name, value, depth."""
    value, kind = values[number], dialect.types.get(number, "")
    if not value:
        return []
    if (inner := dialect.parts.get(number)) is not None:
        found = shown_parts({number: value}, dialect).get(number, {})
        return [(f"{key} {inner.name(key)}".rstrip(), text, 1) for key, text in found.items()]
    if number == 35 and kind == "z" and _tracks_encrypted(values):
        part = ciphered_part(value)
        return [("enciphered", f"digits {part.start + 1} to {part.stop}, by the track key", 1)]
    if number == 39:
        return [("meaning", in_words(value), 1)]
    if number == 48 and kind == "n" and mti[1:2] == "5":
        return _totals(SettlementTotals.parse(value))
    if number == 53 and mti[1:2] != "8":
        return _named(De53.parse(value))
    if number == 54:
        return [part for item in parse_balances(value) for part in _named(item)]
    if number == 55:
        return _icc(value)
    if number == 59 and kind == "raw":
        return _items(value, mti, encoding)
    if number in (60, 61) and kind == "n":
        return _named(De60.parse(value) if number == 60 else De61.parse(value))
    if number == 62:
        return _keys(mti, values, dialect)
    if number in (64, 128):
        text = bytes.fromhex(value).decode("latin-1")
        return [("as text", text, 1)] if text.isascii() and text.isalnum() else []
    return _named(De90.parse(value)) if number == 90 else []


def _tracks_encrypted(values: Mapping[int, str]) -> bool:
    return bool(values.get(53)) and De53.parse(values[53]).tracks_encrypted


def _named(value: Any) -> _Parts:
    names = (one.name for one in (fields(value) if is_dataclass(value) else structs.fields(value)))
    pairs = [(name.replace("_", " "), getattr(value, name)) for name in names]
    words = {True: "yes", False: "no"}
    return [
        (name, words[part] if isinstance(part, bool) else str(part), 1)
        for name, part in pairs
        if part != ""
    ]


def _totals(totals: SettlementTotals) -> _Parts:
    halves = (("domestic", totals.domestic), ("foreign", totals.foreign))
    return [(f"{half} {name}", text, 1) for half, sums in halves for name, text, _ in _named(sums)]


def _icc(value: str) -> _Parts:
    return [
        (f"{tag} {bertlv.TAG_NAMES.get(tag, '')}".rstrip(), text, depth + 1)
        for depth, tag, text in mask_objects(bytes.fromhex(value))
    ]


def _items(value: str, mti: str, encoding: str) -> _Parts:
    items = De59.parse(bytes.fromhex(mask_fields(mti, {59: value})[59]))
    out: _Parts = []
    for tag, raw in items.items:
        try:
            text = raw.decode(encoding or _TERMINAL_TEXT)
        except (UnicodeError, LookupError):
            text = raw.hex().upper()
        out.append((f"{tag} {_DE59_NAMES.get(tag, '')}".rstrip(), text, 1))
    return out


def _keys(mti: str, values: Mapping[int, str], dialect: Dialect) -> _Parts:
    return [
        (key.name, f"{key.size_bytes} bytes hidden, KCV {key.kcv}", 1)
        for key in shown_keys(mti, values, dialect)
    ]
