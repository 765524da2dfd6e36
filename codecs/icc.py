"""What a chip says in DE55: what an online authorisation needs of it, and what must agree.

Pure. Objects that nobody here knows are kept and go on in their order.
Source: docs/interfaces/terminal.md, part 4 ("Chip"); EMV 4.3 Book 2, 8.1.1 and Book 3, annex A.
"""

from __future__ import annotations

from collections.abc import Iterable

from acquirer.codecs import bertlv
from acquirer.codecs.bertlv import Tlv
from acquirer.codecs.errors import RemoteFormatError

# Of an online authorisation: without one of these its bank cannot check the card.
WANTED = (
    *("9F26", "9F27", "9F10", "9F37", "9F36", "95", "9A", "9C", "9F02", "5F2A", "82"),
    *("9F1A", "9F33", "9F34"),
)
# Of a script's result.
RESULT_WANTED = ("DF31", "9F10", "9F36", "95")
# What an issuer answers: its cryptogram, and scripts for the card.
ANSWER_TAGS = frozenset({"91", "71", "72"})
# What nobody may keep: track 2, card number, holder's name.
NOT_KEPT = frozenset({"57", "5A", "5F20"})
CVN_10, CVN_18 = 10, 18
_SIGNED = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
_SIZES = dict(zip(_SIGNED, (6, 6, 2, 5, 2, 3, 1, 4, 2, 2), strict=True))
# Of the issuer's application data: its length, key index, cryptogram version, then 4 bytes CVR.
_CVR = slice(3, 7)


def check_wanted(objects: Iterable[Tlv], wanted: Iterable[str]) -> None:
    """See that all wanted objects are there.

    Raises:
        RemoteFormatError: one is missing.
    """
    present = {item.tag for item in bertlv.walk(objects)}
    if missing := [tag for tag in wanted if tag not in present]:
        raise RemoteFormatError("this object is missing", field=f"55.{missing[0]}")


def check_agreement(
    objects: Iterable[Tlv], *, pan: str, track2: str, amount: str, currency: str
) -> None:
    """See that the chip says what the message says.

    Args:
        pan: of DE2 or DE35, digits.
        track2: DE35 with ``D`` as separator, or empty.
        amount: DE4, 12 digits, or empty.
        currency: DE49, 3 digits, or empty.

    Raises:
        RemoteFormatError: it is another card, amount or currency.
    """
    said = {"57": track2, "5A": pan, "9F02": amount, "5F2A": currency.zfill(4) if currency else ""}
    found = list(bertlv.walk(objects))
    for item in found:
        named = said.get(item.tag, "")
        if named and item.value.hex().upper().rstrip("F") != named:
            raise RemoteFormatError("is not what the message says", field=f"55.{item.tag}")
    if not track2:
        for item in found:
            if item.tag == "57" and item.value.hex().upper().partition("D")[0] != pan:
                raise RemoteFormatError("is of another card", field="55.57")


def kept(icc: bytes) -> bytes:
    """DE55 as it may lie in the books, enciphered: without track 2, card number and name.

    Args:
        icc: BER-TLV.

    Raises:
        RemoteFormatError: it is none.

    >>> kept(bytes.fromhex("5A0862258800000000069F270180")).hex()
    '9f270180'
    """
    return bertlv.build(_without(bertlv.parse(icc), NOT_KEPT))


def answer_of(icc: bytes) -> bytes:
    """What of an issuer's DE55 goes on to the terminal.

    Raises:
        RemoteFormatError: it is no BER-TLV.

    >>> answer_of(bytes.fromhex("910A00112233445566773030" "5A0100")).hex()
    '910a00112233445566773030'
    """
    return bertlv.build(item for item in bertlv.parse(icc) if item.tag in ANSWER_TAGS)


def _without(objects: Iterable[Tlv], tags: frozenset[str]) -> list[tuple[str, bytes]]:
    return [
        (
            item.tag,
            bertlv.build(_without(item.children, tags)) if item.children else item.value,
        )
        for item in objects
        if item.tag not in tags
    ]


def cryptogram_data(objects: Iterable[Tlv], cvn: int) -> bytes:
    """What a card's cryptogram is computed over, padded to whole blocks of 8 bytes.

    Args:
        objects: DE55's.
        cvn: cryptogram version: 10 takes the CVR of 9F10 and pads with zeros, 18 the whole of
            9F10 and pads with 80 and zeros (Visa's versions, which other schemes' cards share).

    Raises:
        RemoteFormatError: an object is missing or not as long as it is; 9F03 is zero where it is
            missing.
    """
    found = list(objects)
    parts = []
    for tag in _SIGNED:
        value = bertlv.find(found, tag)
        if value is None and tag == "9F03":
            value = bytes(_SIZES[tag])
        if value is None or len(value) != _SIZES[tag]:
            raise RemoteFormatError("is missing, or of another length", field=f"55.{tag}")
        parts.append(value)
    issuer = bertlv.find(found, "9F10") or b""
    if len(issuer) < _CVR.stop:
        raise RemoteFormatError("is missing, or too short", field="55.9F10")
    data = b"".join(parts) + (issuer[_CVR] if cvn == CVN_10 else issuer + b"\x80")
    return data.ljust(-(-len(data) // 8) * 8, b"\0")
