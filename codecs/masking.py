"""What of a message may be shown: the one place that decides.

Used by ``repr``, traces, logs and ``acquirer decode``. A PAN keeps six and four digits, tracks
keep the PAN's six and four, PIN blocks and key material are hidden, ICC data keep all but the
objects that hold card data, a batch upload's DE48 all but its card numbers, DE59 and a bank's DE48
all but a QR payment code, a CVN2 and a PIN block. A MAC is no secret. Start at
:func:`mask_message`; where a message is only in part decoded, at :func:`mask_fields`.
Source: PCI DSS 4.0, 3.3 (never shown or stored) and 3.4 (masking).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from acquirer.codecs import bertlv
from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import CodecError, RemoteFormatError
from acquirer.codecs.pan import mask_digits

if TYPE_CHECKING:
    from acquirer.codecs.message import Message

_PANS = frozenset({2, 34, 102, 103})
_HIDDEN_TEXT = frozenset({36, 45, 125, 127})
_HIDDEN_BYTES = frozenset({52, 96})
MASKED = _PANS | _HIDDEN_TEXT | _HIDDEN_BYTES | {35, 48, 55, 59, 62}
_KEYS = re.compile(r"[A-Z]?[0-9A-Fa-f]{32}(?=.*[A-Za-z])")
# Items of DE59, and of a bank's DE48: whether the first and last digits may be shown.
_SECRET_ITEMS = {"A3": True, "QR": True, "CV": False, "PB": False}
_ITEM_48 = re.compile(r"(QR019(?=[0-9]{19})|CV003(?=[0-9]{3}))([0-9]{19}|[0-9]{3})")
_ITEM_59 = re.compile(
    r"(A3019(?=[0-9]{19})|CV003(?=[0-9]{3})|PB032(?=[0-9A-Fa-f]{32}))"
    r"([0-9A-Fa-f]{32}|[0-9]{19}|[0-9]{3})"
)
_NO_KEY_CODES = re.compile(r"\d{8}(?!001|003|004)\d{3}")

CARD_DATA_TAGS = frozenset(
    {"56", "57", "5A", "5F20", "99", "9F0B", "9F1F", "9F20", "9F6B", "DF32", "DF33", "DF34"}
)


def mask_message(message: Message) -> dict[int, str]:
    """Every field of a message as it may be shown, by data element number.

    Args:
        message: a decoded message of any dialect.
    """
    return mask_fields(message.mti, message.fields)


def mask_fields(mti: str, fields: Mapping[int, str]) -> dict[int, str]:
    """The given fields of one message as they may be shown.

    Args:
        mti: four digits, or empty where it could not be read.
        fields: data element number → value, as in ``Message.fields``.

    DE62 is key material in the reply to a sign-on that brings keys, or where nothing says that
    it is something else; DE48 in a key exchange between hosts.
    """
    shown = {number: mask_field(number, value) for number, value in sorted(fields.items())}
    if 62 in shown and not _holds_keys(mti, fields.get(60, "")):
        shown[62] = fields[62]
    if 48 in shown and (mti[1:2] == "8" or (mti[1:2] == "3" and not _ends_batch(fields[48]))):
        shown[48] = _mask_upload(fields[48]) if mti[1] == "3" else _hidden(fields[48], "characters")
    return shown


def mask_field(number: int, value: str) -> str:
    """One value as it may be shown where its message is not known: hides more than needed.

    >>> mask_field(35, "6225880000000007D30121010000000000")
    '622588******0007D*'
    >>> mask_field(52, "F421C8F4FFE584DC")
    '[8 bytes hidden]'
    """
    if number in _PANS:
        return mask_digits(value)
    if number == 35:
        digits, separator, _ = value.replace("=", "D").partition("D")
        whole = separator and digits.isdigit() and len(digits) <= 19
        return mask_digits(digits) + "D*" if whole else _hidden(value, "characters")
    if number in _HIDDEN_BYTES or number == 62:
        return _hidden(value, "bytes")
    if number in _HIDDEN_TEXT or (number == 48 and _KEYS.search(value)):
        return _hidden(value, "characters")
    if number == 48 and len(value) % UPLOAD_ITEM == 2 and value.isdigit():
        return _mask_upload(value)
    if number == 48:
        return _ITEM_48.sub(lambda found: found[1] + _starred(found[1][:2], found[2]), value)
    if number == 55:
        return _mask_icc(value)
    if number == 59:
        return _mask_items(value)
    return value


UPLOAD_ITEM, UPLOAD_END = 40, 4


def _ends_batch(value: str) -> bool:
    """Whether DE48 of a batch upload is a count alone."""
    return len(value) == UPLOAD_END and value.isdigit()


def _mask_upload(value: str) -> str:
    """DE48 of a batch upload: the card number of each item masked, its layout kept.

    >>> _mask_upload("01" + "00000017" + "00006225880000000007" + "000000005320")
    '01000000170000622588******0007000000005320'
    """
    if len(value) % UPLOAD_ITEM != 2 or not value.isdigit():
        return _hidden(value, "characters")
    shown = value[:2]
    for at in range(2, len(value), UPLOAD_ITEM):
        pan = value[at + 8 : at + 28].lstrip("0")
        masked = (mask_digits(pan) if pan else "").rjust(20, "0")
        shown += value[at : at + 8] + masked + value[at + 28 : at + UPLOAD_ITEM]
    return shown


def mask_objects(value: bytes) -> list[tuple[int, str, str]]:
    """The objects of ICC data one by one, as they may be shown.

    Returns:
        Depth (0 outermost), tag, and the value in hexadecimal, empty for a constructed object.

    Raises:
        RemoteFormatError: no objects, or card data that may or may not be there, as the bytes are
            read.
    """
    if len(ways := bertlv.readings(value)) > 1 and any(map(_holds_card_data, ways)):
        raise RemoteFormatError("can be read in two ways", field="55")
    return _lines(bertlv.parse(value), 0)


def _holds_card_data(objects: tuple[bertlv.Tlv, ...]) -> bool:
    return any(item.tag in CARD_DATA_TAGS for item in bertlv.walk(objects))


def _lines(objects: tuple[bertlv.Tlv, ...], depth: int) -> list[tuple[int, str, str]]:
    lines: list[tuple[int, str, str]] = []
    for item in objects:
        value = item.value.hex().upper()
        if item.tag in CARD_DATA_TAGS:
            lines.append((depth, item.tag, _hidden(value, "bytes")))
        else:
            lines.append((depth, item.tag, "" if item.children else value))
            lines += _lines(item.children, depth + 1)
    return lines


def _mask_icc(value: str) -> str:
    try:
        raw = bytes.fromhex(value)
        lines = mask_objects(raw)
    except (CodecError, ValueError):
        return _hidden(value, "bytes")
    if not _holds_card_data(bertlv.parse(raw)):
        return value
    return " ".join(f"{tag}={text}" for _, tag, text in lines)


def _mask_items(value: str) -> str:
    """DE59 with QR payment code (``A3``), CVN2 (``CV``) and PIN block (``PB``) starred, its layout
    kept."""
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        return value
    try:
        items = De59.parse(raw)
    except CodecError:
        # Whatever is broken, what looks like one of them is not shown.
        text = raw.decode("latin-1")
        starred = _ITEM_59.sub(lambda found: found[1] + _starred(found[1][:2], found[2]), text)
        return starred.encode("latin-1").hex().upper() if starred != text else value
    if not _SECRET_ITEMS.keys() & set(items):
        return value
    shown = {
        tag: _starred(tag, v.decode("latin-1")).encode("latin-1") if tag in _SECRET_ITEMS else v
        for tag, v in items.items
    }
    return De59.build(shown).hex


def _starred(tag: str, text: str) -> str:
    return mask_digits(text) if _SECRET_ITEMS[tag] else "*" * len(text)


def _holds_keys(mti: str, de60: str) -> bool:
    if mti == "0810":
        return not _NO_KEY_CODES.match(de60)
    return not mti


def _hidden(value: str, unit: str) -> str:
    size = len(value) // 2 if unit == "bytes" else len(value)
    return f"[{size} {unit} hidden]"
