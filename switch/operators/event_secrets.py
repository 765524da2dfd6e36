"""How new secrets that sign notices are taken over from the switch's file.

Secrets are members of merchants, and change as these do. Where an operator asks for it (SIGHUP, or
``acquirer orders secrets reload``) the switch's file is read again, and merchants' event secrets
are all of it that is taken over; what else has changed is named.
Source: Standard Webhooks specification 1.0, "zero downtime secret rotation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import structlog

from acquirer.config.business import MerchantSettings
from acquirer.config.loading import ConfigError
from acquirer.switch.configuration.changes import Author
from acquirer.switch.configuration.documents import Document, Fault, differences
from acquirer.switch.configuration.kinds import KINDS, Configuration
from acquirer.switch.operators.configuration import Changes, Unfit
from acquirer.switch.operators.operations import Done, Refused
from acquirer.switch.settings import SwitchSettings

log = structlog.get_logger("acquirer.operator")

ReadSettings = Callable[[], SwitchSettings]
MERCHANT = KINDS["merchant"]
REASON = "event secrets of the switch's file"


async def reload_secrets(
    changes: Changes, read: ReadSettings, running: SwitchSettings, by: str, now_ms: int
) -> Done | Refused | Unfit:
    """Take over the secrets that the file has now, of all merchants or of none.

    Args:
        read: reads the file again.
        running: the file as the switch was started with.
        by: who asks for it.

    Raises:
        BookError: the books refuse; nothing was taken over.
    """
    try:
        settings = read()
    except ConfigError as error:
        log.error("secrets_not_reloaded", reason=str(error))
        return Refused(str(error))
    of_file = {merchant.merchant_id: merchant for merchant in settings.merchants}
    beside: list[str] = []

    def wish(before: Configuration) -> Document:
        faults = tuple(
            Fault(f"merchant {merchant.merchant_id}: event_secret", "would be left without one")
            for merchant in before.merchants
            if merchant.secrets and not of_file.get(merchant.merchant_id, merchant).secrets
        )
        merchants = tuple(_with_secrets_of(of_file, merchant) for merchant in before.merchants)
        after = msgspec.structs.replace(before, merchants=merchants)
        beside[:] = _other_kinds(after, settings)
        return Document({MERCHANT: merchants}, {}, faults)

    changed = await changes.change(wish, Author(by, REASON), now_ms)
    if isinstance(changed, list):
        log.error("secrets_not_reloaded", reason="; ".join(map(str, changed)))
        return Unfit(tuple(changed))
    done = {
        "merchants": sorted(version.key for version in changed.versions),
        "import_for": beside,
        "restart_for": _other_keys(running, settings),
    }
    log.info("secrets_reloaded", **done)
    return done


def _with_secrets_of(
    of_file: Mapping[str, MerchantSettings], merchant: MerchantSettings
) -> MerchantSettings:
    found = of_file.get(merchant.merchant_id, merchant)
    return msgspec.structs.replace(
        merchant, event_secret=found.event_secret, event_secrets=found.event_secrets
    )


def _other_kinds(after: Configuration, settings: SwitchSettings) -> list[str]:
    """Kinds in which the file differs all the same, of those that it has at all."""
    of_file = Configuration.of_file(settings)
    kinds = [kind for kind in KINDS.values() if of_file.of_kind(kind)]
    return sorted({difference.kind for difference in differences(after, of_file, kinds)})


def _other_keys(running: SwitchSettings, read: SwitchSettings) -> list[str]:
    """Process settings that differ, by the file's top-level key."""
    tables = {kind.table for kind in KINDS.values()}
    return sorted(
        key
        for key in running.__struct_fields__
        if key not in tables and getattr(running, key) != getattr(read, key)
    )
