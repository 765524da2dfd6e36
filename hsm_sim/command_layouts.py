"""What stands in the requests and replies of host commands, in words, for people at a console.

Commands themselves take their bodies apart in ``commands/``; nothing there depends on this table.
A reply's layout is a row of (name, size): a number of characters, or one of the words below.
Source: docs/hsm.md, "Commands".
"""

from __future__ import annotations

from dataclasses import dataclass

KEY, KEY_OR_NONE, REST, CHAINING, COUNTED = "key", "key or none", "rest", "chaining", "counted"
"""A key of any scheme; one if more follows than the row still needs; everything that is left; the
initial values before a counted field; a field with its length in 4 hexadecimal digits before it."""

Size = int | str
Row = tuple[tuple[str, Size], ...]

_KEY_SIZES = {"U": 33, "X": 33, "T": 49, "Y": 49}
_KCV: Row = (("KCV", REST),)
_KEY_KCV: Row = (("key under the LMK", KEY), *_KCV)
_OUT_KCV: Row = (("key under the ZMK", KEY), *_KCV)
_PAIR: Row = (("key under the master key", KEY), ("key under the LMK", KEY_OR_NONE))
_PIN: Row = (("PIN length", 2), ("PIN block", -2), ("PIN block format", 2))
_PIN_BODY = "block, format 2N, account 12N"
_PERIOD: Row = (("serial number", 12), ("begun", 12), ("ended", 12), ("now", 12))
_TO_LMK = "ZMK, key [; scheme ZMK, scheme LMK, KCV type] [Atalla variant]"
_FROM_LMK = "ZMK or TMK, key [; scheme ZMK, scheme LMK, KCV type] [Atalla variant]"
_IBM_TAIL = "check length 2N, account 12N, decimalisation table 16, validation data 12A, offset 12H"


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of one command.

    Attributes:
        request: the body in words.
        reply: the fields after the error code.
    """

    request: str
    reply: Row = ()


LAYOUTS: dict[str, Layout] = {
    "A0": Layout(
        "mode 1 (0; 1 and export), key type 3H, scheme 1, [; flag 1 (0 ZMK, 1 TMK)] [key] "
        "[scheme 1], [% LMK] [# attributes] [& exportability]",
        (
            ("key under the LMK", KEY),
            ("key under the ZMK or TMK", KEY_OR_NONE),
            ("KCV", 6),
        ),
    ),
    "A4": Layout(
        "components 1, key type 3H, scheme 1, components [# version 2, optional blocks 2N]",
        _KEY_KCV,
    ),
    "A6": Layout("key type 3H, ZMK, key, scheme 1 [Atalla variant]", _KEY_KCV),
    "A8": Layout("key type 3H, [;1] ZMK or TMK, key, scheme 1 [Atalla variant]", _OUT_KCV),
    "AE": Layout("TMK, key [; scheme TMK, scheme LMK, KCV type]", (("key under the TMK", KEY),)),
    "AG": Layout("TMK, TAK [; scheme TMK, scheme LMK, KCV type]", (("key under the TMK", KEY),)),
    "AU": Layout(_FROM_LMK, _OUT_KCV),
    "AW": Layout(_TO_LMK, _KEY_KCV),
    "B2": Layout("length 4H, data", (("data", REST),)),
    "BA": Layout("PIN, account 12N", (("PIN under the LMK", REST),)),
    "BC": Layout(f"TPK, {_PIN_BODY}, PIN under the LMK"),
    "BE": Layout(f"ZPK, {_PIN_BODY}, PIN under the LMK"),
    "BG": Layout("account 12N, PIN under the old LMK", (("PIN under the LMK", REST),)),
    "BI": Layout("[; 0, scheme LMK, KCV type]", _KEY_KCV),
    "BK": Layout(
        "key type 3H, key, PVK, block, format 2N, check length 2N, account 12N, table 16, "
        "validation data 12A",
        (("offset", 12),),
    ),
    "BU": Layout("type 2, length flag 1, key [; key type 3H if FF] [; 00, KCV type]", _KCV),
    "BW": Layout(
        "key type code 2, length flag 1, key under the old LMK [; key type 3H] [; 0, scheme LMK, "
        "0] [# attributes]",
        (("key under the LMK", KEY),),
    ),
    "BY": Layout(_TO_LMK, _KEY_KCV),
    "CA": Layout(
        "TPK, [* or ~], ZPK or BDK, [KSN descriptor 3H, KSN], max PIN 2N, block, source format "
        "2N, destination format 2N, account 12N",
        _PIN,
    ),
    "CC": Layout(
        "ZPK, ZPK, max PIN 2N, block, source format 2N, destination format 2N, account 12N", _PIN
    ),
    "CI": Layout("BDK, ZPK, descriptor 3H, KSN, block, destination format 2N, account 12N", _PIN),
    "CK": Layout(f"BDK, PVK, descriptor 3H, KSN, block, {_IBM_TAIL}"),
    "CU": Layout(
        f"key type 3H, key, PVK, {_PIN_BODY}, PVKI 1N, PVV 4N, new block", (("new PVV", 4),)
    ),
    "CW": Layout("CVK, PAN, ;, expiry 4N, service code 3N", (("card value", 3),)),
    "CY": Layout("CVK, card value 3N, PAN, ;, expiry 4N, service code 3N"),
    "DA": Layout(f"TPK, PVK, max PIN 2N, block, format 2N, {_IBM_TAIL}"),
    "DC": Layout(f"TPK, PVK, {_PIN_BODY}, PVKI 1N, PVV 4N"),
    "DE": Layout(
        "PVK, PIN under the LMK, check length 2N, account 12N, table 16, validation data 12A",
        (("offset", 12),),
    ),
    "DG": Layout("PVK, PIN under the LMK, account 12N, PVKI 1N", (("PVV", 4),)),
    "DU": Layout(
        f"key type 3H, key, PVK, {_PIN_BODY}, PVKI 1N, PVV 4N, new block", (("new PVV", 4),)
    ),
    "DW": Layout(_TO_LMK, _KEY_KCV),
    "DY": Layout(_FROM_LMK, _OUT_KCV),
    "EA": Layout(f"ZPK, PVK, max PIN 2N, block, format 2N, {_IBM_TAIL}"),
    "EC": Layout(f"ZPK, PVK, {_PIN_BODY}, PVKI 1N, PVV 4N"),
    "EE": Layout(
        "PVK, offset 12H, check length 2N, account 12N, table 16, validation data 12A",
        (("PIN under the LMK", REST),),
    ),
    "FA": Layout(_TO_LMK, _KEY_KCV),
    "FC": Layout(_TO_LMK, _KEY_KCV),
    "FE": Layout(_FROM_LMK, _OUT_KCV),
    "FI": Layout("flag 1 (0 ZEK, 1 ZAK), ZMK [; schemes, KCV type]", (*_PAIR, *_KCV)),
    "FK": Layout(f"flag 1 (0 ZEK, 1 ZAK), {_TO_LMK}", _KEY_KCV),
    "FM": Layout(f"flag 1 (0 ZEK, 1 ZAK), {_FROM_LMK}", _OUT_KCV),
    "FW": Layout(f"key type 3H, key, PVK, {_PIN_BODY}, PVKI 1N", (("PVV", 4),)),
    "G0": Layout(
        "[flag] BDK, ZPK, KSN descriptor 3H, KSN, block, source format 2N, destination format 2N, "
        "account 12N",
        _PIN,
    ),
    "GC": Layout(_FROM_LMK, _OUT_KCV),
    "GM": Layout("hash identifier 2N, length 5N, data", (("hash", REST),)),
    "GO": Layout(f"mode 1, BDK, PVK, descriptor 3H, KSN, block, format 2N, {_IBM_TAIL}"),
    "GQ": Layout(f"mode 1, BDK, PVK, descriptor 3H, KSN, {_PIN_BODY}, PVKI 1N, PVV 4N"),
    "GW": Layout(
        "mode 1, method 1, BDK, descriptor 3H, KSN, [MAC], length 4, data", (("MAC", REST),)
    ),
    "HA": Layout("TMK [; schemes, KCV type]", _PAIR),
    "HC": Layout("current TMK, TPK or PVK [; schemes, KCV type]", _PAIR),
    "IA": Layout("ZMK [; scheme ZMK, scheme LMK, KCV type]", (*_PAIR, *_KCV)),
    "J2": Layout("-", (*_PERIOD, ("seconds", 10), ("seconds by load", REST))),
    "J4": Layout("-", (*_PERIOD, ("seconds", 10), ("calls by command", REST))),
    "J6": Layout("-"),
    "J8": Layout(
        "-",
        (
            *_PERIOD,
            ("reboots", 10),
            ("tampers", 10),
            ("PIN failures a minute exceeded", 7),
            ("PIN failures an hour exceeded", 5),
            ("PIN attacks", 8),
        ),
    ),
    "JA": Layout("account 12N [, PIN length 2N]", (("PIN under the LMK", REST),)),
    "JC": Layout(f"TPK, {_PIN_BODY}", (("PIN under the LMK", REST),)),
    "JE": Layout(f"ZPK, {_PIN_BODY}", (("PIN under the LMK", REST),)),
    "JG": Layout("ZPK, format 2N, account 12N, PIN under the LMK", (("PIN block", REST),)),
    "JI": Layout("-"),
    "JK": Layout(
        "-",
        (
            ("serial number", 12),
            ("date and time", 12),
            ("states", 7),
            ("LMKs", 2),
            ("test LMKs", 2),
            ("old LMKs", 2),
            ("each LMK", REST),
        ),
    ),
    "KA": Layout("key, type 2 [; ZZ, KCV type]", _KCV),
    "KQ": Layout(
        "mode 1, scheme 1, MK-AC, PAN/PSN 8B, ATC 2B, UN 4B, length 2H, data, ;, ARQC 8B "
        "[, ARC 2B]",
        (("ARPC", REST),),
    ),
    "KW": Layout(
        "mode 1, scheme 1, MK-AC, [IV 16B], PAN/PSN, [branch/height 1], ATC 2B, length 2H, data, "
        ";, ARQC 8B [, ARC or CSU]",
        (("ARPC", REST),),
    ),
    "LO": Layout("table under the old LMK 16H", (("table under the LMK", 16),)),
    "M0": Layout(
        "mode 2, input 1, output 1, key type 3H, key, [KSN], [IV], length 4H, data",
        (("next initial value", CHAINING), ("ciphertext", COUNTED)),
    ),
    "M2": Layout(
        "mode 2, input 1, output 1, key type 3H, key, [KSN], [IV], length 4H, data",
        (("next initial value", CHAINING), ("data", COUNTED)),
    ),
    "M4": Layout(
        "mode 2, mode 2, input 1, output 1, key type 3H, key, key type 3H, key, [IVs], length 4H, "
        "data",
        (("next initial values", CHAINING), ("ciphertext", COUNTED)),
    ),
    "M6": Layout(
        "mode 1, input 1, MAC size 1, algorithm 1, padding 1, key type 3H, key, [IV], length 4H, "
        "data",
        (("MAC, or chaining value", REST),),
    ),
    "M8": Layout(
        "mode 1, input 1, MAC size 1, algorithm 1, padding 1, key type 3H, key, [IV], length 4H, "
        "data, MAC",
        (("chaining value", REST),),
    ),
    "MA": Layout("TAK, data", (("MAC", 8),)),
    "MC": Layout("TAK, MAC 8H, data"),
    "ME": Layout("TAK, TAK, MAC 8H, data", (("MAC", 8),)),
    "MG": Layout(_FROM_LMK, _OUT_KCV),
    "MI": Layout(_TO_LMK, _KEY_KCV),
    "MQ": Layout("block number 1, ZAK, [IV 16H], length 4H, data", (("MAC", REST),)),
    "MS": Layout(
        "block number 1, key type 1, key length 1, message type 1, key, [IV 16H], length 4H, data",
        (("MAC, or chaining value", REST),),
    ),
    "N0": Layout("size 3N", (("random bytes", REST),)),
    "NC": Layout("-", (("LMK check value", 16), ("firmware", 9))),
    "NK": Layout("number of commands, commands with their lengths", (("replies", REST),)),
    "NO": Layout(
        "mode 2H",
        (
            ("buffer", 1),
            ("Ethernet", 1),
            ("sockets", 2),
            ("firmware", 9),
            ("reserved", 1),
            ("reserved", 4),
        ),
    ),
    "QK": Layout(
        "PIN under the LMK, account 12N, other account 12N", (("PIN under the LMK", REST),)
    ),
    "RA": Layout("-"),
}
"""Layouts by command code."""


def reply_fields(command: str, fields: str) -> list[tuple[str, str]]:
    """A reply's fields with their names.

    Args:
        command: the request's two characters.
        fields: the reply after its error code, without trailer.

    Returns:
        Names and values; what no layout names comes last as ``more``.

    >>> reply_fields("CA", "04F7808F2CBEC6316803")
    [('PIN length', '04'), ('PIN block', 'F7808F2CBEC63168'), ('PIN block format', '03')]
    """
    row = LAYOUTS[command].reply if command in LAYOUTS else ()
    found: list[tuple[str, str]] = []
    at = 0
    for number, (name, size) in enumerate(row):
        needed = sum(abs(later) for _, later in row[number + 1 :] if isinstance(later, int))
        value = fields[at : at + _width(fields[at:], size, needed)]
        if value:
            found.append((name, value))
        at += len(value)
    if fields[at:]:
        found.append(("more", fields[at:]))
    return found


def _width(text: str, size: Size, needed: int) -> int:
    if isinstance(size, int):
        return min(size, len(text)) if size >= 0 else max(len(text) + size, 0)
    if size == KEY or (size == KEY_OR_NONE and len(text) > needed):
        return _key_width(text)
    if size == REST:
        return len(text)
    if size == COUNTED:
        return len(text)
    if size == CHAINING:
        for width in (0, 16, 32, 48, 64):
            if text[width : width + 4] == f"{len(text) - width - 4:04X}":
                return width
    return 0


def _key_width(text: str) -> int:
    if text[:1] in ("S", "R") and text[2:6].isdecimal():
        return 1 + int(text[2:6])
    if text[:1] in _KEY_SIZES:
        return _KEY_SIZES[text[0]]
    return 32 if len(text) in (38, 48) else 16
