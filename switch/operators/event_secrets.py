"""The secrets that sign notices to merchants, and how new ones are taken over while running.

The switch's file is read again where an operator asks for it (SIGHUP, or ``acquirer orders
secrets reload``). Merchants' event secrets are all that is taken over; what else has changed is
named, and waits for a restart. A file that does not load changes nothing.
Source: Standard Webhooks specification 1.0, "zero downtime secret rotation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import msgspec
import structlog

from acquirer.config.business import MerchantSettings
from acquirer.config.loading import ConfigError
from acquirer.routing.orders.errors import OrderSettingsError
from acquirer.routing.orders.webhooks import secret_key
from acquirer.switch.settings import SwitchSettings

log = structlog.get_logger("acquirer.operator")

ReadSettings = Callable[[], SwitchSettings]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did.

    Attributes:
        merchants: whose secrets have changed.
        restart_for: keys of the file that differ from what is running, and were not taken over.
    """

    merchants: list[str]
    restart_for: list[str]


class EventSecrets:
    """The secrets of each merchant as they are now.

    Args:
        settings: as the switch was started with.
        file: its name, for messages about it.
        read: reads and checks the file again; raises ConfigError.
    """

    def __init__(self, settings: SwitchSettings, file: str, read: ReadSettings) -> None:
        self._settings = settings
        self._file = file
        self._read = read
        self._secrets = _secrets_of(settings)

    def __repr__(self) -> str:
        return f"EventSecrets({sorted(self._secrets)})"

    def of(self, merchant_id: str) -> tuple[str, ...]:
        """A merchant's secrets, the one that signs first; none of an unknown merchant."""
        return self._secrets.get(merchant_id, ())

    def reload(self) -> Reloaded:
        """Take over the secrets that the file has now, of all merchants or of none.

        Raises:
            ConfigError: the file does not load, or would leave a merchant without a secret.
        """
        try:
            reloaded = self._reload()
        except ConfigError as error:
            log.error("secrets_not_reloaded", reason=str(error))
            raise
        log.info("secrets_reloaded", **asdict(reloaded))
        return reloaded

    def _reload(self) -> Reloaded:
        settings = self._read()
        found, before = _secrets_of(settings), self._secrets
        for merchant_id, secrets in before.items():
            if secrets and not found.get(merchant_id, secrets):
                reason = f"merchant {merchant_id} would be left without one"
                raise ConfigError(self._file, "merchants.event_secret", reason)
        self._secrets = {one: found.get(one, old) for one, old in before.items()}
        return Reloaded(
            sorted(one for one, old in before.items() if self._secrets[one] != old),
            _others(self._settings, settings),
        )


def check_secrets(merchant: MerchantSettings) -> None:
    """Check that every secret of a merchant can sign.

    Raises:
        ValueError: one cannot; the text does not hold it.
    """
    for secret in merchant.secrets:
        try:
            secret_key(secret)
        except OrderSettingsError as error:
            raise ValueError(str(error)) from None


def _secrets_of(settings: SwitchSettings) -> Mapping[str, tuple[str, ...]]:
    return {merchant.merchant_id: merchant.secrets for merchant in settings.merchants}


def _others(running: SwitchSettings, read: SwitchSettings) -> list[str]:
    """Top-level keys whose values differ, apart from event secrets."""
    old, new = (
        {**msgspec.to_builtins(one), "merchants": _without_secrets(one)} for one in (running, read)
    )
    return sorted(key for key in old if old[key] != new[key])


def _without_secrets(settings: SwitchSettings) -> list[MerchantSettings]:
    return [
        msgspec.structs.replace(merchant, event_secret="", event_secrets=[])
        for merchant in settings.merchants
    ]
