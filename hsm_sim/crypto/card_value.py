"""Card verification values: CVV, CVC, iCVV, CVV2 and dCVV, one algorithm with other inputs.

CVV2 takes service code 000, iCVV 999; dCVV takes a key of the card's own and the transaction
counter. Source: Visa payment technology standards; the algorithm as
published in z/OS ICSF, appendix "Visa card verification value".
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.errors import KeyLengthError


def card_value(key: bytes, pan: str, expiry: str, service_code: str, digits: int = 3) -> str:
    """The card verification value.

    Args:
        key: CVK A and B, 16 bytes.
        pan: 1 to 19 digits.
        expiry: 4 digits, in the order that the scheme prescribes (YYMM or MMYY).
        service_code: 3 digits.
        digits: how many digits of the value.

    Raises:
        KeyLengthError: the key is not double length.
        ValueError: the card's data does not fit 32 digits.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> card_value(key, "4123456789012345", "8701", "101")
    '561'
    """
    if len(key) != 16:
        raise KeyLengthError("a CVK is double length")
    block = bytes.fromhex((pan + expiry + service_code).ljust(32, "0"))
    if len(block) != 16:
        raise ValueError("card number, expiry and service code have more than 32 digits")
    first = des.encrypt_ecb(key[:8], block[:8])
    middle = int.from_bytes(first, "big") ^ int.from_bytes(block[8:], "big")
    result = des.encrypt_ecb(key, middle.to_bytes(8, "big")).hex()
    decimals = "".join(char for char in result if char.isdecimal())
    letters = "".join(str(int(char, 16) - 10) for char in result if not char.isdecimal())
    return (decimals + letters)[:digits]


def dynamic_card_value(
    card_key: bytes, pan: str, expiry: str, service_code: str, atc: int, digits: int = 3
) -> str:
    """Visa's dCVV of contactless cards: the counter stands in for the first four PAN digits.

    Args:
        card_key: the card's key, derived from MK-DCVV by EMV's option A, 16 bytes.
        pan: 4 to 19 digits.
        expiry: 4 digits.
        service_code: 3 digits.
        atc: application transaction counter; its last four decimal digits count.
        digits: how many digits of the value.

    Raises:
        KeyLengthError: the key is not double length.
        ValueError: the card's data does not fit 32 digits.
    """
    return card_value(card_key, f"{atc % 10_000:04}{pan[4:]}", expiry, service_code, digits)
