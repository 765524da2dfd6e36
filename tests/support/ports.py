"""Fakes of the ports of payments: banks, module, order systems, a clock; all do as told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from origins import BANK, a_business

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.payments.kernel.business import Business
from acquirer.payments.kernel.calendar import Calendar
from acquirer.payments.kernel.commands import PinKey
from acquirer.payments.kernel.numbers import Numbers
from acquirer.payments.kernel.ports import Books, Ports
from acquirer.payments.kernel.vault import CardVault
from acquirer.routing.banks.messages import BankRequest, CardFields
from acquirer.routing.banks.strategies import NO_FACTS, LinkFacts
from acquirer.routing.orders.client import NotOpened, OrderReply, OrderSystemDown, UnknownOrder
from acquirer.routing.orders.faults import Call
from acquirer.routing.orders.messages import NewOrder, NewPart
from acquirer.routing.outcomes import BankOutcome, Replied
from acquirer.routing.settings import BankSettings
from acquirer.switch.app import IN_DOUBT, REFUNDS, REVERSALS

NOW_MS = 1_795_222_800_000


def replied(code: str, approval_code: str = "", **fields: str) -> Replied:
    """A bank's answer."""
    named = {int(number[2:]): value for number, value in fields.items()}
    return Replied(Message("0210", {39: code, 38: approval_code, **named}))


async def _nothing() -> None:
    pass


@dataclass
class FakeBanks:
    """One bank: gives outcomes in turn, the last one for ever; keeps what it was sent.

    Attributes:
        meanwhile: called before each outcome is given, while the request is at the bank.
        unfit_field: that its dialect cannot hold.
    """

    outcomes: list[BankOutcome] = field(default_factory=lambda: [replied("00", "A12345")])
    sent: list[BankRequest] = field(default_factory=list)
    up: bool = True
    meanwhile: Callable[[], Awaitable[object]] = _nothing
    unfit_field: int | None = None

    def is_up(self, bank: str) -> bool:
        """See ``Banks``."""
        return self.up

    def zpk(self, bank: str, facts: LinkFacts = NO_FACTS) -> str | None:
        """See ``Banks``."""
        return "ZPK" if self.up else None

    def unfit(self, bank: str, kind: BankMessage, card: CardFields) -> int | None:
        """See ``Banks``."""
        return self.unfit_field

    async def request(self, bank: str, request: BankRequest, deadline: float) -> BankOutcome:
        """See ``Banks``."""
        self.sent.append(request)
        await self.meanwhile()
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


@dataclass
class FakeModule:
    """A security module that turns every byte round, and knows one password.

    Attributes:
        error: raised instead of an answer.
    """

    password: bytes = bytes(8)
    error: Exception | None = None

    async def translate_pin(self, key: PinKey, zpk: str, pin_block: bytes, pan: Pan) -> bytes:
        """See ``Module``."""
        if self.error:
            raise self.error
        return bytes(255 - byte for byte in pin_block)

    async def password_ok(self, key: PinKey, pin_block: bytes, password: str) -> bool:
        """See ``Module``."""
        if self.error:
            raise self.error
        return pin_block == self.password


@dataclass
class FakeOrders:
    """A merchant's order system: says what it was given, by order number.

    Attributes:
        opens: what opening an order or a part gives.
        asked: order numbers.
        opened: what was to come into being.
        faults: what was reported of its answers.
    """

    facts: dict[str, OrderReply] = field(default_factory=dict)
    opens: OrderReply | NotOpened = field(default_factory=UnknownOrder)
    asked: list[str] = field(default_factory=list)
    opened: list[NewOrder | NewPart] = field(default_factory=list)
    faults: list[tuple[str, str, Call, OrderSystemDown]] = field(default_factory=list)

    async def query(
        self,
        merchant_id: str,
        order_no: str,
        *,
        terminal_id: str,
        courier_id: str,
        changes: int | None = 0,
    ) -> OrderReply:
        """See ``Orders``."""
        self.asked.append(order_no)
        return self.facts.get(order_no, UnknownOrder())

    async def open(
        self, new: NewOrder | NewPart, *secrets: str, changes: int | None = 0
    ) -> OrderReply | NotOpened:
        """See ``Orders``."""
        self.opened.append(new)
        return self.opens

    def report(self, merchant_id: str, order_no: str, call: Call, outcome: OrderReply) -> None:
        """See ``Orders``."""
        if isinstance(outcome, OrderSystemDown):
            self.faults.append((merchant_id, order_no, call, outcome))


@dataclass
class FakeClock:
    """The time that it is told."""

    at_ms: int = NOW_MS

    def now_ms(self) -> int:
        """See ``Clock``."""
        return self.at_ms

    def age_ms(self, at_ms: int) -> int:
        """See ``Clock``."""
        return self.at_ms - at_ms

    def since_ms(self, window_ms: int) -> int:
        """See ``Clock``."""
        return self.at_ms - window_ms


class CountedNumbers(Numbers):
    """Numbers from 1 upwards."""

    def __init__(self) -> None:
        self._counted = count(1)

    async def take(self) -> int:
        """See ``Numbers``."""
        return next(self._counted)


class NoSecrets:
    """No notice is signed."""

    def of(self, merchant_id: str) -> tuple[str, ...]:
        """See ``Secrets``."""
        return ()


@dataclass
class Parties:
    """All that a handler reaches, in memory.

    Attributes:
        told: what was called: ``saf``, ``events``, ``stood_in``, ``row_failed``.
        now_s: the monotonic clock.
    """

    book: Books
    banks: FakeBanks = field(default_factory=FakeBanks)
    module: FakeModule = field(default_factory=FakeModule)
    orders: FakeOrders = field(default_factory=FakeOrders)
    clock: FakeClock = field(default_factory=FakeClock)
    business: Business = field(default_factory=a_business)
    told: list[str] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        ids = count(1)
        self.ports = Ports(
            book=self.book,
            module=self.module,
            banks=self.banks,
            orders=self.orders,
            vault=CardVault(bytes(32), bytes),
            numbers=CountedNumbers(),
            business=lambda: self.business,
            bank_settings={
                BANK: BankSettings(name=BANK, address="h:1", acquirer_id="00085500", zpk="U")
            },
            reversals=REVERSALS,
            in_doubt=IN_DOUBT,
            refunds=REFUNDS,
            calendar=Calendar("Asia/Shanghai"),
            monotonic=lambda: self.now_s,
            clock=self.clock,
            new_event_id=lambda: f"evt_{next(ids)}",
            saf_queued=lambda: self.told.append("saf"),
            events_queued=lambda: self.told.append("events"),
            stood_in=lambda: self.told.append("stood_in"),
            row_failed=lambda: self.told.append("row_failed"),
        )


def kinds_of(sent: Sequence[BankRequest]) -> list[BankMessage]:
    """What a bank was asked."""
    return [request.kind for request in sent]
