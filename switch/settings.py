"""The switch's configuration file as typed values.

Keys stand here as host-command key strings under the local master key, never in clear;
``acquirer up`` writes such a file for the demo estate. Read by ``acquirer serve --config FILE``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from acquirer.config.business import (
    CourierSettings,
    InstalmentPlanSettings,
    LimitRule,
    MerchantSettings,
    OrderSettings,
    OrderTypeSettings,
    ProfileSettings,
    TerminalSettings,
)
from acquirer.config.constraints import Positive, PositiveSeconds
from acquirer.config.downloads import (
    BlacklistSettings,
    CaKeySettings,
    IcParameterSettings,
    ParameterSettings,
)
from acquirer.config.tls import TlsSettings
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.banks.choice import RouteRule
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.routing.settings import BankSettings
from acquirer.switch.terminals.rate_limit import PER_MINUTE


class ListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses to listen on, ``host:port``; port 0 takes a free one.

    Attributes:
        pos: for terminals.
        http: for health, metrics and operators.
        tls: certificates for terminals, where they connect under TLS; with ``ca`` each must bear
            one of its own.
    """

    pos: str = "127.0.0.1:0"
    http: str = "127.0.0.1:0"
    tls: TlsSettings | None = None


class BusinessDaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By whose time days are told.

    Attributes:
        zone: IANA name of the time zone, such as ``Asia/Shanghai``, of terminals' local time and
            of the business date, which changes with local midnight.
    """

    zone: str


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the books are.

    Attributes:
        url: ``sqlite:///FILE``, relative to this file, or ``postgresql://…``, one host or several.
        queue_units_max: units that wait for the writer; while it is full, answers are 96.
        create: whether books are made where there are none; false refuses to start without.
    """

    url: str
    create: bool = True
    queue_units_max: Positive = 4096


class HsmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach the security module.

    Attributes:
        transport: ``tcp`` or ``in_process`` (the simulator, embedded).
        address: ``host:port`` or ``unix:/path`` of the module, for tcp.
        standby: further modules under the same local master key, in order of preference; a
            command that one does not answer goes to the next.
        connections: to each module, each pipelined.
        deadline_s: longest wait for one command, over all modules.
        check_every_s: pause between two health checks of each module.
        header_length: characters of the message header, at least 4 to match replies.
        tls: certificates, where modules are reached under TLS.
        test_lmk: allow the published test LMKs; in_process only.
    """

    transport: Literal["tcp", "in_process"] = "tcp"
    address: str = "127.0.0.1:1500"
    standby: list[str] = []
    connections: Positive = 2
    deadline_s: PositiveSeconds = 2.0
    check_every_s: PositiveSeconds = 5.0
    header_length: Annotated[int, msgspec.Meta(ge=4, le=32)] = 8
    tls: TlsSettings | None = None
    test_lmk: bool = False


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what terminals may use.

    Attributes:
        connections_max: open terminal connections; at this number the oldest that never sent a
            message gives way to a new one.
        per_address_max: of them, from one address.
        in_flight_max: transactions at once, over all terminals.
        pipelined_max: transactions at once on one connection.
        per_terminal_max: transactions at once of one terminal; more are refused (96).
        first_frame_s: a connection that has sent no message for so long is closed.
        frame_s: time from the first byte of a frame to its last.
        idle_s: a connection without a whole frame for so long is closed.
        queue_s: what asks for something new and would wait longer than so long for this process, by
            what those before it have cost, is refused (96) as it comes.
        terminal_s: a terminal is answered within this time, or not sent to a bank at all.
        drain_s: time that a stop leaves for what is in flight.
        sign_ons_per_minute: of one address, sign-ons for which new keys are made; more are
            answered 96, but for terminals whose last keys still wait to be used.
    """

    connections_max: Positive = 4096
    in_flight_max: Positive = 4096
    pipelined_max: Positive = 64
    per_address_max: Positive = 1024
    per_terminal_max: Positive = 64
    first_frame_s: PositiveSeconds = 30.0
    frame_s: PositiveSeconds = 10.0
    idle_s: PositiveSeconds = 300.0
    queue_s: PositiveSeconds = 10.0
    terminal_s: PositiveSeconds = 25.0
    drain_s: PositiveSeconds = 20.0
    sign_ons_per_minute: Positive = PER_MINUTE


class SafSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Store and forward: what banks are owed.

    Attributes:
        window: how many of a bank's oldest items are looked at.
        at_once: how many of them are under way at a time.
        first_s, cap_s: pauses after attempts that were not answered, doubling.
        attempts_max: attempts after which an item is a dead letter.
        age_max_s: seconds after which it is one, once it has been tried often enough.
        age_attempts_min: that often: a clock that jumps ahead gives nothing up.
    """

    window: Positive = 64
    at_once: Positive = 8
    first_s: PositiveSeconds = 1.0
    cap_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 60.0
    attempts_max: Positive = 500
    age_max_s: PositiveSeconds = 3 * 86_400.0
    age_attempts_min: Positive = 10


Role = Literal["maker", "checker", "admin", "viewer"]


class OperatorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may do things to the switch, by his name (``--by``) and token.

    Attributes:
        name: letters, digits, ``.``, ``_`` and ``-``.
        token_sha256: SHA-256 of his token, lower-case hexadecimal.
        roles: ``maker`` changes, ``checker`` agrees to changes, ``admin`` does either, ``viewer``
            looks.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}\Z")]
    token_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    roles: list[Role]

    def __repr__(self) -> str:
        return f"OperatorSettings({self.name!r})"


class SwitchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        instance: name of this switch among those that share a database.
        order_hosts: links to order systems that speak ISO 8583, named by ``order_systems.host``;
            as those to banks, with a dialect whose DE59 is raw, such as ``order_host``.
        data_key: the card data key, enciphered by the security module (``vault.py``).
        data_key_dek: the DEK under the LMK that it is enciphered under.
        operator_token: what commands of this file's owner present; empty allows no command that
            changes anything.
        operators: who may run such commands under a name of his own (``--by``).
        parameters, ca_keys, ic_parameters, blacklist: what terminals fetch; of the first and the
            last one table at most.
    """

    database: DatabaseSettings
    banks: list[BankSettings]
    profiles: list[ProfileSettings]
    business_day: BusinessDaySettings
    routes: list[RouteRule] = []
    merchants: list[MerchantSettings] = []
    terminals: list[TerminalSettings] = []
    instance: str = "switch-1"
    listen: ListenSettings = ListenSettings()
    hsm: HsmSettings = HsmSettings()
    limits: LimitSettings = LimitSettings()
    saf: SafSettings = SafSettings()
    stand_in: list[StandInRule] = []
    limit: list[LimitRule] = []
    couriers: list[CourierSettings] = []
    orders: OrderSettings = OrderSettings()
    order_types: list[OrderTypeSettings] = []
    instalment_plans: list[InstalmentPlanSettings] = []
    parameters: list[ParameterSettings] = []
    ca_keys: list[CaKeySettings] = []
    ic_parameters: list[IcParameterSettings] = []
    blacklist: list[BlacklistSettings] = []
    order_systems: list[OrderSystemSettings] = []
    order_hosts: list[BankSettings] = []
    data_key: str = ""
    data_key_dek: str = ""
    operator_token: str = ""
    operators: list[OperatorSettings] = []


# Key → what to write, for those that a file of an earlier release does not have, or has.
_ZONE = '[business_day] with zone = "Asia/Shanghai", or whatever IANA zone your terminals are in'
CURES = {
    "business_day": f"write {_ZONE}",
    "business_day.zone": f"write {_ZONE}",
    "utc_offset_minutes": f"put in its place {_ZONE}",
}
