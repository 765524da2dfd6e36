"""Card data at rest: masked text, a keyed token, an AES-GCM cryptogram.

The data key is 32 random bytes. At rest it exists only enciphered by the security module (M0
under a DEK under the LMK); the switch has it opened at start and keeps it in memory. Token and
cryptogram keys are derived from it by HKDF.
Source: NIST SP 800-38D (GCM), RFC 5869 (HKDF), PCI DSS 4.0, 3.5.1 (keyed cryptographic hashes).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from acquirer.codecs.pan import Pan
from acquirer.ledger.journal.entries import (
    CardRecord,
)
from acquirer.payments.kernel.errors import CardUnreadable

TOKEN_BYTES = 16
NONCE_BYTES = 12
DATA_KEY_BYTES = 32
CHECK_BYTES = 8


class CardVault:
    """Turns card numbers into what the database may hold, and back.

    Args:
        data_key: 32 bytes.
        random_bytes: source of nonces, injected.
    """

    def __init__(self, data_key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._aead = AESGCM(_derive(data_key, b"pan-cipher"))
        self._icc_aead = AESGCM(_derive(data_key, b"icc-cipher"))
        self._token = hmac.new(_derive(data_key, b"pan-token"), digestmod="sha256")
        self._digest = hmac.new(_derive(data_key, b"fingerprint"), digestmod="sha256")
        self._random_bytes = random_bytes

    def seal(self, pan: Pan) -> CardRecord:
        """Masked text, token and cryptogram of a card number."""
        nonce = self._random_bytes(NONCE_BYTES)
        token = self.token(pan)
        cipher = nonce + self._aead.encrypt(nonce, pan.digits.encode("ascii"), token)
        return CardRecord(pan.masked, token, cipher)

    def open(self, card: CardRecord) -> Pan:
        """The card number again.

        Raises:
            CardUnreadable: the row was altered, or the key is another.
        """
        nonce, sealed = card.pan_cipher[:NONCE_BYTES], card.pan_cipher[NONCE_BYTES:]
        try:
            return Pan(self._aead.decrypt(nonce, sealed, card.pan_token).decode("ascii"))
        except (InvalidTag, ValueError):
            raise CardUnreadable(
                f"card {card.pan_masked} does not open: the row was altered, or was stored under"
                " another data key"
            ) from None

    def seal_bytes(self, data: bytes, about: bytes) -> bytes:
        """Nonce, cryptogram and tag of other card data, bound to what it is about."""
        nonce = self._random_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data, about)

    def seal_icc(self, icc: bytes, rrn: str) -> str:
        """DE55 as it may lie in the books.

        Args:
            icc: BER-TLV, without what nobody may keep.
            rrn: of the payment, to which it is bound.

        Returns:
            Hexadecimal: nonce, cryptogram and tag; empty for none.
        """
        if not icc:
            return ""
        nonce = self._random_bytes(NONCE_BYTES)
        return (nonce + self._icc_aead.encrypt(nonce, icc, rrn.encode("ascii"))).hex()

    def open_icc(self, sealed: str, rrn: str) -> bytes:
        """DE55 again, empty for none.

        Raises:
            CardUnreadable: the row was altered, or the key is another.
        """
        if not sealed:
            return b""
        try:
            data = bytes.fromhex(sealed)
            nonce, cipher = data[:NONCE_BYTES], data[NONCE_BYTES:]
            return self._icc_aead.decrypt(nonce, cipher, rrn.encode("ascii"))
        except (InvalidTag, ValueError):
            raise CardUnreadable(
                f"the chip's data of payment {rrn} does not open: the row was altered, or was"
                " stored under another data key"
            ) from None

    def token(self, pan: Pan) -> bytes:
        """16-byte HMAC-SHA256 token: equal for equal cards, useless without the key."""
        return _keyed(self._token, pan.digits.encode("ascii"))

    def fingerprint(self, *parts: str) -> bytes:
        """16-byte keyed digest of a request's identity; parts may hold card data."""
        text = "\x1f".join(parts).encode("utf-8", "surrogateescape")
        return _keyed(self._digest, text)


def _keyed(keyed: hmac.HMAC, data: bytes) -> bytes:
    """A token of data under a key that is set up already.

    ``hmac.digest`` would set it up each time, and hand the interpreter's lock to another thread.
    """
    made = keyed.copy()
    made.update(data)
    return made.digest()[:TOKEN_BYTES]


def data_key_with_check(data_key: bytes) -> bytes:
    """A data key as the security module enciphers it: 32 bytes, then 8 that prove them."""
    return data_key + _check(data_key)


def checked_data_key(opened: bytes) -> bytes:
    """The data key out of what the security module deciphered.

    Raises:
        ValueError: it is another key's cryptogram, or damaged.
    """
    data_key, check = opened[:DATA_KEY_BYTES], opened[DATA_KEY_BYTES:]
    if len(data_key) != DATA_KEY_BYTES or not hmac.compare_digest(_check(data_key), check):
        raise ValueError("the data key does not open under this key")
    return data_key


def _check(data_key: bytes) -> bytes:
    return _derive(data_key, b"check")[:CHECK_BYTES]


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"acquirer/" + purpose).derive(key)
