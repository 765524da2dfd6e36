"""What a handler may use: a few narrow ports, time and numbers, all injected.

Composed once in ``switch/app.py``; in tests from fakes. No handler reaches anything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.pan import Pan
from acquirer.ledger.accounts.transfer_steps import Posting
from acquirer.ledger.journal.entries import (
    CourierRow,
    Desk,
    Entry,
    OrderPayments,
    OrderRow,
    Role,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    CommitResult,
    Step,
)
from acquirer.ledger.reports.takings import Takings
from acquirer.ledger.store.rows import EntryRow
from acquirer.payments.kernel.business import Business
from acquirer.payments.kernel.calendar import DAY_MS, Calendar, MonotonicClock
from acquirer.payments.kernel.commands import PinKey
from acquirer.payments.kernel.numbers import Numbers
from acquirer.payments.kernel.stand_in import StandIn
from acquirer.payments.kernel.turns import Turns
from acquirer.payments.kernel.vault import CardVault
from acquirer.routing.banks.messages import BankRequest, CardFields
from acquirer.routing.banks.strategies import NO_FACTS, LinkFacts
from acquirer.routing.orders.client import NotOpened, OrderReply
from acquirer.routing.orders.faults import Call
from acquirer.routing.orders.messages import NewOrder, NewPart
from acquirer.routing.outcomes import BankOutcome
from acquirer.routing.settings import BankSettings


class Books(Protocol):
    """The books, as ``ledger.book.Book`` has them: reads, and units that commit whole or not.

    Each method raises ``BookBusy`` or ``BookUnavailable`` where nothing was written, ``commit``
    also ``BookUncertain``.
    """

    owner: str

    async def commit(self, *steps: Step) -> CommitResult:
        """Commit steps together or not at all; the step that did not hold, or None."""

    async def entry(self, id: int) -> Entry | None:
        """The journal entry with this id."""

    async def find_entry(
        self, terminal_id: str, batch: str, stan: str, role: Role = Role.ORIGINAL
    ) -> Entry | None:
        """The entry that (terminal, batch, STAN) names in this role."""

    async def entry_by_rrn(self, rrn: str) -> Entry | None:
        """The journal entry with this reference number."""

    async def preauths(self, pan_token: bytes, approval_code: str) -> list[Entry]:
        """Pre-authorisations of a card with an approval code, the newest first."""

    async def entries_of_original(self, original_id: int) -> list[Entry]:
        """Entries that refer to one, oldest first."""

    async def advice_is_owed(self, payment_id: int) -> bool:
        """Whether a payment's bank has not taken its advice yet, or has refused it."""

    async def entries_of_order(self, merchant_id: str, order_no: str) -> list[Entry]:
        """Every entry about an order, oldest first."""

    async def order(self, merchant_id: str, order_no: str) -> OrderRow | None:
        """What is known of an order."""

    async def desk(self, merchant_id: str, order_no: str, courier_id: str) -> Desk:
        """A courier, an order, and whether the merchant has been told all of it."""

    async def order_payments(
        self, merchant_id: str, order_no: str, named: tuple[str, str, str] | None
    ) -> OrderPayments:
        """An order, the original that a STAN names, and the payment that stands."""

    async def courier(self, courier_id: str) -> CourierRow | None:
        """A courier's durable state."""

    async def couriers_at(self, terminal_id: str) -> list[CourierRow]:
        """Who is signed on at a terminal, by id."""

    async def takings(self, merchant_id: str, business_date: str, currency_code: str) -> Takings:
        """A merchant's payments of a business date, by means."""

    async def account_sums(self, name: str, currency_code: str) -> tuple[int, int, int, int]:
        """Debits and credits posted, debits and credits pending, minor units."""

    async def postings_of_event(self, event_id: int) -> list[Posting]:
        """What an event posted, in its order."""

    async def unconfirmed(self, until_ms: int, now_ms: int, limit: int) -> list[EntryRow]:
        """Payments of orders that nobody has confirmed, oldest first."""


class Banks(Protocol):
    """The banks, as ``routing.banks.banks.Banks`` has them."""

    def is_up(self, bank: str) -> bool:
        """Whether a bank takes messages now."""

    def zpk(self, bank: str, facts: LinkFacts = NO_FACTS) -> str | None:
        """The key that a PIN must be translated to; None while the bank is not up."""

    def unfit(self, bank: str, kind: BankMessage, card: CardFields) -> int | None:
        """The first field of a card that the bank's dialect cannot hold, if any."""

    async def request(self, bank: str, request: BankRequest, deadline: float) -> BankOutcome:
        """Send, and wait for the outcome until a monotonic time."""


class Module(Protocol):
    """The security module, as far as payments need it.

    Each method raises ``HsmRefused`` or ``HsmUnavailable``.
    """

    async def translate_pin(self, key: PinKey, zpk: str, pin_block: bytes, pan: Pan) -> bytes:
        """A PIN block under a bank's key, 8 bytes."""

    async def password_ok(self, key: PinKey, pin_block: bytes, password: str) -> bool:
        """Whether a PIN block without card holds this password."""


class Orders(Protocol):
    """Merchants' order systems, as ``routing.orders.client.OrderSystems`` has them."""

    async def query(
        self,
        merchant_id: str,
        order_no: str,
        *,
        terminal_id: str,
        courier_id: str,
        changes: int | None = 0,
    ) -> OrderReply:
        """What is known of an order."""

    async def open(
        self, new: NewOrder | NewPart, *secrets: str, changes: int | None = 0
    ) -> OrderReply | NotOpened:
        """Have an order come into being."""

    def report(self, merchant_id: str, order_no: str, call: Call, outcome: OrderReply, /) -> None:
        """Log and count an answer that is at fault."""


class Clock(Protocol):
    """The time of records, schedules, ages and dates."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""

    def age_ms(self, at_ms: int) -> int:
        """How old a stored time certainly is."""

    def since_ms(self, window_ms: int) -> int:
        """The stored time from which on what lies within a window counts."""


Reversed = Callable[["Ports", Entry, Entry], Awaitable["tuple[Step, ...] | str"]]
"""What a reversal of an approved entry of one kind gives back beside bank and books.

Takes the original and the reversal; gives the steps, or a response code: 12 where it may not be
undone any more, 00 where there is nothing left to undo.
"""


InDoubt = Callable[["Ports", Entry, int], Awaitable["tuple[Step, ...]"]]
"""How an entry of one kind ends whose outcome at the bank is not known, where it is not undone.

Takes the entry and the time in milliseconds; gives the steps, the first of which holds only while
the entry is still its owner's and sent.
"""


@dataclass(frozen=True, slots=True)
class RefundRule:
    """What hangs on a payment of one kind and follows its refunds, as steps of their commits.

    Both take the payment and the refund's entry.

    Attributes:
        begin: further steps of commit 1, or the code that refuses the refund.
        end: further steps of commit 2, by whether the refund stands; where an order's does not
            hold, they are asked for again.
    """

    begin: Callable[[Ports, Entry, Entry], Awaitable[tuple[Step, ...] | str]]
    end: Callable[[Ports, Entry, Entry, bool], Awaitable[tuple[Step, ...]]]


def _nobody() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of all handlers.

    Attributes:
        business: the configuration as it is now; a command brings the one that it began with.
        bank_settings: of the banks' links, by name.
        reversals: by kind; see :data:`Reversed`.
        in_doubt: by kind; see :data:`InDoubt`.
        refunds: by the kind of what is refunded; see :class:`RefundRule`.
        day_ms: how long a day of a pre-authorisation lasts.
        answer_within_s: an asker is answered within this time, or not sent to a bank at all.
        monotonic: seconds, for deadlines.
        saf_queued: call after a commit that queued a message for a bank.
        events_queued: call after a commit that queued a notice to a merchant.
        stand_in: the cards that may be approved while their bank cannot be reached.
        stood_in: counts that.
        row_failed: counts a row of the books that could not be worked on.
        courier_turns: a courier's password tries.
        to_ask: terminals that hold order payments which nobody has confirmed for too long.
    """

    book: Books
    module: Module
    banks: Banks
    orders: Orders
    vault: CardVault
    numbers: Numbers
    business: Callable[[], Business]
    bank_settings: Mapping[str, BankSettings]
    reversals: Mapping[Kind, Reversed]
    calendar: Calendar
    monotonic: MonotonicClock
    clock: Clock
    new_event_id: Callable[[], str]
    in_doubt: Mapping[Kind, InDoubt] = field(default_factory=dict)
    refunds: Mapping[Kind, RefundRule] = field(default_factory=dict)
    day_ms: int = DAY_MS
    answer_within_s: float = 25.0
    saf_queued: Callable[[], None] = _nobody
    events_queued: Callable[[], None] = _nobody
    stood_in: Callable[[], None] = _nobody
    row_failed: Callable[[], None] = _nobody
    stand_in: StandIn = field(default_factory=StandIn)
    courier_turns: Turns = field(default_factory=Turns)
    to_ask: set[str] = field(default_factory=set)
