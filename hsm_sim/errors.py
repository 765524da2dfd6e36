"""What the security module refuses, sorted by who must act.

:class:`Refusal` is the caller's: it becomes an error code on the wire, and its reason goes to the
log and to the operator only. :class:`HsmConfigError` is the operator's. No text holds a key, a PIN,
a card number or clear data.
"""

from __future__ import annotations


class HsmError(Exception):
    """Root of this folder's errors."""


class HsmConfigError(HsmError):
    """The module cannot start as configured; the operator must mend it."""


class Refusal(HsmError):
    """A command is answered with an error code.

    Attributes:
        code: payShield error code, two characters.
        reason: why, in words, for the log and the operator.
        fields: diagnostic fields that follow the code (KQ and KW only), characters 0 to 255.
    """

    def __init__(self, code: str, reason: str, fields: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.fields = fields


ERROR_TEXTS: dict[str, str] = {
    "00": "no error",
    "01": "verification failed, or advisory: the imported key's parity was put right",
    "02": "inappropriate key length, or advisory: the PVK is not single length",
    "03": "invalid number of components",
    "04": "invalid key type code",
    "05": "invalid key length flag",
    "06": "invalid message length",
    "07": "invalid destination mode",
    "08": "invalid destination key type",
    "09": "invalid padding method",
    "10": "source key parity error",
    "11": "destination key parity error",
    "12": "contents of user storage not available",
    "13": "invalid LMK identifier",
    "14": "the PIN under the LMK is invalid",
    "15": "invalid input data",
    "17": "not in the authorised state",
    "20": "the PIN block does not contain valid values",
    "21": "invalid index",
    "22": "invalid account number",
    "23": "invalid PIN block format code",
    "24": "the PIN has fewer than 4 or more than 12 digits",
    "25": "decimalisation table error",
    "26": "invalid key scheme",
    "27": "incompatible key length",
    "28": "invalid key type",
    "29": "key function not permitted",
    "33": "old LMK storage corrupted",
    "39": "fraud detection: too many wrong PINs",
    "41": "internal error",
    "42": "DES failure",
    "47": "algorithm not licensed",
    "51": "invalid message header",
    "52": "invalid number of commands",
    "67": "command not licensed",
    "68": "command disabled",
    "69": "PIN block format disabled",
    "75": "single length key masquerading as double or triple length key",
    "80": "data length error",
    "81": "zero length of input data",
    "90": "data parity error on the line",
    "91": "longitudinal redundancy check error",
    "92": "transport count error",
    "A1": "incompatible LMK schemes",
    "A4": "key block authentication failure",
    "A5": "incompatible key length of a key block",
    "A6": "invalid key usage",
    "A7": "invalid algorithm of a key block",
    "A8": "invalid mode of use",
    "A9": "invalid key version number",
    "AA": "invalid exportability",
    "AB": "invalid number of optional blocks",
    "AC": "optional header block error",
    "AD": "key status optional block error",
    "B2": "other key block error",
}
