"""PINs kept under a local master key: a format of this module's own, digits in and digits out.

The PIN (4 to 12 digits) becomes its rank among all PINs, a number that ``digits_max + 1`` decimal
digits hold, and a ten-round alternating Feistel network over decimal halves enciphers that, keyed
by the LMK pair and the account number. One value in about nine is no PIN, so a wrong account or a
guessed cryptogram may show but need not. Structure after FF1 (NIST SP 800-38G, 5); round function
HMAC-SHA-256. A real payShield has its own secret format; the two do not mix.
"""

from __future__ import annotations

import hmac

from acquirer.hsm_sim.crypto.errors import PinBlockError

_ROUNDS = 10
_PIN_DIGITS_MIN = 4


def encipher_pin(key: bytes, pin: str, account_number: str, digits_max: int = 12) -> str:
    """A PIN's stored form.

    Args:
        key: LMK pair 02-03, 16 bytes.
        pin: 4 to ``digits_max`` digits.
        account_number: 12 digits; the same are needed to read the PIN.
        digits_max: the module's setting, 4 to 12.

    Returns:
        ``digits_max + 1`` decimal digits.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length or with other characters.
    """
    if not (_PIN_DIGITS_MIN <= len(pin) <= digits_max and pin.isascii() and pin.isdecimal()):
        raise PinBlockError("24", f"a PIN has 4 to {digits_max} digits")
    rank = int(pin) + sum(10**length for length in range(_PIN_DIGITS_MIN, len(pin)))
    return _feistel(key, account_number, f"{rank:0{digits_max + 1}d}", backward=False)


def decipher_pin(key: bytes, stored: str, account_number: str, digits_max: int = 12) -> str:
    """The PIN behind a stored form.

    Args:
        key: LMK pair 02-03, 16 bytes.
        stored: ``digits_max + 1`` decimal digits.
        account_number: the 12 digits it was stored with.
        digits_max: the module's setting.

    Raises:
        PinBlockError: 14, it is no PIN of this key and account.
    """
    if len(stored) != digits_max + 1 or not (stored.isascii() and stored.isdecimal()):
        raise PinBlockError("14", f"a PIN under the LMK has {digits_max + 1} digits")
    rank = int(_feistel(key, account_number, stored, backward=True))
    for length in range(_PIN_DIGITS_MIN, digits_max + 1):
        if rank < 10**length:
            return f"{rank:0{length}d}"
        rank -= 10**length
    raise PinBlockError("14", "the PIN under the LMK is not valid with this account number")


def _feistel(key: bytes, tweak: str, digits: str, *, backward: bool) -> str:
    half = len(digits) // 2
    left, right = int(digits[:half]), int(digits[half:])
    moduli = (10**half, 10 ** (len(digits) - half))
    rounds = range(_ROUNDS - 1, -1, -1) if backward else range(_ROUNDS)
    sign = -1 if backward else 1
    for number in rounds:
        source = left if number % 2 else right
        message = f"{number}:{tweak}:{len(digits)}:{source}".encode("ascii")
        value = sign * int.from_bytes(hmac.digest(key, message, "sha256")[:16], "big")
        if number % 2:
            right = (right + value) % moduli[1]
        else:
            left = (left + value) % moduli[0]
    return f"{left:0{half}d}{right:0{len(digits) - half}d}"
