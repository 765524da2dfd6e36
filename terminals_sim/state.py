"""What a terminal remembers, as frozen values, and the steps that change it. Pure.

Nothing here is secret: working keys stand as cryptograms under the master key, as they were
received; there is no card number, track, PIN or key in clear. ``store.py`` keeps it in a file,
``terminal.py`` decides which step to take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from acquirer.terminals_sim.errors import LocalRefusal

STAN_MAX = 999_999
JOURNAL_MAX = 1000
ORDERS_MAX = 500
ADVICES_MAX = 100

EntryState = Literal[
    "approved", "declined", "reversed", "voided", "refunded", "completed", "unknown"
]
Stage = Literal["paid", "confirmed", "signed", "cancelled", "cancel_confirmed", "reversed"]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One transaction of this terminal's own books.

    Attributes:
        date: MMDD of the switch's answer (DE13), which DE61 of a void carries.
        order_no: of an order transaction; several with blanks between.
        original_batch: batch of the transaction that this one voids or cancels, or empty.
        original_stan: its STAN.
    """

    kind: str
    batch: str
    stan: str
    amount_minor: int = 0
    rrn: str = ""
    approval_code: str = ""
    date: str = ""
    response_code: str = ""
    state: EntryState = "unknown"
    order_no: str = ""
    original_batch: str = ""
    original_stan: str = ""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request that must be sent until it is answered: a reversal or a confirmation.

    Attributes:
        kind: the name of its row, for a reversal that of the original.
        mti: 4 digits.
        fields: data elements without DE64; a reversal's DE39 is its reason.
        attempts: how often it left without a usable answer.
    """

    kind: str
    mti: str
    fields: dict[int, str]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class OrderPayment:
    """A payment of an order that this terminal took.

    Attributes:
        amount_minor: of the whole payment, which several orders may share.
    """

    order_no: str
    processing_code: str
    amount_minor: int
    batch: str
    stan: str
    date: str
    rrn: str
    approval_code: str = ""
    stage: Stage = "paid"


@dataclass(frozen=True, slots=True)
class TerminalState:
    """Everything that survives a power cut.

    Attributes:
        next_stan: 1 to 999999.
        network_code: 60.3 of the sign-on that brought the keys.
        wrapped_keys: DE62 as received, hexadecimal; empty before sign-on. Where keys are derived,
            the first serial number.
        ksn: the serial number that was used last, where keys are derived.
        sign_on_due: the switch asked for a new sign-on.
        reversal: what must be sent before the next transaction.
        last_reversible: the reversal of the last approved reversible transaction.
        advices: confirmations and cancellations that no answer came for.
    """

    terminal_id: str
    batch: str = "000000"
    next_stan: int = 1
    network_code: str = ""
    wrapped_keys: str = ""
    ksn: str = ""
    sign_on_due: bool = False
    courier_id: str = ""
    reversal: StoredRequest | None = None
    last_reversible: StoredRequest | None = None
    advices: tuple[StoredRequest, ...] = ()
    orders: tuple[OrderPayment, ...] = ()
    journal: tuple[JournalEntry, ...] = ()

    @property
    def stan(self) -> str:
        """The next STAN as DE11 carries it, 6 digits."""
        return f"{self.next_stan:06d}"

    @property
    def open_orders(self) -> tuple[OrderPayment, ...]:
        """Order payments that are neither confirmed nor undone."""
        return tuple(order for order in self.orders if order.stage == "paid")

    def entry(self, batch: str, stan: str) -> JournalEntry | None:
        """The newest journal entry of (batch, STAN)."""
        for entry in reversed(self.journal):
            if entry.stan == stan and entry.batch == batch:
                return entry
        return None

    def order(self, order_no: str) -> OrderPayment | None:
        """The newest payment of an order that was not reversed."""
        for order in reversed(self.orders):
            if order.order_no == order_no and order.stage != "reversed":
                return order
        return None

    def with_stan_taken(self) -> TerminalState:
        """The next STAN; 000001 follows 999999."""
        return replace(self, next_stan=self.next_stan % STAN_MAX + 1)

    def with_entry(self, entry: JournalEntry, journal_max: int = JOURNAL_MAX) -> TerminalState:
        """One more journal entry; the oldest goes where the journal is full."""
        return replace(self, journal=(*self.journal, entry)[-journal_max:])

    def with_entry_changed(self, batch: str, stan: str, **changes: Any) -> TerminalState:
        """The newest entry of (batch, STAN) changed; nothing where there is none."""
        journal = list(self.journal)
        for index in range(len(journal) - 1, -1, -1):
            if journal[index].stan == stan and journal[index].batch == batch:
                journal[index] = replace(journal[index], **changes)
                return replace(self, journal=tuple(journal))
        return self

    def with_order(self, order: OrderPayment) -> TerminalState:
        """One more order payment; the oldest that is not open goes where there are too many."""
        orders = list(self.orders)
        if len(orders) >= ORDERS_MAX:
            orders.remove(next(old for old in orders if old.stage != "paid"))
        return replace(self, orders=(*orders, order))

    def with_stage(self, batch: str, stan: str, stage: Stage, order_no: str = "") -> TerminalState:
        """The orders that (batch, STAN) paid at another stage, or one of them; nothing if none."""

        def moved(order: OrderPayment) -> OrderPayment:
            paid = (order.batch, order.stan) == (batch, stan)
            named = order_no in ("", order.order_no)
            # A confirmation that is answered late says nothing of what was done since.
            is_late = stage == "confirmed" and order.stage != "paid"
            return replace(order, stage=stage) if paid and named and not is_late else order

        return replace(self, orders=tuple(moved(order) for order in self.orders))

    def with_advice(self, advice: StoredRequest) -> TerminalState:
        """One more request to repeat until it is answered.

        Raises:
            LocalRefusal: too many wait already.
        """
        if len(self.advices) >= ADVICES_MAX:
            raise LocalRefusal(f"{ADVICES_MAX} confirmations wait for the switch already")
        return replace(self, advices=(*self.advices, advice))

    def without_advice(self, stan: str) -> TerminalState:
        """The request with this STAN is answered."""
        left = tuple(advice for advice in self.advices if advice.fields.get(11) != stan)
        return replace(self, advices=left)
