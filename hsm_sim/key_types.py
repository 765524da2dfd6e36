"""Key types of variant LMKs and the roles in which commands ask for keys.

A key type code is a variant digit and two characters that name an LMK pair. A role is what a
command wants: its key type under a variant LMK (with and without PCI key separation), the usages
it accepts in key blocks, and how long a key without scheme letter is.
Source: docs/hsm.md, "Local master keys and key schemes"; X9.143, table of key usages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from acquirer.hsm_sim.errors import Refusal

PAIR_OF_CODE = {
    "00": 2,
    "01": 3,
    "02": 7,
    "03": 8,
    "04": 9,
    "05": 10,
    "06": 11,
    "07": 12,
    "08": 13,
    "09": 14,
    "0A": 15,
    "0B": 16,
    "0C": 17,
    "0D": 18,
}
"""Two-character pair code to the pair's place in the set (pair 04-05 is number 2)."""

PIN_PAIR = 1
"""Pair 02-03 keeps PINs and decimalisation tables."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyRole:
    """What a command wants of a key. Compared by identity, so that look-ups are quick.

    Attributes:
        name: for logs and the operator.
        code: key type code under a variant LMK, three characters.
        pci_code: the code when terminal keys are kept apart (``pci_key_separation``).
        bare_hex: hexadecimal digits of a key without scheme letter; 0 = as the module's
            ZMK length setting says.
        usages: key block usages that the role accepts (payShield's own and X9.143's); none = all.
        modes: modes of use that it accepts in key blocks; none = all.
        algorithms: algorithms of its keys: ``D`` and ``T`` DES, ``A`` AES.
    """

    name: str
    code: str
    pci_code: str
    bare_hex: int = 16
    usages: tuple[str, ...] = ()
    modes: str = ""
    algorithms: str = "DT"


ENCIPHER, DECIPHER = "BEN", "BDN"
GENERATE, VERIFY = "CGN", "CVN"
DERIVE = "XN"
"""Modes of use that allow what their name says."""


@lru_cache(maxsize=256)
def using(role: KeyRole, modes: str) -> KeyRole:
    """The same role for one kind of use; the same object for the same arguments.

    Args:
        role: such as :data:`ZPK`.
        modes: such as :data:`ENCIPHER`.
    """
    return replace(role, modes=modes)


ANY_KEY = KeyRole("key", "FFF", "FFF", 16, algorithms="DTA")
ZMK = KeyRole("ZMK", "000", "000", 0, ("K0", "K1", "52", "54"), "", "DTA")
ZPK = KeyRole("ZPK", "001", "001", 16, ("P0", "72"), "", "DTA")
TPK = KeyRole("TPK", "002", "70D", 16, ("P0", "71"), "", "DTA")
TMK = KeyRole("TMK", "002", "80D", 16, ("K0", "51"), "", "DTA")
TERMINAL_KEY = KeyRole(
    "TMK, TPK or PVK", "002", "002", 16, ("K0", "51", "P0", "71", "V0", "V1", "V2"), "", "DTA"
)
PVK_IBM = KeyRole("PVK (IBM 3624)", "002", "002", 16, ("V0", "V1"))
PVK_VISA = KeyRole("PVK pair (Visa PVV)", "002", "002", 32, ("V0", "V2"))
CVK = KeyRole("CVK", "402", "402", 32, ("C0", "11", "12", "13"))
TAK = KeyRole("TAK", "003", "003", 16, ("M0", "M1", "M3", "M5", "M6"), "", "DTA")
ZAK = KeyRole("ZAK", "008", "008", 16, ("M0", "M1", "M3", "M5", "M6"), "", "DTA")
BDK = KeyRole("BDK type 1", "009", "009", 32, ("B0",), DERIVE, "TA")
BDK_2 = KeyRole("BDK type 2", "609", "609", 32, ("41",), DERIVE, "TA")
ZEK = KeyRole("ZEK", "00A", "00A", 16, ("D0", "22"), "", "DTA")
DEK = KeyRole("DEK", "00B", "00B", 16, ("D0", "21"), "", "DTA")
TEK = KeyRole("TEK", "30B", "30B", 16, ("D0", "23"), "", "DTA")
MK_AC = KeyRole("MK-AC", "109", "109", 32, ("E0",), "XNC", "TA")

KEY_TYPES: dict[str, KeyRole] = {
    role.code: role
    for role in (
        ZMK,
        ZPK,
        TERMINAL_KEY,
        CVK,
        TAK,
        ZAK,
        BDK,
        BDK_2,
        ZEK,
        DEK,
        TEK,
        MK_AC,
        ANY_KEY,
        KeyRole("ZMK component", "100", "100", 0, ("K0", "52"), "", "DTA"),
        KeyRole("KML", "200", "200"),
        KeyRole("IKEY", "302", "302", 32, ("B1",), DERIVE, "TA"),
        KeyRole("WWK", "006", "006", 16, ("01",)),
        KeyRole("MK-SMI", "209", "209", 32, ("E2",)),
        KeyRole("MK-SMC", "309", "309", 32, ("E1",)),
        KeyRole("MK-DAC", "409", "409", 32, ("E3",)),
        KeyRole("MK-DN", "509", "509", 32, ("E4",)),
        KeyRole("MK-DCVV", "709", "709", 32, ("E6", "32")),
        KeyRole("BDK type 3", "809", "809", 32, ("42",), DERIVE, "TA"),
        KeyRole("BDK type 4", "909", "909", 32, ("43",), DERIVE, "TA"),
        KeyRole("TPK", "70D", "70D", 16, ("P0", "71"), "", "DTA"),
        KeyRole("TMK", "80D", "80D", 16, ("K0", "51"), "", "DTA"),
    )
}
"""Key types by code, for commands whose request names one."""


def key_type(code: str, error: str = "04") -> KeyRole:
    """The role behind a key type code of a request.

    Args:
        code: three characters.
        error: the error code where there is no such type.

    Raises:
        Refusal: no such key type.
    """
    role = KEY_TYPES.get(code)
    if role is None:
        raise Refusal(error, "there is no such key type")
    return role
