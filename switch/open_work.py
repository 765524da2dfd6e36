"""Whether a configuration can serve what is open in the books; a start that cannot is refused.

A bank, merchant or order system that has left the configuration while something of it is open
would leave money in doubt without a word. Pure but for the reading.
"""

from __future__ import annotations

from collections import Counter

from acquirer.config.loading import ConfigError
from acquirer.ledger.book import Book
from acquirer.ledger.owed.open_work import OpenWork
from acquirer.routing.orders.settings import choose_system
from acquirer.switch.configuration.kinds import Configuration
from acquirer.switch.settings import SwitchSettings


async def check_open_work(
    book: Book, settings: SwitchSettings, configuration: Configuration, file: str
) -> None:
    """Refuse a configuration that cannot serve what is open.

    Raises:
        ConfigError: names who is missing, and what is open with them.
        BookError: the books could not be read.
    """
    missing = unserved(await book.open_work(), settings, configuration)
    if missing:
        keys = ", ".join(dict.fromkeys(key for key, _ in missing))
        reasons = "; ".join(reason for _, reason in missing)
        cure = "put them back until that is done: `acquirer saf list`, `acquirer orders pending`"
        raise ConfigError(
            file, keys, f"{reasons}; {cure} and `acquirer orders events list` show it"
        )


def unserved(
    work: OpenWork, settings: SwitchSettings, configuration: Configuration
) -> list[tuple[str, str]]:
    """Key of the configuration and reason for each party that is missing."""
    found = []
    banks = {"", *(bank.name for bank in settings.banks)}
    merchants = {merchant.merchant_id for merchant in configuration.merchants}
    unconfirmed: Counter[str] = Counter()
    for (bank, _), count in work.unconfirmed.items():
        unconfirmed[bank] += count
    for bank in sorted({*work.in_flight, *work.owed, *unconfirmed} - banks):
        parts = {
            "transactions without an outcome": work.in_flight.get(bank, 0),
            "messages owed to it": work.owed.get(bank, 0),
            "unconfirmed order payments": unconfirmed[bank],
        }
        found.append(("banks", f"no bank {bank!r}, with which are open {_counted(parts)}"))
    notices: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    homeless: Counter[str] = Counter()
    for (_, merchant_id), count in work.unconfirmed.items():
        waiting[merchant_id] += count
    for (merchant_id, order_no), count in work.notices.items():
        notices[merchant_id] += count
        if choose_system(configuration.order_systems, merchant_id, order_no) is None:
            homeless[merchant_id] += count
    for merchant_id in sorted({*waiting, *notices} - merchants):
        parts = {
            "unconfirmed order payments": waiting[merchant_id],
            "undelivered notices": notices[merchant_id],
        }
        reason = f"no merchant {merchant_id!r}, with whom are open {_counted(parts)}"
        found.append(("merchants", reason))
    for merchant_id in sorted(set(homeless) & merchants):
        reason = f"none serves {homeless[merchant_id]} undelivered notices to {merchant_id!r}"
        found.append(("order_systems", reason))
    return found


def _counted(parts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in parts.items() if count)
