"""Local master keys: what opens and writes the keys that travel in host commands.

:class:`VariantLmk` is a set of twenty pairs with type and scheme variants. Key block LMKs answer
the same :class:`LocalMasterKey` protocol. Opened keys stay in a bounded cache with their cipher
objects. Source: docs/hsm.md, "Local master keys and key schemes".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Protocol

from acquirer.hsm_sim import schemes
from acquirer.hsm_sim.crypto import aes, des, kcv, lmk_variants, pin_storage
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.errors import HsmConfigError, Refusal
from acquirer.hsm_sim.key_types import PAIR_OF_CODE, PIN_PAIR, KeyRole

KEYS_KEPT_MAX = 4096
"""Opened keys of an LMK: those of 2,000 terminals, 10 MB with the contexts they encipher by."""
DERIVED_CODE = "302"
"""Key type of initial DUKPT keys, which have the parity that their derivation gave them."""

KeyField = tuple[KeyRole, str]
"""A key of a request: the role it is wanted in and its text."""

_ALGORITHM_AT = 8


def block_bytes(field: KeyField) -> int:
    """The block size of a closed key's cipher: 16 where its key block names AES, else 8.

    Requests say so because lengths of initial values depend on it.
    """
    text = field[1]
    return 16 if text[:1] == "S" and text[_ALGORITHM_AT : _ALGORITHM_AT + 1] == "A" else 8


_TEST_PAIRS = (
    "0101010101010101 7902CD1FD36EF8BA",
    "2020202020202020 3131313131313131",
    "4040404040404040 5151515151515151",
    "6161616161616161 7070707070707070",
    "8080808080808080 9191919191919191",
    "A1A1A1A1A1A1A1A1 B0B0B0B0B0B0B0B0",
    "C1C1010101010101 D0D0010101010101",
    "E0E0010101010101 F1F1010101010101",
    "1C587F1C13924FEF 0101010101010101",
    "0101010101010101 0101010101010101",
    "0202020202020202 0404040404040404",
    "0707070707070707 1010101010101010",
    "1313131313131313 1515151515151515",
    "1616161616161616 1919191919191919",
    "1A1A1A1A1A1A1A1A 1C1C1C1C1C1C1C1C",
    "2323232323232323 2525252525252525",
    "2626262626262626 2929292929292929",
    "2A2A2A2A2A2A2A2A 2C2C2C2C2C2C2C2C",
    "2F2F2F2F2F2F2F2F 3131313131313131",
    "0101010101010101 0101010101010101",
)
TEST_VARIANT_PAIRS: tuple[bytes, ...] = tuple(bytes.fromhex(pair) for pair in _TEST_PAIRS)
"""The published variant test LMK, pairs 00-01 to 38-39."""

TEST_CHECK_VALUE = "2686047647044911"
"""What NC reports for the published variant test LMK; how it is made is not public."""


class WorkingKey:
    """A key that a command may use, opened.

    Attributes:
        clear: the key's bytes.
        cipher: its cipher object.
        scheme: the scheme letter it came with, or an empty string.
        header: what its key block says of it; None where it came in none.
        algorithm: ``T`` DES of any length, ``A`` AES.
    """

    __slots__ = ("_left", "algorithm", "cipher", "clear", "header", "scheme")

    def __init__(self, clear: bytes, scheme: str, header: BlockHeader | None = None) -> None:
        self.clear = clear
        self.scheme = scheme
        self.header = header
        self.algorithm: Literal["T", "A"] = "A" if header and header.algorithm == "A" else "T"
        self.cipher = aes.new_cipher(clear) if self.algorithm == "A" else des.new_cipher(clear)
        self._left: BlockCipher | None = None

    @property
    def left(self) -> BlockCipher:
        """Cipher object of the left half, for retail MACs."""
        if self._left is None:
            self._left = des.new_cipher(self.clear[:8])
        return self._left

    def kcv(self, digits: Literal[6, 8, 16] = 6) -> str:
        """The key check value, upper-case hexadecimal digits; CMAC where it is an AES key."""
        if self.algorithm == "A":
            return kcv.kcv_aes(self.clear, digits)
        return kcv.kcv(self.clear, digits)

    def __repr__(self) -> str:
        return f"<WorkingKey of {len(self.clear)} bytes>"


class LocalMasterKey(Protocol):
    """What commands need of a local master key.

    Attributes:
        is_test: whether it is a published test key.
        check_value: 16 digits for NC.
        uses_blocks: whether keys under it are Thales key blocks.
        algorithm: as JK tells it: ``0`` double-length TDES, ``1`` triple-length, ``2`` AES.
    """

    is_test: bool
    check_value: str
    uses_blocks: bool
    algorithm: str

    def key(self, field: KeyField, parity: str = "10") -> WorkingKey:
        """Open a key; ``parity`` is the error code for wrong parity (10 source, 11 destination)."""

    def component(self, field: KeyField) -> WorkingKey:
        """Open a component of a key, or a whole key that serves as one."""

    def wrap(
        self, role: KeyRole, clear: bytes, scheme: str, header: BlockHeader | None = None
    ) -> str:
        """Write a key for a reply; ``header`` is for key blocks."""

    def encipher_pin(self, pin: str, account_number: str) -> str:
        """A PIN's stored form."""

    def decipher_pin(self, stored: str, account_number: str) -> str:
        """The PIN behind a stored form."""

    def encipher_table(self, table: bytes) -> bytes:
        """A decimalisation table's stored form; 8 bytes, a digit in each half byte."""

    def decipher_table(self, cryptogram: bytes) -> bytes:
        """The decimalisation table behind a stored form, 8 bytes; any bytes are taken."""


class VariantLmk:
    """A variant LMK: pairs 00-01 to 38-39.

    Attributes:
        is_test: whether these are the published test keys.
        check_value: 16 digits for NC.
        uses_blocks: false.
        algorithm: as JK tells it, ``0`` double-length TDES.
    """

    uses_blocks = False
    algorithm = "0"

    def __init__(
        self,
        pairs: tuple[bytes, ...],
        *,
        pci_key_separation: bool = False,
        pin_digits_max: int = 12,
    ) -> None:
        if len(pairs) != len(TEST_VARIANT_PAIRS) or any(len(pair) != 16 for pair in pairs):
            raise HsmConfigError("a variant LMK is twenty pairs of 16 bytes")
        self.is_test = pairs == TEST_VARIANT_PAIRS
        self._pairs = pairs
        self._separate = pci_key_separation
        self._pin_digits_max = pin_digits_max
        self._open = lru_cache(maxsize=KEYS_KEPT_MAX)(self._unwrap)
        self.check_value = TEST_CHECK_VALUE if self.is_test else _check_value(pairs)

    def key(self, field: KeyField, parity: str = "10") -> WorkingKey:
        """Open a key.

        Args:
            field: role and text.
            parity: the error code for wrong parity: 10 source key, 11 destination key.

        Raises:
            Refusal: 15, 26, A1 the text is no key of a variant LMK; 10 or 11 wrong parity.
        """
        return self._open(field, parity)

    def component(self, field: KeyField) -> WorkingKey:
        """Open a component, which stands under the LMK as a whole key does."""
        return self._unwrap(field, "10")

    def wrap(
        self, role: KeyRole, clear: bytes, scheme: str, header: BlockHeader | None = None
    ) -> str:
        """Write a key for a reply.

        Args:
            role: decides the pair and its variant.
            clear: 8, 16 or 24 bytes.
            scheme: none, ``0``, ``Z``, ``U``, ``T``, ``X`` or ``Y``.
            header: what a key block said of the key; only its algorithm matters here.

        Raises:
            Refusal: 04 no key type, 26 unknown scheme, 27 the length does not fit it, A7 AES key.
        """
        if header is not None and header.algorithm == "A":
            raise Refusal("A7", "AES keys are kept under key block LMKs only")
        return schemes.wrap(self._master(role), clear, scheme)

    def encipher_pin(self, pin: str, account_number: str) -> str:
        """A PIN's stored form: one digit more than the longest PIN has.

        Raises:
            PinBlockError: 24.
        """
        pair = self._pairs[PIN_PAIR]
        return pin_storage.encipher_pin(pair, pin, account_number, self._pin_digits_max)

    def decipher_pin(self, stored: str, account_number: str) -> str:
        """The PIN behind a stored form.

        Raises:
            PinBlockError: 14.
        """
        pair = self._pairs[PIN_PAIR]
        return pin_storage.decipher_pin(pair, stored, account_number, self._pin_digits_max)

    def encipher_table(self, table: bytes) -> bytes:
        """A decimalisation table's stored form: under pair 02-03, in a way of this module's own."""
        return des.encrypt_ecb(self._pairs[PIN_PAIR], table)

    def decipher_table(self, cryptogram: bytes) -> bytes:
        """The table behind a stored form."""
        return des.decrypt_ecb(self._pairs[PIN_PAIR], cryptogram)

    def _master(self, role: KeyRole) -> bytes:
        code = role.pci_code if self._separate else role.code
        if code[1:] not in PAIR_OF_CODE:
            raise Refusal("04", "key type FFF is for key block LMKs")
        return lmk_variants.type_variant(self._pairs[PAIR_OF_CODE[code[1:]]], int(code[0]))

    def _unwrap(self, field: KeyField, parity: str) -> WorkingKey:
        role, text = field
        if text[:1] in ("S", "R"):
            raise Refusal("A1", "a key block does not open under a variant LMK")
        clear = schemes.unwrap(self._master(role), text)
        if role.code != DERIVED_CODE and not des.has_odd_parity(clear):
            raise Refusal(parity, f"the {role.name} has wrong parity: not under this LMK pair?")
        return WorkingKey(clear, text[:1] if text[:1] in ("Z", "U", "T", "X", "Y") else "")

    def __repr__(self) -> str:
        return f"<VariantLmk {'of the published test keys' if self.is_test else 'production'}>"


def _check_value(pairs: tuple[bytes, ...]) -> str:
    folded = 0
    for pair in pairs:
        folded ^= int.from_bytes(pair, "big")
    return kcv.kcv(des.odd_parity(folded.to_bytes(16, "big")), 16)
