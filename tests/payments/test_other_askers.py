"""Handlers called by something that is no terminal."""

from __future__ import annotations

import pytest
from origins import MERCHANT, an_origin
from ports import NOW_MS, Parties

from acquirer.codecs.pan import Pan
from acquirer.ledger.accounts.postings import merchant_account
from acquirer.ledger.book import open_book
from acquirer.payments.cards.reversal import ReversalRequested, reversal
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.kernel.commands import Answer, PresentedCard, Repeat

pytestmark = pytest.mark.anyio

CARD = PresentedCard(Pan("6225880000000007"), expiry="3012", entry_mode="022")


async def test_a_web_shop_sells_and_takes_back() -> None:
    """A sale without terminal, message or data element is posted, named once, and undone."""
    async with open_book("sqlite://", "web-1", clock_ms=lambda: NOW_MS, driver="inline") as book:
        parties = Parties(book)
        origin = an_origin(terminal_id="@WEB", batch="shop", stan="order-1", amount_minor=10_000)
        answer = await sale(parties.ports, SaleRequested(origin, CARD))
        assert isinstance(answer, Answer)
        assert ("00", "A12345") == (answer.response_code, answer.reply.approval_code)
        assert isinstance(await sale(parties.ports, SaleRequested(origin, CARD)), Repeat)
        payable = merchant_account(MERCHANT.merchant_id)
        assert 9_880 == (await book.account_sums(payable, "156"))[1]
        undone = await reversal(parties.ports, ReversalRequested(origin))
        assert isinstance(undone, Answer)
        assert "00" == undone.response_code
        debits, credits, *_ = await book.account_sums(payable, "156")
        assert debits == credits
        assert ["saf", "events"] == parties.told
