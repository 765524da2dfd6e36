"""Key block local master keys: one TDES or AES key, under which every key is a Thales block.

The block says what its key is for; :meth:`KeyBlockLmk.key` holds a command to that. Its parity is
not looked at: the block's MAC says more. Source: docs/hsm.md, "Local master keys and key
schemes".
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from functools import lru_cache

from acquirer.hsm_sim.crypto import des, kcv, mac, pin_storage, thales_block
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.crypto.errors import KeyBlockError
from acquirer.hsm_sim.errors import HsmConfigError, Refusal
from acquirer.hsm_sim.key_attributes import (
    check_header,
    check_role,
    check_whole,
    default_header,
)
from acquirer.hsm_sim.key_types import KeyRole
from acquirer.hsm_sim.lmk import KEYS_KEPT_MAX, KeyField, WorkingKey

TEST_TDES_LMK = bytes.fromhex("0123456789ABCDEF8080808080808080FEDCBA9876543210")
"""The published TDES key block test LMK."""
TEST_AES_LMK = bytes.fromhex("9B71333A13F9FAE72F9D0E2DAB4AD6784718012F9244033F3F26A2DE0C8AA11A")
"""The published AES key block test LMK."""

_TABLE_VARIANT = 0x54
"""Variant of a TDES LMK under which decimalisation tables are kept, found from published values."""

_TEST_TDES_CHECK_VALUE = "1651260000000000"


class KeyBlockLmk:
    """A key block LMK: 24 bytes TDES or 32 bytes AES.

    Attributes:
        is_test: whether this is a published test key.
        check_value: 16 digits for NC. AES: CMAC of the empty message; TDES: the key's KCV, the
            published key apart, whose value (165126) is a constant of unknown making.
        uses_blocks: true.
        algorithm: as JK tells it, ``1`` TDES or ``2`` AES.
    """

    uses_blocks = True

    def __init__(
        self,
        key: bytes,
        lmk_id: str,
        *,
        pin_digits_max: int = 12,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if len(key) not in (24, 32):
            raise HsmConfigError("a key block LMK has 24 (TDES) or 32 bytes (AES)")
        self.is_test = key in (TEST_TDES_LMK, TEST_AES_LMK)
        self._key = key
        self._version_id = thales_block.TDES if len(key) == 24 else thales_block.AES
        self.algorithm = "1" if len(key) == 24 else "2"
        self._lmk_id = lmk_id
        self._random = random
        self._pin_digits_max = pin_digits_max
        self._pin_key = hmac.digest(key, b"PIN storage", "sha256")
        self._table_key = (
            bytes(byte ^ _TABLE_VARIANT for byte in key)
            if len(key) == 24
            else hmac.digest(key, b"decimalisation table", "sha256")[:24]
        )
        self._open = lru_cache(maxsize=KEYS_KEPT_MAX)(self._unwrap_whole)
        if self._version_id == thales_block.AES:
            self.check_value = mac.cmac_aes(key, b"").hex().upper()[:16]
        else:
            self.check_value = _TEST_TDES_CHECK_VALUE if key == TEST_TDES_LMK else kcv.kcv(key, 16)

    def key(self, field: KeyField, parity: str = "10") -> WorkingKey:
        """Open a key and hold the request to its attributes.

        Args:
            field: role and text.
            parity: plays no part here.

        Raises:
            Refusal: A1 it is no key block of this LMK's version, A4 not authentic, A5, AB, AC, B2
                unreadable, A6 usage, A7 algorithm, A8 mode of use, A9 it is a component.
        """
        return self._open(field)

    def component(self, field: KeyField) -> WorkingKey:
        """Open a component of a key; errors as :meth:`key`, A9 apart."""
        return self._unwrap(field)

    def wrap(
        self, role: KeyRole, clear: bytes, scheme: str, header: BlockHeader | None = None
    ) -> str:
        """Write a key for a reply.

        Args:
            role: says the usage where ``header`` is left out.
            clear: the key's bytes.
            scheme: ``S``; none and ``0`` are taken as that.
            header: what the block shall say.

        Raises:
            Refusal: 26 another scheme; A6 to AC the header is not possible.
        """
        if scheme not in ("S", "", "0"):
            raise Refusal("26", "keys under a key block LMK are of scheme S")
        chosen = header or default_header(role, clear)
        check_header(chosen)
        if len(clear) not in thales_block.KEY_BYTES[chosen.algorithm]:
            raise Refusal("A7", "the key's length does not fit its algorithm")
        if chosen.algorithm == "A" and self._version_id == thales_block.TDES:
            raise Refusal("A7", "AES keys are not kept under a TDES LMK")
        try:
            block = thales_block.wrap(
                self._version_id, self._key, chosen, clear, self._random, self._lmk_id
            )
        except KeyBlockError as error:
            raise Refusal(error.code, str(error)) from None
        return "S" + block

    def encipher_pin(self, pin: str, account_number: str) -> str:
        """A PIN's stored form; as :meth:`VariantLmk.encipher_pin`."""
        return pin_storage.encipher_pin(self._pin_key, pin, account_number, self._pin_digits_max)

    def decipher_pin(self, stored: str, account_number: str) -> str:
        """The PIN behind a stored form; as :meth:`VariantLmk.decipher_pin`."""
        return pin_storage.decipher_pin(self._pin_key, stored, account_number, self._pin_digits_max)

    def encipher_table(self, table: bytes) -> bytes:
        """A decimalisation table's stored form: TDES under the LMK's variant for tables.

        Under an AES LMK it is of this module's own making.
        """
        return des.encrypt_ecb(self._table_key, table)

    def decipher_table(self, cryptogram: bytes) -> bytes:
        """The table behind a stored form."""
        return des.decrypt_ecb(self._table_key, cryptogram)

    def _unwrap_whole(self, field: KeyField) -> WorkingKey:
        key = self._unwrap(field)
        if key.header is not None:
            check_whole(key.header)
        return key

    def _unwrap(self, field: KeyField) -> WorkingKey:
        role, text = field
        if text[:1] != "S":
            raise Refusal("A1", "a key under a key block LMK is a Thales key block")
        try:
            header, clear = thales_block.unwrap(self._version_id, self._key, text[1:])
        except KeyBlockError as error:
            raise Refusal(error.code, f"the {role.name}: {error}") from None
        check_role(role, header)
        return WorkingKey(clear, "S", header)

    def __repr__(self) -> str:
        kind = "AES" if self._version_id == thales_block.AES else "TDES"
        return f"<KeyBlockLmk, {kind}{', a published test key' if self.is_test else ''}>"
