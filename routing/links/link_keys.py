"""The zone keys of one link: taken over through the security module, checked, changed in flight.

Pure but for the calls of the ``LinkSecurity`` port. Keys are strings under the LMK.
Source: docs/interfaces/bank-link.md, "Life of a link" (new keys; the old ones stay good for what
is in flight).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.routing.errors import BankSettingsError, SecurityUnavailableError
from acquirer.routing.links.ports import LinkSecurity
from acquirer.routing.settings import BankSettings

_NO_MAC = "0" * 16
_MAC_FIELDS = (64, 128)
_OLD_MAX = 16


@dataclass(frozen=True, slots=True)
class ImportedKeys:
    """Keys that passed their check; empty where the exchange did not bring one."""

    zpk: str
    zak: str


@dataclass(frozen=True, slots=True)
class KeysRefused:
    """Keys that may not be used, and the DE39 that says so."""

    response_code: str


class LinkKeys:
    """Zone keys of one link, and MACs under them.

    Attributes:
        zpk: current zone PIN key, empty where there is none yet.
        zak: current zone authentication key, likewise.
    """

    def __init__(self, settings: BankSettings, dialect: Dialect, security: LinkSecurity) -> None:
        self._settings = settings
        self._dialect = dialect
        self._security = security
        self.zpk = ""
        self.zak = ""
        self._old_zpks: deque[tuple[str, float]] = deque(maxlen=_OLD_MAX)
        self._old_zaks: deque[tuple[str, float]] = deque(maxlen=_OLD_MAX)

    @property
    def complete(self) -> bool:
        """Whether both keys are there."""
        return bool(self.zpk and self.zak)

    async def take_over(self, message: Message) -> ImportedKeys | KeysRefused:
        """Import and check the keys that a key exchange message brings; changes nothing yet."""
        try:
            keys = BankKeys.parse(message.get(48), message.get(53))
        except RemoteFormatError:
            return KeysRefused("30")
        zpk = zak = ""
        try:
            if keys.zpk:
                zpk, kcv = await self._security.import_zpk(self._settings.zmk, keys.zpk)
                if kcv[:6].upper() != keys.zpk_kcv:
                    return KeysRefused("A7")
            if keys.zak:
                zak, kcv = await self._security.import_zak(self._settings.zmk, keys.zak)
                if kcv[:6].upper() != keys.zak_kcv:
                    return KeysRefused("A7")
        except SecurityUnavailableError:
            return KeysRefused("96")
        return ImportedKeys(zpk, zak)

    def install(self, keys: ImportedKeys, old_until: float) -> None:
        """Use new keys from now on.

        Args:
            keys: what :meth:`take_over` gave.
            old_until: monotonic seconds until which the old keys are still good: PINs that were
                translated before, replies that were sealed before.
        """
        if keys.zpk:
            if self.zpk:
                self._old_zpks.appendleft((self.zpk, old_until))
            self.zpk = keys.zpk
        if keys.zak:
            if self.zak:
                self._old_zaks.appendleft((self.zak, old_until))
            self.zak = keys.zak

    def is_good_zpk(self, zpk: str, now: float) -> bool:
        """Whether a PIN under this key can still be sent."""
        return zpk == self.zpk or any(zpk == old and now <= until for old, until in self._old_zpks)

    def good_zpks(self, now: float) -> dict[str, float]:
        """Keys for which :meth:`is_good_zpk` holds, and for how many seconds more."""
        old = {zpk: until - now for zpk, until in self._old_zpks if now <= until}
        return old | ({self.zpk: inf} if self.zpk else {})

    async def seal(self, message: Message) -> bytes:
        """Encode a message with its MAC.

        Raises:
            LocalFormatError: a value does not fit its field.
            SecurityUnavailableError: no MAC could be had.
        """
        dialect = self._dialect
        message.fields[dialect.mac_field(message.fields)] = _NO_MAC
        raw = dialect.encode(message)
        algorithm = self._settings.mac
        mac = await self._security.mac(algorithm, self.zak, dialect.mac_input(raw))
        return dialect.with_mac(raw, mac)

    async def is_genuine(self, message: Message, now: float) -> bool:
        """Whether a received message's MAC is right under the current ZAK or one just before.

        Raises:
            SecurityUnavailableError: the MAC could not be checked.
        """
        last = max(message.fields, default=0)
        if last not in _MAC_FIELDS:
            return False
        mac = message.binary(last)
        data = self._dialect.mac_input(message.raw)
        algorithm = self._settings.mac
        zaks = [self.zak, *(zak for zak, until in self._old_zaks if now <= until)]
        for zak in zaks:
            if await self._security.verify(algorithm, zak, data, mac):
                return True
        return False


def link_keys(
    settings: BankSettings, dialect: Dialect, security: LinkSecurity | None
) -> LinkKeys | None:
    """The keys of a new link, or None where it has none.

    Raises:
        BankSettingsError: it should have some, and there is no security module.
    """
    if settings.security == "none":
        return None
    if security is None:
        raise BankSettingsError(settings.name, "security", "zone needs a security module")
    return LinkKeys(settings, dialect, security)
