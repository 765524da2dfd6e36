"""What the types of a configuration cannot say: whether its parts fit each other. Pure.

Process settings are checked before anything is opened; a business configuration at a start, and
before each change of it takes effect, always as a whole.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import date

from acquirer.codecs.currencies import ALPHABETIC
from acquirer.codecs.errors import LocalFormatError
from acquirer.codecs.ksn import BYTES_OF_SCHEME, Ksn
from acquirer.config.business import LimitRule, ProfileSettings, TerminalSettings
from acquirer.config.downloads import ITEMS_MAX
from acquirer.config.loading import ConfigError
from acquirer.config.tls import server_context
from acquirer.payments.kernel.calendar import time_zone
from acquirer.payments.kernel.limits import ENTRY_MODES, LIMITED
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.banks.choice import route_faults
from acquirer.routing.errors import BankSettingsError, RoutingError
from acquirer.routing.links.link_traffic import wire_format
from acquirer.routing.orders.errors import OrderSettingsError
from acquirer.routing.orders.iso_system import check_host
from acquirer.routing.orders.webhooks import secret_key
from acquirer.switch.configuration.documents import Fault
from acquirer.switch.configuration.kinds import KINDS, ConfigKind, Configuration, keyed
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.terminals.catalogue import DE62_BYTES_MAX, application_item

# Where something stands, from kind, index and member.
Place = Callable[[ConfigKind, int, str], str]
MERCHANT, TERMINAL, COURIER = KINDS["merchant"], KINDS["terminal"], KINDS["courier"]
ROUTE, ORDER_SYSTEM, ORDER_TYPE = KINDS["route"], KINDS["order_system"], KINDS["order_type"]
LIMIT = KINDS["limit"]
PLAN = KINDS["instalment_plan"]
DOWNLOADS_MAX = {
    "parameters": 1,
    "ca_keys": ITEMS_MAX,
    "ic_parameters": ITEMS_MAX,
    "blacklist": 1,
}
# What a profile of a key scheme needs.
BASE_KEYS = {
    "tmk": (),
    "dukpt_tdes": ("bdk",),
    "dukpt_aes": ("bdk", "bdk_lmk", "pin_zpk", "pin_zpk_block"),
}
FILE_TABLES = {kind: kind.table for kind in KINDS.values()}


def check(settings: SwitchSettings, file: str) -> None:
    """Check a switch's file as a whole.

    Raises:
        ConfigError: names the key and what would be right.
    """
    check_process(settings, file)
    refuse(configuration_faults(settings, Configuration.of_file(settings), FILE_TABLES), file)


def refuse(faults: list[Fault], file: str) -> None:
    """Refuse a start for what is wrong with its configuration.

    Raises:
        ConfigError: tells all faults, where there are any.
    """
    if faults:
        first, *others = faults
        also = "".join(f"; also {fault}" for fault in others)
        raise ConfigError(file, first.place, first.reason + also)


def check_process(settings: SwitchSettings, file: str) -> None:
    """Check what a process needs to start.

    Raises:
        ConfigError: tells all faults.
    """
    refuse(list(process_faults(settings)), file)


def process_faults(settings: SwitchSettings) -> Iterator[Fault]:
    """All that keeps a process from starting with what it needs for itself."""
    try:
        terminal_tls(settings, "")
    except ConfigError as error:
        yield Fault(error.key, error.reason)
    try:
        time_zone(settings.business_day.zone)
    except ValueError as error:
        yield Fault("business_day.zone", str(error))
    for index, profile in enumerate(settings.profiles):
        try:
            "".encode(profile.encoding)
        except LookupError:
            yield Fault(f"profiles[{index}].encoding", f"no encoding {profile.encoding!r}")
        for member in BASE_KEYS[profile.key_scheme]:
            if not getattr(profile, member):
                reason = f"is missing: key_scheme {profile.key_scheme!r} needs it"
                yield Fault(f"profiles[{index}].{member}", reason)
    for index, bank in enumerate(settings.banks):
        try:
            bank.check()
            dialect, _ = wire_format(bank)
            if not dialect.fits(32, bank.acquirer_id):
                place = f"banks[{index}].acquirer_id"
                yield Fault(place, _unfit(32, bank.name, dialect.name))
        except RoutingError as error:
            yield Fault(_place_of(error, f"banks[{index}]"), str(error))
    for index, order_host in enumerate(settings.order_hosts):
        try:
            check_host(order_host)
        except RoutingError as error:
            yield Fault(_place_of(error, f"order_hosts[{index}]"), str(error))


def _place_of(error: RoutingError, table: str) -> str:
    return f"{table}.{error.key}" if isinstance(error, BankSettingsError) else table


def terminal_tls(settings: SwitchSettings, file: str) -> ssl.SSLContext | None:
    """The certificates of the terminals' port, or None where it is plain TCP.

    Raises:
        ConfigError: a file of theirs cannot be used.
    """
    if settings.listen.tls is None:
        return None
    try:
        return server_context(settings.listen.tls)
    except OSError as error:
        raise ConfigError(file, "listen.tls", str(error)) from None


def configuration_faults(
    settings: SwitchSettings, configuration: Configuration, names: Mapping[ConfigKind, str]
) -> list[Fault]:
    """All that keeps a business configuration from being served by a process.

    Args:
        settings: of the process, which has passed :func:`check_process`.
        names: of the kinds that stand in the document at hand; a fault of those is told by its
            index there, one of another kind by its key.
    """

    def place(kind: ConfigKind, index: int, member: str) -> str:
        if kind in names:
            return f"{names[kind]}[{index}].{member}"
        key = list(keyed(kind, configuration.of_kind(kind)))[index][0]
        return f"{kind.name} {key}: {member}"

    return [
        *_doubled(configuration, place),
        *_unowned(settings, configuration, place),
        *_unusable(settings, configuration, place),
        *_plan_faults(settings, configuration, place),
        *_download_faults(configuration, place),
        *_carried(settings, configuration, place),
        *_limit_faults(configuration, place),
    ]


def _doubled(configuration: Configuration, place: Place) -> Iterator[Fault]:
    for kind in KINDS.values():
        seen: set[str] = set()
        for index, (key, _, _) in enumerate(keyed(kind, configuration.of_kind(kind))):
            if key in seen:
                yield Fault(place(kind, index, kind.key), f"there is another {key!r}")
            seen.add(key)


def _unowned(
    settings: SwitchSettings, configuration: Configuration, place: Place
) -> Iterator[Fault]:
    """What names somebody who is not there."""
    merchants = {merchant.merchant_id for merchant in configuration.merchants}
    profiles = {profile.name: profile for profile in settings.profiles}
    have = f"; this process has {', '.join(sorted(profiles))}"
    for index, terminal in enumerate(configuration.terminals):
        if terminal.merchant_id not in merchants:
            yield Fault(
                place(TERMINAL, index, "merchant_id"), f"no such merchant {terminal.merchant_id!r}"
            )
        if terminal.profile not in profiles:
            yield Fault(
                place(TERMINAL, index, "profile"), f"no such profile {terminal.profile!r}{have}"
            )
        elif reason := _ksn_fault(terminal, profiles[terminal.profile]):
            yield Fault(place(TERMINAL, index, "ksn"), reason)
    for index, courier in enumerate(configuration.couriers):
        if courier.merchant_id not in merchants:
            yield Fault(
                place(COURIER, index, "merchant_id"), f"no such merchant {courier.merchant_id!r}"
            )
    hosts = {"", *(host.name for host in settings.order_hosts)}
    for index, system in enumerate(configuration.order_systems):
        if system.host not in hosts:
            yield Fault(place(ORDER_SYSTEM, index, "host"), f"no such order host {system.host!r}")
    for fault in route_faults(configuration.routes, [bank.name for bank in settings.banks]):
        yield Fault(place(ROUTE, fault.rule, fault.key), fault.reason)


def _download_faults(configuration: Configuration, place: Place) -> Iterator[Fault]:
    """More than a terminal can ask for, or be sent."""
    for name, most in DOWNLOADS_MAX.items():
        kind = KINDS[name]
        if len(configuration.of_kind(kind)) > most:
            yield Fault(place(kind, most, ""), f"more than {most}")
    for index, application in enumerate(configuration.ic_parameters):
        try:
            size = len(application_item(application).whole)
        except LocalFormatError as error:
            yield Fault(place(KINDS["ic_parameters"], index, "objects"), str(error))
            continue
        if size >= DE62_BYTES_MAX:
            reason = f"{size} bytes; a terminal takes {DE62_BYTES_MAX - 1}"
            yield Fault(place(KINDS["ic_parameters"], index, "objects"), reason)


def _plan_faults(
    settings: SwitchSettings, configuration: Configuration, place: Place
) -> Iterator[Fault]:
    """Instalment plans of nobody, for no amount or day, and plans of merchants that are none."""
    banks = {bank.name for bank in settings.banks}
    plans = {plan.id for plan in configuration.instalment_plans}
    for index, plan in enumerate(configuration.instalment_plans):
        for bank in plan.banks:
            if bank not in banks:
                yield Fault(place(PLAN, index, "banks"), f"no such bank {bank!r}")
        if plan.amount_from_minor > plan.amount_to_minor:
            yield Fault(place(PLAN, index, "amount_to_minor"), "is below amount_from_minor")
        try:
            days = [date.fromisoformat(day) for day in (plan.valid_from, plan.valid_to) if day]
        except ValueError as error:
            yield Fault(place(PLAN, index, "valid_from"), f"a day that is none: {error}")
        else:
            if days != sorted(days):
                yield Fault(place(PLAN, index, "valid_to"), "is before valid_from")
    for index, merchant in enumerate(configuration.merchants):
        for plan_id in merchant.plans:
            if plan_id not in plans:
                reason = f"no such instalment plan {plan_id!r}"
                yield Fault(place(MERCHANT, index, "plans"), reason)


def _ksn_fault(terminal: TerminalSettings, profile: ProfileSettings) -> str:
    """What is wrong with a terminal's key serial number, or the empty string."""
    size = BYTES_OF_SCHEME.get(profile.key_scheme)
    if size is None:
        return "its profile's keys are not derived" if terminal.ksn else ""
    if len(terminal.ksn) != 2 * size:
        return f"{2 * size} digits are needed, since its profile has {profile.key_scheme!r}"
    ksn = Ksn.of(terminal.ksn)
    return f"the counter must be zero: {ksn.initial}" if ksn.counter else ""


def _unusable(
    settings: SwitchSettings, configuration: Configuration, place: Place
) -> Iterator[Fault]:
    """Secrets, patterns and templates that are none."""
    for index, merchant in enumerate(configuration.merchants):
        try:
            for secret in merchant.secrets:
                secret_key(secret)
        except OrderSettingsError as error:
            yield Fault(place(MERCHANT, index, "event_secret"), str(error))
        if merchant.currency_code not in ALPHABETIC:
            reason = f"{merchant.currency_code!r} is no numeric code of ISO 4217, such as 156"
            yield Fault(place(MERCHANT, index, "currency_code"), reason)
        try:
            OrderTypes((), [merchant])
        except ValueError as error:
            yield Fault(place(MERCHANT, index, "order_text"), str(error))
    for index, order_type in enumerate(configuration.order_types):
        try:
            OrderTypes([order_type])
        except ValueError as error:
            yield Fault(place(ORDER_TYPE, index, "text"), str(error))


def _limit_faults(configuration: Configuration, place: Place) -> Iterator[Fault]:
    """Limits of nobody or of several, and what they name that there is not."""
    there = {
        "merchant_id": {merchant.merchant_id for merchant in configuration.merchants},
        "terminal_id": {terminal.terminal_id for terminal in configuration.terminals},
    }
    known: dict[str, list[str]] = {
        "transactions": sorted(LIMITED),
        "entry_modes": sorted({*ENTRY_MODES.values()}),
        "currencies": sorted(ALPHABETIC),
    }
    for index, rule in enumerate(configuration.limit):
        if len(rule.subjects) != 1:
            named = " and ".join(name for name, _ in rule.subjects) or "none"
            reason = f"names {named}; a limit has one of merchant_id, terminal_id, mcc, each_card"
            yield Fault(place(LIMIT, index, "merchant_id"), reason)
        for name, value in rule.subjects:
            if value not in there.get(name, {value}):
                yield Fault(place(LIMIT, index, name), f"no such {name[:-3]} {value!r}")
        if rule.mcc and not (rule.mcc.isascii() and rule.mcc.isdigit() and len(rule.mcc) == 4):
            yield Fault(place(LIMIT, index, "mcc"), f"{rule.mcc!r} is not 4 digits")
        for member, values in known.items():
            for value in getattr(rule, member) or ():
                if value not in values:
                    have = "" if member == "currencies" else f"; there are {', '.join(values)}"
                    yield Fault(place(LIMIT, index, member), f"no {value!r}{have}")
            if getattr(rule, member) == []:
                yield Fault(place(LIMIT, index, member), "lets nothing through; leave it out")
        if rule == LimitRule(*(getattr(rule, name) for name in LimitRule.__struct_fields__[:4])):
            yield Fault(place(LIMIT, index, "amount_max_minor"), "says no limit at all")


def _carried(
    settings: SwitchSettings, configuration: Configuration, place: Place
) -> Iterator[Fault]:
    """What a bank's dialect cannot hold of merchants and terminals."""
    for bank in settings.banks:
        dialect, _ = wire_format(bank)
        for index, merchant in enumerate(configuration.merchants):
            for number, member, value in (
                (42, "merchant_id", merchant.merchant_id.ljust(15)),
                (18, "mcc", merchant.mcc),
            ):
                if value and not dialect.fits(number, value):
                    reason = _unfit(number, bank.name, dialect.name)
                    yield Fault(place(MERCHANT, index, member), reason)
        for index, terminal in enumerate(configuration.terminals):
            if not dialect.fits(41, terminal.terminal_id.ljust(8)):
                reason = _unfit(41, bank.name, dialect.name)
                yield Fault(place(TERMINAL, index, "terminal_id"), reason)


def _unfit(number: int, bank: str, dialect: str) -> str:
    return f"does not fit field {number} of bank {bank!r}, dialect {dialect}"
