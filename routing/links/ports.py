"""What a bank link needs from the security module, as a narrow port.

The switch implements it over host commands (A6 or FA and FK, M6, M8); tests over pure
cryptography. Keys are opaque strings under the local master key; the link never looks into them.
"""

from __future__ import annotations

from typing import Protocol

from acquirer.routing.settings import MacAlgorithm


class LinkSecurity(Protocol):
    """Zone keys and MACs.

    Every method raises ``SecurityUnavailableError`` where the module refuses or cannot be
    reached, and nothing else.
    """

    async def import_zpk(self, zmk: str, cryptogram: str) -> tuple[str, str]:
        """Take a zone PIN key over from under a zone master key to under the LMK.

        Args:
            zmk: the zone master key under the LMK.
            cryptogram: ``X`` and 32 hexadecimal digits: the key under the zone master key.

        Returns:
            The key string under the LMK (key type 001) and its KCV of 6 hexadecimal digits.
        """

    async def import_zak(self, zmk: str, cryptogram: str) -> tuple[str, str]:
        """As :meth:`import_zpk`, for a zone authentication key (key type 008)."""

    async def translate_pin(self, zpk: str, new_zpk: str, pin_block: bytes, account: str) -> bytes:
        """A PIN block of ISO 9564 format 0 from one zone PIN key to another.

        Args:
            zpk, new_zpk: key strings under the LMK.
            pin_block: 8 bytes.
            account: 12 digits, the PAN's rightmost without the check digit.

        Returns:
            8 bytes.
        """

    async def mac(self, algorithm: MacAlgorithm, zak: str, data: bytes) -> bytes:
        """The 8 bytes of the MAC over ``data``, zero-padded by the algorithm itself."""

    async def verify(self, algorithm: MacAlgorithm, zak: str, data: bytes, mac: bytes) -> bool:
        """Whether ``mac`` (8 bytes) is right for ``data``."""
