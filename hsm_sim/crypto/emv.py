"""EMV issuer cryptography: card keys, session keys, cryptograms, responses, secure messaging MACs.

Functions over bytes; keys are double length and come and go without adjusted parity mattering.
Where the data comes from (which tags, which padding) is the caller's business.
Source: EMV 4.3 Book 2, annexes A1.2 to A1.4 and 8.1 to 8.2; EMV 4.1 Book 2, A1.3 (tree); Mastercard
M/Chip 4 (proprietary session key); Visa VIS 1.4 (secure messaging key).
"""

from __future__ import annotations

import hashlib

from acquirer.hsm_sim.crypto import des, mac
from acquirer.hsm_sim.crypto.errors import KeyLengthError

_LETTERS_TO_DIGITS = str.maketrans("abcdef", "012345")


def pan_and_sequence(pan: str, sequence: str = "00") -> bytes:
    """Card number and PAN sequence number packed, a zero before them where they are odd.

    Args:
        pan: 1 to 19 digits.
        sequence: 2 digits.

    >>> pan_and_sequence("12345678901234567", "01").hex()
    '01234567890123456701'
    """
    digits = pan + sequence
    return bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))


def card_key_a(master: bytes, pan_psn: bytes) -> bytes:
    """A card's master key by option A (EMV Book 2, A1.4.1).

    Args:
        master: the issuer's master key, 16 bytes.
        pan_psn: packed card number and sequence number; the last 8 bytes count, zeros before
            fewer.

    Returns:
        16 bytes of odd parity.

    Raises:
        KeyLengthError: the master key is not double length.

    >>> master = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> card_key_a(master, pan_and_sequence("12345678901234567", "01")).hex()
    '73ad54688cef2934b0979857e3c719f1'
    """
    _check_double(master)
    left = pan_psn[-8:].rjust(8, b"\0")
    right = bytes(byte ^ 0xFF for byte in left)
    return des.odd_parity(des.encrypt_ecb(master, left + right))


def card_key_b(master: bytes, pan_psn: bytes) -> bytes:
    """A card's master key by option B, for card numbers of more than 16 digits (A1.4.2).

    Args:
        master: the issuer's master key, 16 bytes.
        pan_psn: packed card number and sequence number; up to 9 bytes option A applies.

    Returns:
        16 bytes of odd parity.

    Raises:
        KeyLengthError: the master key is not double length.

    >>> master = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> card_key_b(master, pan_and_sequence("12345678901234567", "01")).hex()
    'ad406d7f6d7570916d75e5dcab8cf737'
    """
    if len(pan_psn) <= 9:
        return card_key_a(master, pan_psn)
    digest = hashlib.sha1(pan_psn, usedforsecurity=False).hexdigest()
    digits = "".join(char for char in digest if char.isdecimal())
    letters = "".join(char for char in digest if not char.isdecimal())
    chosen = (digits + letters.translate(_LETTERS_TO_DIGITS))[:16]
    return card_key_a(master, bytes.fromhex(chosen))


def common_session_key(card_key: bytes, diversifier: bytes) -> bytes:
    """A session key by the common method (A1.3.1).

    Args:
        card_key: 16 bytes.
        diversifier: 8 bytes: ATC and zeros for cryptograms, the cryptogram for secure messaging.

    Returns:
        16 bytes of odd parity.

    Raises:
        KeyLengthError: the card key is not double length.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> common_session_key(key, bytes.fromhex("001C000000000000")).hex()
    'e9fb384af807b940fedcea613461b0c4'
    """
    _check_double(card_key)
    left = diversifier[:2] + b"\xf0" + diversifier[3:]
    right = diversifier[:2] + b"\x0f" + diversifier[3:]
    return des.odd_parity(des.encrypt_ecb(card_key, left + right))


def mchip_session_key(card_key: bytes, atc: bytes, unpredictable_number: bytes) -> bytes:
    """A session key by M/Chip's proprietary method: the common one over ATC, zeros and UN.

    Args:
        card_key: 16 bytes.
        atc: application transaction counter, 2 bytes.
        unpredictable_number: 4 bytes.
    """
    return common_session_key(card_key, atc + b"\0\0" + unpredictable_number)


def tree_session_key(
    card_key: bytes, atc: bytes, *, branches: int = 4, height: int = 8, iv: bytes = bytes(16)
) -> bytes:
    """A session key by EMV2000's tree (EMV 4.1 Book 2, A1.3.2).

    Args:
        card_key: 16 bytes.
        atc: 2 bytes.
        branches: children of a node.
        height: levels; ``branches ** height`` covers every ATC.
        iv: 16 bytes.

    Returns:
        16 bytes of odd parity.

    Raises:
        KeyLengthError: the card key is not double length.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> tree_session_key(key, bytes.fromhex("001C")).hex()
    'e5bf6d1067f194b0a89b7f5d83bc64a2'
    """
    _check_double(card_key)
    counter = int.from_bytes(atc, "big")
    grandparent, parent = iv, card_key
    for level in range(height - 1, 0, -1):
        number = counter // branches**level % branches
        grandparent, parent = parent, _tree_node(parent, grandparent, number)
    leaf = _tree_node(parent, grandparent, counter % branches)
    key = int.from_bytes(leaf, "big") ^ int.from_bytes(grandparent, "big")
    return des.odd_parity(key.to_bytes(16, "big"))


def visa_messaging_key(card_key: bytes, atc: bytes) -> bytes:
    """Visa's session key for secure messaging: the ATC added to both halves (VIS 1.4, B.4).

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> visa_messaging_key(key, bytes.fromhex("001C")).hex()
    '0123456789abcdf2fedcba987654cdf2'
    """
    _check_double(card_key)
    counter = int.from_bytes(atc, "big")
    mask = (counter << 64) | (counter ^ 0xFFFF)
    return des.odd_parity((int.from_bytes(card_key, "big") ^ mask).to_bytes(16, "big"))


def cryptogram(key: bytes, data: bytes, padding: mac.Padding = 1) -> bytes:
    """An application cryptogram: ARQC, TC or AAC (8.1.1).

    Args:
        key: card key or session key, 16 bytes.
        data: the transaction data.
        padding: 1 where the host has padded already, 2 for EMV's own.

    Returns:
        8 bytes.
    """
    return mac.x919(key, data, padding)


def response_1(key: bytes, arqc: bytes, response_code: bytes) -> bytes:
    """An ARPC by method 1 (8.2.1).

    Args:
        key: card key or session key, 16 bytes.
        arqc: 8 bytes.
        response_code: 2 bytes.

    Returns:
        8 bytes.

    >>> key = bytes.fromhex("AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB")
    >>> response_1(key, bytes.fromhex("1234567890ABCDEF"), bytes(2)).hex()
    'f5e6f44147e2f1b0'
    """
    mixed = int.from_bytes(arqc, "big") ^ (int.from_bytes(response_code, "big") << 48)
    return des.encrypt_ecb(key, mixed.to_bytes(8, "big"))


def response_2(key: bytes, arqc: bytes, status_update: bytes, proprietary: bytes = b"") -> bytes:
    """An ARPC by method 2 (8.2.2).

    Args:
        key: session key, 16 bytes.
        arqc: 8 bytes.
        status_update: card status update, 4 bytes.
        proprietary: proprietary authentication data, up to 8 bytes.

    Returns:
        4 bytes.

    >>> key = bytes.fromhex("AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB")
    >>> response_2(key, bytes.fromhex("1234567890ABCDEF"), bytes(4)).hex()
    '9308bebc'
    """
    return mac.x919(key, arqc + status_update + proprietary, 2)[:4]


def messaging_mac(key: bytes, message: bytes) -> bytes:
    """The MAC of an issuer's command to the card (9.2.3).

    Args:
        key: session key for integrity, 16 bytes.
        message: command header, transaction data, command data.

    Returns:
        8 bytes, of which a command carries 4 to 8.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> messaging_mac(key, bytes.fromhex("8424000008FFFF1234567890123456")).hex()
    'e07b8df1b4184282'
    """
    return mac.x919(key, message, 2)


def _tree_node(parent: bytes, grandparent: bytes, number: int) -> bytes:
    left = int.from_bytes(grandparent[:8], "big") ^ number
    right = int.from_bytes(grandparent[8:], "big") ^ number ^ 0xF0
    return des.encrypt_ecb(parent, left.to_bytes(8, "big") + right.to_bytes(8, "big"))


def _check_double(key: bytes) -> None:
    if len(key) != 16:
        raise KeyLengthError("EMV keys are double length")
