"""Kinds of orders beside parcels: bills, premiums, tickets; each with its words and its rules.

Pure. A type is chosen by merchant and order number, so that nothing of it has to be stored with
an order: the first type of the file that fits both. Where none does, the merchant's own words
and rules hold. Source: docs/orders.md, "Bills and other types".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from acquirer.config.business import MerchantSettings, OrderTypeSettings
from acquirer.config.patterns import TextPattern
from acquirer.payments.kernel.business import OrderRules
from acquirer.payments.orders.text import OrderText
from acquirer.routing.orders.messages import whole_of

PLAIN = OrderRules()
# Products whose orders come into being with their query, and those that are only looked at.
OPENED = frozenset({"sale", "stock_in", "count"})
SHOWN = frozenset({"item", "takings"})


class OrderTypes:
    """The types of the switch's file, and the merchants' own rules behind them."""

    def __init__(
        self, types: Sequence[OrderTypeSettings] = (), merchants: Iterable[MerchantSettings] = ()
    ) -> None:
        """Compile patterns and templates.

        Raises:
            ValueError: a pattern or a template that is none; the text names type or merchant.
        """
        self._types = [(one, _pattern(one), _rules_of_type(one)) for one in types]
        self._merchants: Mapping[str, OrderRules] = {
            merchant.merchant_id: OrderRules(
                words=_words(merchant.order_text, merchant.merchant_id), ask=tuple(merchant.ask)
            )
            for merchant in merchants
        }

    def rules_for(self, merchant_id: str, order_no: str) -> OrderRules:
        """What holds for an order of a merchant; for a part what holds for its order."""
        whole_no = whole_of(order_no) or order_no
        for one, pattern, rules in self._types:
            if one.merchants and merchant_id not in one.merchants:
                continue
            if pattern.matches(order_no) or pattern.matches(whole_no):
                return rules
        return self._merchants.get(merchant_id, PLAIN)


def _pattern(one: OrderTypeSettings) -> TextPattern:
    try:
        return TextPattern(one.order_no_pattern or ".*")
    except ValueError as error:
        raise ValueError(f"{one.name}: order_no_pattern: {error}") from None


def _rules_of_type(one: OrderTypeSettings) -> OrderRules:
    window_s = one.cancel_within_s
    return OrderRules(
        one.name,
        _words(one.text, one.name),
        tuple(one.ask),
        None if window_s is None else round(window_s * 1000),
        one.product,
    )


def _words(source: str, whose: str) -> OrderText | None:
    try:
        return OrderText(source) if source else None
    except ValueError as error:
        raise ValueError(f"{whose}: {error}") from None
