"""Who asks for a payment, as tests make it."""

from __future__ import annotations

from typing import Any

from acquirer.config.business import CourierSettings, MerchantSettings
from acquirer.payments.kernel.business import Business
from acquirer.payments.kernel.commands import Origin
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.banks.choice import RouteRule, route_table

MERCHANT = MerchantSettings("M1", "One", "4215", 120, "whsec_")
COURIER = CourierSettings("C1", "M1", "")
BANK = "demo"


def a_business(**changes: Any) -> Business:
    """One merchant with one courier, whose cards all go to one bank."""
    usual: dict[str, Any] = {
        "merchants": {MERCHANT.merchant_id: MERCHANT},
        "couriers": {COURIER.courier_id: COURIER},
        "routes": route_table([RouteRule(BANK)], [BANK]),
        "order_types": OrderTypes(),
    }
    return Business(**usual | changes)


def an_origin(**changes: Any) -> Origin:
    """A request of one terminal of the merchant."""
    usual: dict[str, Any] = {
        "terminal_id": "10000001",
        "merchant": MERCHANT,
        "batch": "000001",
        "stan": "000001",
        "business": a_business(),
        "fingerprint": b"one",
        "started_at": 0.0,
        "now_ms": 1_795_222_800_000,
    }
    return Origin(**usual | changes)
