"""What a transaction may use: a few narrow ports, time and numbers, all injected.

Composed once in ``app.py``; in tests from fakes. No transaction reaches anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from acquirer.config.business import CourierSettings, MerchantSettings
from acquirer.ledger.book import Book
from acquirer.payments.kernel.calendar import Calendar, MonotonicClock, WallClock
from acquirer.payments.kernel.numbers import Numbers
from acquirer.payments.kernel.stand_in import StandIn
from acquirer.payments.kernel.turns import Turns
from acquirer.payments.kernel.vault import CardVault
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.banks.banks import Banks
from acquirer.routing.banks.choice import RouteTable
from acquirer.routing.orders.client import OrderSystems
from acquirer.routing.settings import BankSettings
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.operators.event_secrets import EventSecrets
from acquirer.switch.settings import LimitSettings
from acquirer.switch.steady_clock import SteadyClock
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.terminals.terminals import Terminals


@dataclass(frozen=True, slots=True)
class Context:
    """The ports of all transactions.

    Attributes:
        clock: the time of records, schedules, ages and dates.
        monotonic: seconds, for deadlines.
        saf_queued: call after a commit that queued a message for a bank.
        events_queued: call after a commit that queued a notice to a merchant.
        event_secrets: what signs notices to merchants, which may change while running.
        stand_in: which payments may be approved while their bank cannot be reached.
        stood_in: counts that.
        row_failed: counts a row of the books that could not be worked on.
        courier_turns: a courier's password tries.
        sign_ons: how many terminals' keys are made for one address.
        to_ask: terminals that hold order payments which nobody has confirmed for too long.
        order_types: words and rules of an order, by merchant and order number.
    """

    book: Book
    hsm: Hsm
    banks: Banks
    orders: OrderSystems
    vault: CardVault
    numbers: Numbers
    terminals: Terminals
    routes: RouteTable
    bank_settings: Mapping[str, BankSettings]
    merchants: Mapping[str, MerchantSettings]
    couriers: Mapping[str, CourierSettings]
    limits: LimitSettings
    calendar: Calendar
    monotonic: MonotonicClock
    clock: SteadyClock
    new_event_id: Callable[[], str]
    event_secrets: EventSecrets
    saf_queued: Callable[[], None]
    events_queued: Callable[[], None]
    stood_in: Callable[[], None] = lambda: None
    row_failed: Callable[[], None] = lambda: None
    stand_in: StandIn = field(default_factory=StandIn)
    courier_turns: Turns = field(default_factory=Turns)
    sign_ons: RateLimit = field(
        default_factory=lambda: RateLimit(LimitSettings().sign_ons_per_minute)
    )
    to_ask: set[str] = field(default_factory=set)
    order_types: OrderTypes = field(default_factory=OrderTypes)

    @property
    def wall_ms(self) -> WallClock:
        """The clock's time now."""
        return self.clock.now_ms
