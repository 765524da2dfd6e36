"""What key blocks say of their keys: usages, modes of use, exportability, and what may follow.

A key never gains by travelling: its usage may become more particular, its mode of use and its
exportability narrower, nothing wider. Thales's own usages (71 TPK, 72 ZPK, …) leave in TR-31 blocks
as their X9.143 class. Source: X9.143:2022, tables 2 to 4; docs/hsm.md, ``#`` and ``&`` parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import KeyRole

_CIPHER_MODES, _MAC_MODES, _DERIVING_MODES = "BDEN", "CGVN", "XN"


@dataclass(frozen=True, slots=True)
class Usage:
    """A key usage of key blocks.

    Attributes:
        name: in words.
        standard: the X9.143 usage of its class.
        modes: modes of use that keys of it may have.
        algorithms: of ``D``, ``T``, ``A``.
    """

    name: str
    standard: str
    modes: str
    algorithms: str = "DTA"


USAGES: dict[str, Usage] = {
    "01": Usage("WatchWord key", "01", _CIPHER_MODES, "DT"),
    "B0": Usage("base derivation key", "B0", _DERIVING_MODES, "TA"),
    "41": Usage("base derivation key, type 2", "B0", _DERIVING_MODES, "TA"),
    "42": Usage("base derivation key, type 3", "B0", _DERIVING_MODES, "TA"),
    "43": Usage("base derivation key, type 4", "B0", _DERIVING_MODES, "TA"),
    "B1": Usage("initial DUKPT key", "B1", _DERIVING_MODES, "TA"),
    "C0": Usage("card verification key", "C0", _MAC_MODES, "DT"),
    "11": Usage("card verification key, Amex CSC", "C0", _MAC_MODES, "DT"),
    "12": Usage("card verification key, Mastercard CVC", "C0", _MAC_MODES, "DT"),
    "13": Usage("card verification key, Visa CVV", "C0", _MAC_MODES, "DT"),
    "D0": Usage("data encryption key", "D0", _CIPHER_MODES),
    "21": Usage("data encryption key, DEK", "D0", _CIPHER_MODES),
    "22": Usage("data encryption key, ZEK", "D0", _CIPHER_MODES),
    "23": Usage("data encryption key, TEK", "D0", _CIPHER_MODES),
    "E0": Usage("EMV master key, application cryptograms", "E0", "BCDEGNVX", "TA"),
    "E1": Usage("EMV master key, messaging for confidentiality", "E1", "BCDEGNVX", "TA"),
    "E2": Usage("EMV master key, messaging for integrity", "E2", "BCDEGNVX", "TA"),
    "E3": Usage("EMV master key, data authentication code", "E3", "BCDEGNVX", "TA"),
    "E4": Usage("EMV master key, dynamic numbers", "E4", "BCDEGNVX", "TA"),
    "E5": Usage("EMV master key, card personalisation", "E5", "BCDEGNVX", "TA"),
    "E6": Usage("EMV master key, other", "E6", "BCDEGNVX", "TA"),
    "32": Usage("master key of dynamic card values", "E6", "BCDEGNVX", "TA"),
    "K0": Usage("key encryption key", "K0", _CIPHER_MODES),
    "51": Usage("terminal master key", "K0", _CIPHER_MODES),
    "52": Usage("zone master key", "K0", _CIPHER_MODES),
    "54": Usage("key encryption key of Thales's", "K0", _CIPHER_MODES),
    "K1": Usage("key block protection key", "K1", _CIPHER_MODES),
    "M0": Usage("MAC key, ISO 16609", "M0", _MAC_MODES, "DT"),
    "M1": Usage("MAC key, ISO 9797-1 algorithm 1", "M1", _MAC_MODES),
    "M3": Usage("MAC key, ISO 9797-1 algorithm 3", "M3", _MAC_MODES, "DT"),
    "M5": Usage("MAC key, ISO 9797-1 algorithm 5", "M5", _MAC_MODES),
    "M6": Usage("MAC key, CMAC", "M6", _MAC_MODES),
    "P0": Usage("PIN encryption key", "P0", _CIPHER_MODES),
    "71": Usage("PIN encryption key of a terminal", "P0", _CIPHER_MODES),
    "72": Usage("PIN encryption key of a zone", "P0", _CIPHER_MODES),
    "V0": Usage("PIN verification key", "V0", _MAC_MODES, "DT"),
    "V1": Usage("PIN verification key, IBM 3624", "V1", _MAC_MODES, "DT"),
    "V2": Usage("PIN verification key, Visa PVV", "V2", _MAC_MODES, "DT"),
}
"""Usages that this module keeps keys for."""

ALGORITHMS: dict[str, tuple[str, int]] = {
    "DS": ("D", 8),
    "D1": ("D", 8),
    "T1": ("T", 8),
    "T2": ("T", 16),
    "T3": ("T", 24),
    "A1": ("A", 16),
    "A2": ("A", 24),
    "A3": ("A", 32),
}
"""Algorithm and length of a request's ``#`` part to the header's letter and bytes."""

MODES = {
    "B": "encipher and decipher",
    "C": "make and verify",
    "D": "decipher only",
    "E": "encipher only",
    "G": "make only",
    "N": "no restriction",
    "V": "verify only",
    "X": "derive keys only",
}
EXPORTABILITIES = {
    "N": "may not be exported",
    "E": "may be exported in key blocks only",
    "S": "may be exported in any form",
}
_FREEDOM = {"N": 0, "E": 1, "S": 2}
_NARROWER = {"B": "BDE", "C": "CGV"}

_DEFAULT_USAGES = {
    "000": "52",
    "001": "72",
    "002": "71",
    "70D": "71",
    "80D": "51",
    "402": "C0",
    "003": "M0",
    "008": "M0",
    "009": "B0",
    "609": "41",
    "809": "42",
    "909": "43",
    "302": "B1",
    "00A": "22",
    "00B": "21",
    "30B": "23",
    "006": "01",
    "100": "52",
    "109": "E0",
    "209": "E2",
    "309": "E1",
    "409": "E3",
    "509": "E4",
    "709": "32",
}


@dataclass(frozen=True, slots=True)
class RequestedBlock:
    """The ``#`` part of a request.

    Attributes:
        header: what the key block shall say; of A4's only version and optional blocks count.
        key_bytes: the length of a key to make.
    """

    header: BlockHeader
    key_bytes: int


def check_header(header: BlockHeader) -> None:
    """Refuse a header that no key of this module may have.

    Raises:
        Refusal: A6 usage, A7 algorithm, A8 mode of use, A9 version number, AA exportability.
    """
    usage = USAGES.get(header.usage)
    if usage is None:
        raise Refusal("A6", f"key usage {header.usage!r} is not kept here")
    if header.algorithm not in usage.algorithms:
        raise Refusal("A7", f"a {usage.name} is not for algorithm {header.algorithm!r}")
    if header.mode not in usage.modes:
        raise Refusal("A8", f"a {usage.name} has a mode of use of {usage.modes}")
    if not (header.version.isascii() and header.version.isalnum()):
        raise Refusal("A9", "a key version number is two letters or digits")
    if header.exportability not in _FREEDOM:
        raise Refusal("AA", "exportability is E, N or S")


def check_whole(header: BlockHeader) -> None:
    """Refuse a component where a whole key is wanted.

    Raises:
        Refusal: A9.
    """
    if header.is_component:
        raise Refusal("A9", "the key block holds a component, which is no key by itself")


def default_header(role: KeyRole, clear: bytes) -> BlockHeader:
    """The header of a DES key that a request names by its key type only.

    Raises:
        Refusal: A6, the key type says no usage (FFF).
    """
    usage = _DEFAULT_USAGES.get(role.code)
    if usage is None:
        raise Refusal("A6", "the key's usage is said neither by its type nor by a # part")
    return BlockHeader(usage, "D" if len(clear) == 8 else "T", "N", "00", "E")


def check_role(role: KeyRole, header: BlockHeader) -> None:
    """Refuse a key that may not be used in a role.

    Raises:
        Refusal: A6 usage, A7 algorithm, A8 mode of use.
    """
    if role.usages and header.usage not in role.usages:
        raise Refusal("A6", f"a key of usage {header.usage} cannot serve as {role.name}")
    if header.algorithm not in role.algorithms:
        raise Refusal("A7", f"a key of algorithm {header.algorithm} cannot serve as {role.name}")
    if role.modes and header.mode not in role.modes:
        raise Refusal("A8", f"the {role.name}'s mode of use is {header.mode}: not for this")


def narrowed(header: BlockHeader, wanted: BlockHeader) -> BlockHeader:
    """What a received key may become at a request's wish.

    Args:
        header: what its block says.
        wanted: the request's ``#`` part.

    Raises:
        Refusal: A6, A7, A8 or AA, the wish goes further than the block.
    """
    have, want = USAGES.get(header.usage), USAGES[wanted.usage]
    if (
        have is None
        or have.standard != want.standard
        or header.usage
        not in (
            wanted.usage,
            want.standard,
        )
    ):
        raise Refusal("A6", f"a key of usage {header.usage} does not become {wanted.usage}")
    if header.algorithm != wanted.algorithm:
        raise Refusal("A7", "the request names another algorithm than the key block")
    if header.mode not in ("N", wanted.mode) and wanted.mode not in _NARROWER.get(header.mode, ""):
        raise Refusal("A8", f"mode of use {header.mode} does not become {wanted.mode}")
    if _FREEDOM[wanted.exportability] > _FREEDOM.get(header.exportability, 0):
        raise Refusal("AA", "a key does not become easier to export")
    return replace(wanted, optional=wanted.optional or header.optional)


def for_export(header: BlockHeader, scheme: str, exportability: str) -> BlockHeader:
    """The header of a key that leaves under another master key.

    Args:
        header: what the key's own block says.
        scheme: the key scheme it leaves in.
        exportability: the request's ``&`` part, or an empty string.

    Raises:
        Refusal: AA, the key may not leave so.
    """
    freedom = _FREEDOM.get(header.exportability, 0)
    if freedom == 0:
        raise Refusal("AA", "the key is not exportable")
    if freedom == 1 and scheme not in ("S", "R"):
        raise Refusal("AA", "the key may leave in key blocks only")
    if exportability:
        if _FREEDOM.get(exportability, 3) > freedom:
            raise Refusal("AA", "a key does not become easier to export")
        header = replace(header, exportability=exportability)
    return header


def standard_header(header: BlockHeader) -> BlockHeader:
    """The same with the X9.143 usage of its class, for TR-31 blocks."""
    usage = USAGES.get(header.usage)
    return header if usage is None else replace(header, usage=usage.standard)
