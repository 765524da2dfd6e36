"""A configuration of one merchant with one terminal, and the process settings that serve it."""

from __future__ import annotations

from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.routing.banks.choice import RouteRule
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.routing.settings import BankSettings
from acquirer.switch.configuration.kinds import Configuration
from acquirer.switch.settings import BusinessDaySettings, DatabaseSettings, SwitchSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MERCHANT = MerchantSettings("898110053310001", "Tea 茶", "5499", 60, SECRET)
TERMINAL = TerminalSettings("10000001", MERCHANT.merchant_id, "U1", "cup")
ROUTE = RouteRule("demo", bins=["622588"])
SYSTEM = OrderSystemSettings("orders", url="http://127.0.0.1:1")
WHOLE = Configuration(
    merchants=(MERCHANT,), terminals=(TERMINAL,), routes=(ROUTE,), order_systems=(SYSTEM,)
)
SETTINGS = SwitchSettings(
    database=DatabaseSettings("sqlite://"),
    banks=[BankSettings("demo", address="h:1", acquirer_id="00085500")],
    routes=[ROUTE],
    merchants=[MERCHANT],
    profiles=[ProfileSettings("cup")],
    business_day=BusinessDaySettings("Asia/Shanghai"),
    terminals=[TERMINAL],
)
