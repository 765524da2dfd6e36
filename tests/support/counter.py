"""A merchant's counter, for tests of handlers: it asks by commands and looks into the books.

``Counter`` has the ports with their fakes and books in memory (``ports.py``, ``memory_books.py``),
makes origins whose STANs count up, and says what became of money: the accounts' balances, what a
bank is owed, what a merchant is told.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

from memory_books import MemoryBooks
from origins import BANK, COURIER, MERCHANT, a_business, an_origin
from ports import Parties

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import PROCESSING_CODES, Means, OrderStatus
from acquirer.codecs.pan import Pan
from acquirer.ledger.accounts.postings import (
    MDR_INCOME,
    courier_account,
    merchant_account,
    scheme_account,
)
from acquirer.ledger.accounts.transfer_steps import Posting
from acquirer.ledger.journal.entries import (
    CourierRow,
    Entry,
    OrderRow,
    Role,
    State,
)
from acquirer.ledger.journal.steps import (
    PutCourier,
)
from acquirer.payments.cards.reversal import ReversalRequested, reversal
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.kernel.commands import Answer, Named, Origin, Outcome, PresentedCard
from acquirer.payments.orders.cancellation import (
    OrderCancellationRequested,
    order_cancellation,
)
from acquirer.payments.orders.payment import OrderPaymentRequested, order_payment
from acquirer.routing.orders.messages import OrderFacts

TERMINAL, OTHER_TERMINAL = "10000001", "10000002"
PAN = Pan("6225880000000007")
OTHER_PAN = Pan("6225880000000015")
CARD = PresentedCard(PAN, expiry="3012", entry_mode="022")
SCHEME = scheme_account(BANK)
PAYABLE = merchant_account(MERCHANT.merchant_id)
IN_HAND = courier_account(COURIER.courier_id)
# What a sale of 100.00 leaves behind at 1.2 %: debits less credits by account.
SOLD = {SCHEME: 10_000, PAYABLE: -9_880, MDR_INCOME: -120}
# What an order of 100.00 leaves behind that was paid in cash.
IN_CASH = {IN_HAND: 10_000, PAYABLE: -10_000}
NOTHING: dict[str, int] = {}


class Owed(NamedTuple):
    """A message that the bank must get."""

    kind: BankMessage
    original_id: int
    reason: str


class Notice(NamedTuple):
    """What a merchant is told."""

    type: str
    order_no: str
    status: str
    amount_minor: int


class Counter(Parties):
    """A merchant's counter; ``changes`` are of its business configuration."""

    def __init__(self, **changes: Any) -> None:
        self.books = MemoryBooks()
        super().__init__(self.books, business=a_business(**changes))
        self._stans = count(1)
        self.sign_on(COURIER.courier_id, TERMINAL)

    # --- asking -------------------------------------------------------------------------------

    def origin(self, amount_minor: int | None = None, **changes: Any) -> Origin:
        """A request with the next STAN."""
        usual: dict[str, Any] = {
            "stan": f"{next(self._stans):06d}",
            "business": self.business,
            "started_at": self.now_s,
            "now_ms": self.clock.at_ms,
            "amount_minor": amount_minor,
        }
        return an_origin(**usual | changes)

    async def sell(self, amount_minor: int = 10_000, **changes: Any) -> tuple[Answer, Entry]:
        """A sale by card: its answer and its entry."""
        origin = self.origin(amount_minor, **changes)
        answer = answered(await sale(self.ports, SaleRequested(origin, CARD)))
        return answer, self.entry(origin)

    async def pay(
        self,
        order_no: str,
        amount_minor: int | None = 10_000,
        means: Means = Means.CARD,
        *,
        further: tuple[str, ...] = (),
        keyed: tuple[str, ...] = (),
        card: PresentedCard | None = CARD,
        **changes: Any,
    ) -> tuple[Answer, Entry]:
        """A payment by the courier: its answer and its entry."""
        origin = self.order_origin(amount_minor, means, **changes)
        command = OrderPaymentRequested(
            origin, order_no, means, further, keyed, card if means is Means.CARD else None
        )
        answer = answered(await order_payment(self.ports, command))
        return answer, self.entry(origin)

    def order_origin(
        self, amount_minor: int | None = None, means: Means = Means.CARD, **changes: Any
    ) -> Origin:
        """A request of the courier with the next STAN."""
        usual: dict[str, Any] = {
            "courier_id": COURIER.courier_id,
            "processing_code": PROCESSING_CODES[means],
        }
        return self.origin(amount_minor, **usual | changes)

    def cancellation(self, payment: Entry, **changes: Any) -> OrderCancellationRequested:
        """The courier's cancellation of an order's payment, as its slip says it."""
        fields = {name: changes.pop(name) for name in ("rrn", "order_no") if name in changes}
        usual = {"rrn": payment.rrn, "order_no": payment.order_no}
        origin = self.order_origin(**{"amount_minor": payment.amount_minor} | changes)
        return OrderCancellationRequested(origin, payment=named(payment), **usual | fields)

    async def cancel(self, payment: Entry, **changes: Any) -> str:
        """The response code of a cancellation."""
        command = self.cancellation(payment, **changes)
        return await code_of(order_cancellation(self.ports, command))

    async def reverse(self, origin: Origin, reason: str = "98", **changes: Any) -> Answer:
        """The reversal of a request, of the same number and amount."""
        usual: dict[str, Any] = {
            "stan": origin.stan,
            "batch": origin.batch,
            "terminal_id": origin.terminal_id,
            "role": Role.REVERSAL,
        }
        named = changes.pop("amount_minor", origin.amount_minor)
        again = self.origin(named, **usual | changes)
        return answered(await reversal(self.ports, ReversalRequested(again, reason)))

    def sign_on(self, courier_id: str, terminal_id: str) -> None:
        """A courier is signed on at a terminal."""
        row = self.books.rows.couriers.get(courier_id) or CourierRow(courier_id)
        self.books.apply(PutCourier(replace(row, terminal_id=terminal_id), row))

    def owes(self, order_no: str, amount_minor: int = 10_000, **changes: Any) -> OrderFacts:
        """The merchant's order system has an order to pay."""
        usual: dict[str, Any] = {
            "order_no": order_no,
            "merchant_id": MERCHANT.merchant_id,
            "status": OrderStatus.TO_PAY if amount_minor else OrderStatus.NOTHING_TO_PAY,
            "amount_minor": amount_minor,
            "currency_code": "156",
            "pay_ways": "123",
        }
        facts = OrderFacts(**usual | changes)
        self.orders.facts[order_no] = facts
        return facts

    # --- looking ------------------------------------------------------------------------------

    def entry(self, origin: Origin, role: Role | None = None) -> Entry:
        """What the journal has of a request."""
        key = (origin.terminal_id, origin.batch, origin.stan, role or origin.role)
        return {(e.terminal_id, e.batch, e.stan, e.role): e for e in self.entries}[key]

    @property
    def entries(self) -> list[Entry]:
        """All of the journal, in the order in which they were stored."""
        return list(self.books.rows.entries.values())

    def state(self, entry: Entry) -> State:
        """An entry's state now."""
        return self.books.rows.entries[entry.id].state

    def order(self, order_no: str) -> OrderRow:
        """What the books have of an order."""
        return self.books.rows.orders[MERCHANT.merchant_id, order_no]

    @property
    def money(self) -> dict[str, int]:
        """Debits less credits of each account, minor units; what is nothing is left out."""
        return _balances((one.posting, one.posted_minor) for one in self.books.rows.transfers)

    @property
    def held(self) -> dict[str, int]:
        """The same of what is pending."""
        return _balances((one.posting, one.held_minor) for one in self.books.rows.transfers)

    @property
    def owed(self) -> list[Owed]:
        """What the bank must get, in the order in which it was queued."""
        items = self.books.rows.saf.values()
        return [Owed(item.kind, item.original_id, item.reason) for item in items]

    @property
    def notices(self) -> list[Notice]:
        """What the merchant is told, in order."""
        bodies = [json.loads(event.body) for event in self.books.rows.events.values()]
        return [
            Notice(
                body["type"],
                body["data"]["order_no"],
                body["data"]["order_status"],
                body["data"]["amount_minor"],
            )
            for body in bodies
        ]


def _balances(moved: Iterable[tuple[Posting, int]]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for posting, amount_minor in moved:
        sums[posting.debit] += amount_minor
        sums[posting.credit] -= amount_minor
    return {name: balance for name, balance in sums.items() if balance}


def answered(outcome: Outcome) -> Answer:
    """An outcome that is an answer."""
    assert isinstance(outcome, Answer), outcome
    return outcome


async def code_of(outcome: Awaitable[Outcome]) -> str:
    """The response code of what a handler answers."""
    return answered(await outcome).response_code


def named(entry: Entry) -> Named:
    """An entry by its batch and STAN."""
    return Named(entry.batch, entry.stan)


def reversal_of(entry: Entry, reason: str = "98") -> Owed:
    """That the bank is owed an entry's reversal."""
    return Owed(BankMessage.REVERSAL, entry.id, reason)
