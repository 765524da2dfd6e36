"""The business configuration as payments see it: one immutable snapshot for one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from acquirer.config.business import CourierSettings, InstalmentPlanSettings, MerchantSettings
from acquirer.payments.kernel.limits import NO_LIMITS, Limits
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.banks.choice import RouteTable
from acquirer.routing.orders.messages import OrderFacts


class Words(Protocol):
    """A merchant's own words for an order."""

    def render(self, facts: OrderFacts) -> str:
        """The lines to show, split by ``|``."""


@dataclass(frozen=True, slots=True)
class OrderRules:
    """What holds for one order.

    Attributes:
        name: of the type; empty for a plain order.
        words: what is shown; None for the order system's own text.
        ask: what must be keyed in before a payment.
        cancel_within_ms: age up to which a payment may be cancelled; None for any.
        product: what of a shop's it is; empty for an order that exists before it is asked for.
    """

    name: str = ""
    words: Words | None = None
    ask: tuple[str, ...] = ()
    cancel_within_ms: int | None = None
    product: str = ""


class OrderTypes(Protocol):
    """Words and rules of an order, by merchant and order number."""

    def rules_for(self, merchant_id: str, order_no: str) -> OrderRules:
        """What holds for an order of a merchant."""


@dataclass(frozen=True, slots=True)
class Business:
    """Who and what there is, and by which rules.

    Attributes:
        merchants: by merchant id.
        couriers: by courier id.
        routes: which bank a card goes to.
        stand_in: which payments may be approved while their bank cannot be reached; the first
            rule that names the bank and the kind decides.
        limits: what payments are held to.
        plans: instalment plans by id.
        epoch: tells this configuration from every other.
    """

    merchants: Mapping[str, MerchantSettings]
    couriers: Mapping[str, CourierSettings]
    routes: RouteTable
    order_types: OrderTypes
    stand_in: tuple[StandInRule, ...] = field(default=())
    limits: Limits = NO_LIMITS
    plans: Mapping[str, InstalmentPlanSettings] = field(default_factory=dict)
    epoch: int = 0
