"""Types of orders: which one an order is of, and what is refused at the start."""

import pytest

from acquirer.config.business import MerchantSettings, OrderTypeSettings
from acquirer.payments.orders.types import PLAIN, OrderTypes

M1 = MerchantSettings("M1", "One", "4215", 0, "", ask=["floor"])
M2 = MerchantSettings("M2", "Two", "4215", 0, "", order_text="{{ due }}")
BILL = OrderTypeSettings("bill", ["M1"], "UB[0-9]+", ask=["account"], cancel_within_s=0.5)
TICKET = OrderTypeSettings("ticket", [], "UB1|T.*")


def test_the_first_type_that_fits_counts() -> None:
    """By merchant and whole order number; else the merchant's own rules, else none."""
    types = OrderTypes([BILL, TICKET], [M1, M2])
    assert ("bill", ("account",), 500) == (
        (found := types.rules_for("M1", "UB1")).name,
        found.ask,
        found.cancel_within_ms,
    )
    assert "ticket" == types.rules_for("M2", "UB1").name
    assert ("", ("floor",)) == (
        (found := types.rules_for("M1", "xUB1")).name,
        found.ask,
    )
    assert types.rules_for("M2", "A").words is not None
    assert PLAIN is types.rules_for("M3", "A")


@pytest.mark.parametrize(
    "wrong",
    [OrderTypeSettings("w", order_no_pattern="("), OrderTypeSettings("w", text="{{ due")],
)
def test_what_cannot_work_is_refused_at_the_start(wrong: OrderTypeSettings) -> None:
    """With the type's name."""
    with pytest.raises(ValueError, match=r"^w: "):
        OrderTypes([wrong])
