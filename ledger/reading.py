"""What may be read of the books, each in one call; the queries are ``store/reads.py``."""

from __future__ import annotations

from acquirer.ledger.accounts.transfer_steps import Posting
from acquirer.ledger.calls import Calls
from acquirer.ledger.journal.batches import BatchItem, BatchLine, BatchRow
from acquirer.ledger.journal.entries import (
    CourierRow,
    Desk,
    Entry,
    OrderPayments,
    OrderRow,
    Role,
    TerminalRow,
)
from acquirer.ledger.reports.takings import Takings, takings
from acquirer.ledger.store import batches, ksns, reads
from acquirer.ledger.store.configuration import (
    StoredConfiguration,
    current_epoch,
    stored_configuration,
)
from acquirer.ledger.store.rows import EntryRow


class Reads(Calls):
    """Reads; each sees what was committed before it was asked."""

    async def entry(self, id: int) -> Entry | None:
        """The journal entry with this id."""
        found: Entry | None = await self._read(reads.entry, id)
        return found

    async def entry_by_rrn(self, rrn: str) -> Entry | None:
        """The journal entry with this DE37."""
        found: Entry | None = await self._read(reads.entry_by_rrn, rrn)
        return found

    async def find_entry(
        self, terminal_id: str, batch: str, stan: str, role: Role = Role.ORIGINAL
    ) -> Entry | None:
        """The entry that (terminal, batch, STAN) names in this role."""
        found: Entry | None = await self._read(reads.find_entry, terminal_id, batch, stan, role)
        return found

    async def entries_of_original(self, original_id: int) -> list[Entry]:
        """Voids, reversals and confirmations that refer to an entry, oldest first."""
        found: list[Entry] = await self._read(reads.entries_of_original, original_id)
        return found

    async def entries_of_order(self, merchant_id: str, order_no: str) -> list[Entry]:
        """Every entry about an order, oldest first."""
        found: list[Entry] = await self._read(reads.entries_of_order, merchant_id, order_no)
        return found

    async def order(self, merchant_id: str, order_no: str) -> OrderRow | None:
        """What is known of an order."""
        found: OrderRow | None = await self._read(reads.order, merchant_id, order_no)
        return found

    async def terminal(self, terminal_id: str) -> TerminalRow | None:
        """A terminal's durable state."""
        found: TerminalRow | None = await self._read(reads.terminal, terminal_id)
        return found

    async def batch(self, terminal_id: str, batch: str) -> BatchRow | None:
        """A batch that its terminal has asked to settle, or that was closed."""
        found: BatchRow | None = await self._read(batches.batch, terminal_id, batch)
        return found

    async def batch_lines(self, terminal_id: str, batch: str) -> list[BatchLine]:
        """The originals of a batch, in their order."""
        found: list[BatchLine] = await self._read(batches.lines, terminal_id, batch)
        return found

    async def batch_items(self, terminal_id: str, batch: str) -> list[BatchItem]:
        """What a terminal has uploaded of a batch, by STAN."""
        found: list[BatchItem] = await self._read(batches.items, terminal_id, batch)
        return found

    async def batch_opened_at_ms(self, terminal_id: str, batch: str) -> int | None:
        """When the first original of a batch came; None where there is none."""
        found: int | None = await self._read(batches.opened_at_ms, terminal_id, batch)
        return found

    async def batch_in_flight(self, terminal_id: str, batch: str) -> int:
        """How many entries of a batch have no outcome yet."""
        found: int = await self._read(batches.in_flight, terminal_id, batch)
        return found

    async def await_writers(self) -> None:
        """Return once all that other processes are storing now is stored."""
        await self._read(batches.await_writers)

    async def originals_since(self, terminal_id: str, batch: str, since_ms: int) -> int:
        """How many originals of a terminal's batch were stored since then."""
        found: int = await self._read(reads.originals_since, terminal_id, batch, since_ms)
        return found

    async def highest_ksn(self, terminal_id: str, initial: str) -> int:
        """The highest counter that a DUKPT terminal has used, 0 where it has used none.

        Args:
            initial: its key serial number with counter zero.
        """
        found: int = await self._read(ksns.highest_ksn, terminal_id, initial)
        return found

    async def terminals(self) -> list[TerminalRow]:
        """All terminals that have a durable state, by id."""
        found: list[TerminalRow] = await self._read(reads.terminals_all)
        return found

    async def courier(self, courier_id: str) -> CourierRow | None:
        """A courier's durable state."""
        found: CourierRow | None = await self._read(reads.courier, courier_id)
        return found

    async def couriers_at(self, terminal_id: str) -> list[CourierRow]:
        """Who is signed on at a terminal, by id."""
        found: list[CourierRow] = await self._read(reads.couriers_at, terminal_id)
        return found

    async def desk(self, merchant_id: str, order_no: str, courier_id: str) -> Desk:
        """A courier, an order, and whether the merchant has been told all of it, in one read."""
        found: Desk = await self._read(reads.desk, merchant_id, order_no, courier_id)
        return found

    async def order_payments(
        self, merchant_id: str, order_no: str, named: tuple[str, str, str] | None
    ) -> OrderPayments:
        """In one read: an order, the original that a STAN names, and the payment that stands."""
        found: OrderPayments = await self._read(reads.order_payments, merchant_id, order_no, named)
        return found

    async def unconfirmed(self, until_ms: int, now_ms: int, limit: int) -> list[EntryRow]:
        """Payments of orders that nobody has confirmed, oldest first.

        Args:
            until_ms, now_ms: those from before the one or after the other, where a clock that
                was put right has left them.
        """
        found: list[EntryRow] = await self._read(reads.unconfirmed, until_ms, now_ms, limit)
        return found

    async def takings(self, merchant_id: str, business_date: str, currency_code: str) -> Takings:
        """A merchant's payments of a business date, by means."""
        found: Takings = await self._read(takings, merchant_id, business_date, currency_code)
        return found

    async def account_sums(self, name: str, currency_code: str) -> tuple[int, int, int, int]:
        """Debits and credits posted, debits and credits pending, minor units."""
        sums: tuple[int, int, int, int] = await self._read(reads.account_sums, name, currency_code)
        return sums

    async def postings_of_event(self, event_id: int) -> list[Posting]:
        """What an event posted, in its order; not what reversed it."""
        found: list[Posting] = await self._read(reads.postings_of_event, event_id)
        return found

    async def preauths(self, pan_token: bytes, approval_code: str) -> list[Entry]:
        """Pre-authorisations of a card with an approval code, the newest first."""
        found: list[Entry] = await self._read(reads.preauths, pan_token, approval_code)
        return found

    async def preauths_due(self, now_ms: int, after: int, limit: int) -> list[EntryRow]:
        """Open pre-authorisations that have run out, or that a wrong clock has made, by id.

        Args:
            after: those with higher ids.
        """
        found: list[EntryRow] = await self._read(reads.preauths_due, now_ms, after, limit)
        return found

    async def configuration_epoch(self) -> int:
        """The epoch of the business configuration; 0 before the first import."""
        found: int = await self._read(current_epoch)
        return found

    async def configuration(self) -> StoredConfiguration:
        """The business configuration, as it is stored."""
        found: StoredConfiguration = await self._read(stored_configuration)
        return found
