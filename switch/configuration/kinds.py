"""The kinds of business configuration, as one table, and all bodies together as one value.

A body is one table of the switch's file, of an import or of the books. What names it among those of
its kind is its key: an id, a name, or, where it has neither, its place.
Source: docs/configuration.md, "Business configuration".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from acquirer.config.business import (
    CourierSettings,
    InstalmentPlanSettings,
    LimitRule,
    MerchantSettings,
    OrderTypeSettings,
    TerminalSettings,
)
from acquirer.config.downloads import (
    BlacklistSettings,
    CaKeySettings,
    IcParameterSettings,
    ParameterSettings,
)
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.banks.choice import RouteRule
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.switch.settings import SwitchSettings


@dataclass(frozen=True, slots=True)
class ConfigKind:
    """One kind.

    Attributes:
        name: as versions and commands have it.
        table: as the switch's file has it.
        type: of its bodies.
        key: the member that names a body; empty where its place does.
        ordered: whether it matters which body stands before which.
        secrets: members that are never shown.
    """

    name: str
    table: str
    type: type[msgspec.Struct]
    key: str = ""
    ordered: bool = False
    secrets: frozenset[str] = frozenset()


KINDS: Mapping[str, ConfigKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ConfigKind(
                "merchant",
                "merchants",
                MerchantSettings,
                "merchant_id",
                secrets=frozenset({"event_secret", "event_secrets"}),
            ),
            ConfigKind(
                "terminal",
                "terminals",
                TerminalSettings,
                "terminal_id",
                secrets=frozenset({"tmk"}),
            ),
            ConfigKind(
                "courier",
                "couriers",
                CourierSettings,
                "courier_id",
                secrets=frozenset({"password"}),
            ),
            ConfigKind("route", "routes", RouteRule, ordered=True),
            ConfigKind("stand_in", "stand_in", StandInRule, ordered=True),
            ConfigKind("limit", "limit", LimitRule),
            ConfigKind("order_system", "order_systems", OrderSystemSettings, "name", ordered=True),
            ConfigKind("order_type", "order_types", OrderTypeSettings, "name", ordered=True),
            ConfigKind("instalment_plan", "instalment_plans", InstalmentPlanSettings, "id"),
            ConfigKind("parameters", "parameters", ParameterSettings),
            ConfigKind("ca_keys", "ca_keys", CaKeySettings, "name", ordered=True),
            ConfigKind("ic_parameters", "ic_parameters", IcParameterSettings, "aid", ordered=True),
            ConfigKind("blacklist", "blacklist", BlacklistSettings),
        )
    }
)
SHOWN_SECRET = "(set)"


class Configuration(msgspec.Struct, frozen=True):
    """A whole business configuration; one member for each kind, in the order that counts."""

    merchants: tuple[MerchantSettings, ...] = ()
    terminals: tuple[TerminalSettings, ...] = ()
    couriers: tuple[CourierSettings, ...] = ()
    routes: tuple[RouteRule, ...] = ()
    stand_in: tuple[StandInRule, ...] = ()
    limit: tuple[LimitRule, ...] = ()
    order_systems: tuple[OrderSystemSettings, ...] = ()
    order_types: tuple[OrderTypeSettings, ...] = ()
    instalment_plans: tuple[InstalmentPlanSettings, ...] = ()
    parameters: tuple[ParameterSettings, ...] = ()
    ca_keys: tuple[CaKeySettings, ...] = ()
    ic_parameters: tuple[IcParameterSettings, ...] = ()
    blacklist: tuple[BlacklistSettings, ...] = ()

    @classmethod
    def of_file(cls, settings: SwitchSettings) -> Configuration:
        """What the switch's file says."""
        return cls(**{kind.table: tuple(getattr(settings, kind.table)) for kind in KINDS.values()})

    def of_kind(self, kind: ConfigKind) -> tuple[msgspec.Struct, ...]:
        """All bodies of a kind."""
        bodies: tuple[msgspec.Struct, ...] = getattr(self, kind.table)
        return bodies

    def having(self, bodies: Mapping[ConfigKind, tuple[msgspec.Struct, ...]]) -> Configuration:
        """This one with other bodies of some kinds."""
        return msgspec.structs.replace(
            self, **{kind.table: found for kind, found in bodies.items()}
        )


def keyed(kind: ConfigKind, bodies: tuple[msgspec.Struct, ...]) -> Iterator[tuple[str, int, Any]]:
    """Key, place (0 where no order matters) and body of each."""
    for place, body in enumerate(bodies, 1):
        key = getattr(body, kind.key) if kind.key else str(place)
        yield key, place if kind.ordered else 0, body


def plain(body: msgspec.Struct) -> dict[str, Any]:
    """A body's members, without those that are as they are by default.

    >>> plain(RouteRule("demo", bins=["62"]))
    {'bank': 'demo', 'bins': ['62']}
    """
    members: dict[str, Any] = msgspec.to_builtins(body)
    return {
        field.encode_name: members[field.encode_name]
        for field in msgspec.structs.fields(type(body))
        if field.required or getattr(body, field.name) != _default(field)
    }


def shown(kind: ConfigKind, body: msgspec.Struct) -> dict[str, Any]:
    """The same, with secrets hidden."""
    return {
        name: SHOWN_SECRET if name in kind.secrets and value else value
        for name, value in plain(body).items()
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default
