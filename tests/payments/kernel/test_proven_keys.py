"""Handlers alone: what is asked for is stored only under the keys that have proved the asker."""

from __future__ import annotations

import pytest
from counter import CARD, NOTHING, TERMINAL, Counter, named
from ports import kinds_of

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.orders.payment import OrderPaymentRequested, order_payment

pytestmark = pytest.mark.anyio


@pytest.fixture
def rekeyed(counter: Counter) -> Counter:
    """A counter whose terminal has keys of version 2."""
    counter.books.rows.key_versions[TERMINAL] = 2
    return counter


async def test_a_sale_under_other_keys_is_looked_at_again(rekeyed: Counter) -> None:
    """Nothing is stored, posted or sent; under the present keys it is a sale."""
    origin = rekeyed.origin(10_000, key_version=1)
    assert isinstance(await sale(rekeyed.ports, SaleRequested(origin, CARD)), Repeat)
    assert ([], [], NOTHING) == (rekeyed.entries, rekeyed.banks.sent, rekeyed.money)
    assert "00" == (await rekeyed.sell(key_version=2))[0].response_code


async def test_a_refusal_under_other_keys_is_not_stored(rekeyed: Counter) -> None:
    """So that no stranger uses up a number."""
    origin = rekeyed.origin(0, key_version=1)
    assert isinstance(await sale(rekeyed.ports, SaleRequested(origin, CARD)), Repeat)
    assert [] == rekeyed.entries


async def test_a_void_under_other_keys_claims_nothing(rekeyed: Counter) -> None:
    """The sale may be voided under the present ones."""
    _, sold = await rekeyed.sell()
    for version, kinds in ((1, [BankMessage.SALE]), (2, [BankMessage.SALE, BankMessage.VOID])):
        origin = rekeyed.origin(10_000, key_version=version)
        await void(rekeyed.ports, VoidRequested(origin, named(sold), sold.rrn))
        assert kinds == kinds_of(rekeyed.banks.sent)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_payment_under_other_keys_holds_no_order(rekeyed: Counter, means: Means) -> None:
    """Nothing is known of the order, and no bank is asked."""
    rekeyed.owes("O1")
    origin = rekeyed.order_origin(10_000, means, key_version=1)
    command = OrderPaymentRequested(origin, "O1", means, card=CARD)
    assert isinstance(await order_payment(rekeyed.ports, command), Repeat)
    assert ({}, [], NOTHING) == (rekeyed.books.rows.orders, rekeyed.banks.sent, rekeyed.money)
    assert "00" == (await rekeyed.pay("O1", means=means, key_version=2))[0].response_code
