"""Books in memory, for tests of handlers: the port ``Books`` without database, file or task.

What a unit does here is what it does to the real books, for each step that payments use
(``tests/ledger/test_memory_books.py`` holds the two together); any other step is refused as a bug
of the test. Nothing is awaited, so a test says itself what happens between a read and a commit
(:attr:`MemoryBooks.meanwhile`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from memory_steps import RUN, Tables, entry_named, sums

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means, OrderStatus, means_of
from acquirer.ledger.accounts.transfer_steps import Posting
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.entries import (
    CourierRow,
    Desk,
    Entry,
    OrderPayments,
    OrderRow,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import KINDS, TAKINGS, Kind
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.states import change_is_legal
from acquirer.ledger.journal.steps import (
    CommitResult,
    Failed,
    InsertEntry,
    Step,
    UpdateEntry,
)
from acquirer.ledger.reports.takings import Takings
from acquirer.ledger.store.rows import EntryRow

ADVICES = (BankMessage.ADVICE, BankMessage.COMPLETION)


class MemoryBooks:
    """Books in memory.

    Attributes:
        owner: as of the real books.
        rows: what they hold; a test reads it, and changes it through :meth:`apply`.
        meanwhile: each call runs once, before one commit, the first before the next, and is
            awaited where it can be; so it comes between what a handler has read and what it
            commits. What it raises the commit raises.
    """

    def __init__(self) -> None:
        self.owner = "memory#1.0"
        self.rows = Tables()
        self.meanwhile: list[Callable[[], object]] = []

    # --- units --------------------------------------------------------------------------------

    async def commit(self, *steps: Step) -> CommitResult:
        """See ``Books``."""
        if self.meanwhile:
            happened = self.meanwhile.pop(0)()
            if isinstance(happened, Awaitable):
                await happened
        return self.apply(*steps)

    def apply(self, *steps: Step) -> CommitResult:
        """Commit a unit at once, as another process would.

        Raises:
            UnitRefused: an illegal change of state, a broken constraint, or a step that payments
                do not use; nothing was written.
        """
        for step in steps:
            if (
                isinstance(step, UpdateEntry)
                and step.state is not None
                and not change_is_legal(step.expected, step.state)
            ):
                raise UnitRefused(f"no entry goes from {step.expected} to {step.state}")
        inserts = [one for one in steps if isinstance(one, InsertEntry) and one.entry.limits]
        limited = inserts[-1] if inserts else None
        before, self.rows = self.rows, self.rows.copy()
        done, failed = False, None
        try:
            for step in (*steps, *(limited.entry.limits if limited else ())):
                run = RUN.get(type(step))
                if run is None:
                    raise UnitRefused(f"{type(step).__name__} is no step of payments")
                if not run(self.rows, step):
                    failed = step
                    break
            else:
                done = True
        finally:
            if not done:
                self.rows = before
        if limited is not None and isinstance(failed, LimitDaily):
            self.apply(InsertEntry(limited.entry.refused(failed.response_code)))
            return Failed(limited)
        return Failed(failed) if failed is not None else None

    def tell_all(self) -> None:
        """All notices are delivered."""
        self.rows.told.update(self.rows.events)

    # --- reads --------------------------------------------------------------------------------

    async def entry(self, id: int) -> Entry | None:
        """See ``Books``."""
        return self.rows.entries.get(id)

    async def find_entry(
        self, terminal_id: str, batch: str, stan: str, role: Role = Role.ORIGINAL
    ) -> Entry | None:
        """See ``Books``."""
        return entry_named(self.rows, (terminal_id, batch, stan, role))

    async def entry_by_rrn(self, rrn: str) -> Entry | None:
        """See ``Books``."""
        return next((one for one in self.rows.entries.values() if one.rrn == rrn), None)

    async def preauths(self, pan_token: bytes, approval_code: str) -> list[Entry]:
        """See ``Books``."""
        found = [
            entry
            for entry in self.rows.entries.values()
            if entry.kind is Kind.PREAUTH and entry.card is not None
            if (entry.card.pan_token, entry.approval_code) == (pan_token, approval_code)
        ]
        return sorted(found, key=lambda entry: -entry.id)

    async def entries_of_original(self, original_id: int) -> list[Entry]:
        """See ``Books``."""
        return self._entries(lambda entry: entry.original_id == original_id)

    async def advice_is_owed(self, payment_id: int) -> bool:
        """See ``Books``."""
        owed = [(item.kind, item.original_id) for item in self.rows.saf.values()]
        return bool({(kind, payment_id) for kind in ADVICES} & set(owed))

    async def entries_of_order(self, merchant_id: str, order_no: str) -> list[Entry]:
        """See ``Books``."""
        key = (merchant_id, order_no)
        return self._entries(lambda entry: (entry.merchant_id, entry.order_no) == key)

    def _entries(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        found = filter(wanted, self.rows.entries.values())
        return sorted(found, key=lambda entry: entry.id)

    async def order(self, merchant_id: str, order_no: str) -> OrderRow | None:
        """See ``Books``."""
        return self.rows.orders.get((merchant_id, order_no))

    def _parts(self, merchant_id: str, order_no: str) -> list[OrderRow]:
        key = (merchant_id, order_no)
        rows = self.rows.orders.values()
        return [row for row in rows if (row.merchant_id, row.part_of) == key and row.part_of]

    def _is_told(self, merchant_id: str, order_no: str) -> bool:
        return not any(
            (event.merchant_id, event.order_no) == (merchant_id, order_no)
            for event in self.rows.events.values()
            if event.id not in self.rows.told
        )

    async def desk(self, merchant_id: str, order_no: str, courier_id: str) -> Desk:
        """See ``Books``."""
        courier = self.rows.couriers.get(courier_id)
        order = self.rows.orders.get((merchant_id, order_no))
        if order is None:
            return Desk(courier, None, told=True)
        whole_no = order.part_of or order_no
        whole = self.rows.orders.get((merchant_id, order.part_of)) if order.part_of else None
        parts = self._parts(merchant_id, whole_no)
        family = (whole_no, *(part.order_no for part in parts))
        told = all(self._is_told(merchant_id, number) for number in family)
        held = [row for row in (*parts, whole) if row is not None and row.paying_id is not None]
        if whole is not None:
            held = [row for row in held if row is not order]
        return Desk(courier, order, told, whole, in_parts=bool(parts), held=bool(held))

    async def order_payments(
        self, merchant_id: str, order_no: str, named: tuple[str, str, str] | None
    ) -> OrderPayments:
        """See ``Books``."""
        order = self.rows.orders.get((merchant_id, order_no))
        original = None if named is None else entry_named(self.rows, (*named, Role.ORIGINAL))
        if order is None:
            return OrderPayments(None, original, None)
        payment = self.rows.entries.get(order.payment_id) if order.payment_id else None
        has_open = any(
            part.status == OrderStatus.PAID or part.paying_id is not None
            for part in self._parts(merchant_id, order_no)
        )
        return OrderPayments(order, original, payment, has_open)

    async def courier(self, courier_id: str) -> CourierRow | None:
        """See ``Books``."""
        return self.rows.couriers.get(courier_id)

    async def couriers_at(self, terminal_id: str) -> list[CourierRow]:
        """See ``Books``."""
        rows = sorted(self.rows.couriers.values(), key=lambda row: row.courier_id)
        return [row for row in rows if row.terminal_id == terminal_id]

    async def takings(self, merchant_id: str, business_date: str, currency_code: str) -> Takings:
        """See ``Books``."""
        found = Takings()
        key = (merchant_id, business_date, currency_code)
        for entry in self.rows.entries.values():
            of = (entry.merchant_id, entry.business_date, entry.currency_code)
            is_standing = entry.state in (State.APPROVED, State.REFUNDED)
            if of != key or entry.kind not in TAKINGS or not is_standing:
                continue
            means = means_of(entry.processing_code)
            if KINDS[entry.kind].gives_back:
                found.refund_count += 1
                found.refund_minor += entry.amount_minor
            elif means is Means.CARD:
                found.card_count += 1
                found.card_minor += entry.amount_minor
            elif means is Means.CASH:
                found.cash_count += 1
                found.cash_minor += entry.amount_minor
            else:
                found.none_count += 1
        return found

    async def account_sums(self, name: str, currency_code: str) -> tuple[int, int, int, int]:
        """See ``Books``."""
        return sums(self.rows, name, currency_code)

    async def postings_of_event(self, event_id: int) -> list[Posting]:
        """See ``Books``."""
        own = [one for one in self.rows.transfers if one.event_id == event_id]
        return [one.posting for one in own if one.posted_minor]

    async def unconfirmed(self, until_ms: int, now_ms: int, limit: int) -> list[EntryRow]:
        """See ``Books``."""
        paid = [
            self.rows.entries.get(order.payment_id or 0)
            for order in self.rows.orders.values()
            if order.status == OrderStatus.PAID
        ]
        found = [
            entry
            for entry in paid
            if entry is not None
            and (entry.created_at_ms <= until_ms or entry.created_at_ms > now_ms)
        ]
        return list(sorted(found, key=lambda entry: entry.id)[:limit])
