"""What a terminal sells otherwise than to a card that is there and pays at once."""

from __future__ import annotations

from acquirer.codecs.instalments import InstalmentTerms
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.cards import Presented
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.requests import Requests, money

# DE22 where a customer shows a code.
CODE_SHOWN = "032"


class SaleRequests(Requests):
    """Instalments, codes that a customer shows, orders by mail or telephone."""

    def instalment(
        self, amount_minor: int, presented: Presented, terms: InstalmentTerms
    ) -> Request:
        """0200 000000, condition 64: the card's holder pays his bank back in parts."""
        fields = {**self._card(presented, amount_minor), **money(amount_minor)}
        fields[62] = terms.format().encode("ascii").hex().upper()
        return self._request(kinds.INSTALMENT, fields)

    def qr(self, amount_minor: int, code: str) -> Request:
        """0200 000000 with the code that a customer shows, and no card."""
        fields = money(amount_minor) | {22: CODE_SHOWN, 59: self._items({"A3": code})}
        return self._request(kinds.QR, fields)

    def moto(self, amount_minor: int, presented: Presented, cvn2: str = "") -> Request:
        """0200 000000, condition 08: an order by mail or telephone; the card is keyed in."""
        fields = {**self._card(presented, amount_minor), **money(amount_minor)}
        if cvn2:
            fields[59] = self._items({"CV": cvn2})
        return self._request(kinds.MOTO, fields)
