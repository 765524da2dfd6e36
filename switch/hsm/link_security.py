"""What bank links ask of the security module, over host commands (``routing/links/ports.py``)."""

from __future__ import annotations

from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.routing.errors import SecurityUnavailableError
from acquirer.routing.settings import MacAlgorithm
from acquirer.switch.hsm.client import ZAK, ZPK, Hsm


class HsmLinkSecurity:
    """Zone keys and MACs of bank links; every failure is a SecurityUnavailableError."""

    def __init__(self, hsm: Hsm) -> None:
        self._hsm = hsm

    async def import_zpk(self, zmk: str, cryptogram: str) -> tuple[str, str]:
        """A zone PIN key from under the ZMK to under the LMK, and its 6-digit KCV."""
        return await self._import(ZPK, zmk, cryptogram)

    async def import_zak(self, zmk: str, cryptogram: str) -> tuple[str, str]:
        """A zone authentication key likewise."""
        return await self._import(ZAK, zmk, cryptogram)

    async def translate_pin(self, zpk: str, new_zpk: str, pin_block: bytes, account: str) -> bytes:
        """A PIN block under another zone PIN key."""
        try:
            return await self._hsm.translate_zone_pin(zpk, new_zpk, pin_block, account)
        except (HsmRefused, HsmUnavailable) as error:
            raise SecurityUnavailableError(str(error)) from None

    async def mac(self, algorithm: MacAlgorithm, zak: str, data: bytes) -> bytes:
        """The 8 bytes of the MAC."""
        try:
            return await self._hsm.mac(algorithm, zak, data, ZAK)
        except (HsmRefused, HsmUnavailable) as error:
            raise SecurityUnavailableError(str(error)) from None

    async def verify(self, algorithm: MacAlgorithm, zak: str, data: bytes, mac: bytes) -> bool:
        """Whether the MAC is right."""
        try:
            return await self._hsm.mac_ok(algorithm, zak, data, mac, ZAK)
        except (HsmRefused, HsmUnavailable) as error:
            raise SecurityUnavailableError(str(error)) from None

    async def _import(self, key_type: str, zmk: str, cryptogram: str) -> tuple[str, str]:
        try:
            return await self._hsm.import_key(key_type, zmk, cryptogram)
        except (HsmRefused, HsmUnavailable) as error:
            raise SecurityUnavailableError(str(error)) from None
