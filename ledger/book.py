"""The books as the switch sees them: ``open_book`` and the class :class:`Book`. A trio shell.

Every call, reads too, goes through the one queue to the one writer, whose connection sees what
it has written; an answer means that its group is durable. Nothing here decides anything: a unit
is what ``entries`` says it is, and ``writer`` commits it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from acquirer.ledger.accounts.anchors import anchor
from acquirer.ledger.accounts.transfer_steps import Posting
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.entries import (
    CourierRow,
    Desk,
    Entry,
    Event,
    OrderPayments,
    OrderRow,
    Role,
    SafItem,
    TerminalRow,
)
from acquirer.ledger.journal.states import change_is_legal
from acquirer.ledger.journal.steps import (
    CommitResult,
    Step,
    UpdateEntry,
)
from acquirer.ledger.owed import advices, leases, queues
from acquirer.ledger.owed.leases import Lease
from acquirer.ledger.owed.open_work import OpenWork, open_work
from acquirer.ledger.reports import gauges
from acquirer.ledger.reports.takings import Takings, takings
from acquirer.ledger.store import instances, reads
from acquirer.ledger.store.configuration import (
    StoredConfiguration,
    current_epoch,
    stored_configuration,
)
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.drivers import Driver, InlineDriver, ThreadDriver
from acquirer.ledger.store.opening import Opening, own_files
from acquirer.ledger.store.rows import EntryRow
from acquirer.ledger.store.writer import Query, Writer

QUEUE_UNITS_MAX = 4_096
GROUP_UNITS_MAX = 64
LOCK_WAIT_MS = 2_000
SAF_WINDOW = 64

MakeDriver = Callable[[Writer, int, int], Driver]
_DRIVERS: dict[str, MakeDriver] = {"thread": ThreadDriver, "inline": InlineDriver}


class Book:
    """One process's access to the books; made by :func:`open_book`.

    Error handling: each method raises :class:`BookBusy` (queue full) and
    :class:`BookUnavailable` (the database refuses), after which nothing was written, and those
    that write :class:`BookUncertain` where the connection was lost during COMMIT; each raises
    :class:`BooksGone` where these are not the books any more that were opened. A task that is
    cancelled while it waits leaves its unit in the queue: the unit may still commit, so the
    caller must treat it as uncertain.

    Attributes:
        owner: this incarnation's name, for ``Entry.owner``.
        past: what the incarnations before it noted of their clock.
        on_commit: told of every unit that :meth:`commit` has committed; must be quick.
    """

    def __init__(self, driver: Driver, opening: Opening) -> None:
        self.owner = opening.owner
        self.past = opening.past
        self._check = opening.check
        self.on_commit: Callable[[Sequence[Step]], None] = lambda steps: None
        self._driver = driver
        self._takes = 0

    def __repr__(self) -> str:
        return f"<Book of {self.owner}>"

    async def _read(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self._driver.submit(Query(lambda session: call(session, *arguments)))

    async def _write(self, call: Callable[..., Any], *arguments: Any) -> Any:
        query = Query(lambda session: call(session, *arguments), writes=True)
        return await self._driver.submit(query)

    # --- units --------------------------------------------------------------------------------

    async def commit(self, *steps: Step) -> CommitResult:
        """Commit steps together or not at all; durable when it returns.

        Returns:
            None where it was committed, or ``Failed`` with the index of the first conditional
            step that did not hold; nothing of the unit is written then.

        Raises:
            UnitRefused: an illegal change of state, or values that the database refuses: a bug.
            BookBusy, BookUnavailable, BookUncertain: see the class.
        """
        for step in steps:
            if (
                type(step) is UpdateEntry
                and step.state is not None
                and not change_is_legal(step.expected, step.state)
            ):
                expected = ", ".join(step.expected)
                raise UnitRefused(f"no entry goes from {expected} to {step.state}")
        result: CommitResult = await self._driver.submit(steps)
        if result is None:
            self.on_commit(steps)
        return result

    async def next_block(self, count: int) -> int:
        """The first of ``count`` numbers that no process was ever given, from 1 upwards."""
        first: int = await self._write(instances.take_numbers, count)
        return first

    async def anchor_chains(self, business_date: str, now_ms: int) -> bytes:
        """Anchor all writers' chains at a business date's close; returns the hash, 32 bytes."""
        link: bytes = await self._write(anchor, business_date, now_ms)
        return link

    async def note_clock(self, past: instances.Past) -> None:
        """Keep this incarnation's clock for the next."""
        await self._changed(
            instances.NOTE_CLOCK,
            mine=self.owner,
            new_seen_at_ms=past.seen_at_ms,
            new_steady_since_ms=past.steady_since_ms,
            new_latest_at_ms=past.latest_at_ms,
            new_open_date=past.open_date,
        )

    # --- reads --------------------------------------------------------------------------------

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

    async def expired_pending(self, now_ms: int, limit: int) -> list[int]:
        """Events whose pending transfers ran out and are to be resolved with EXPIRE."""
        found: list[int] = await self._read(reads.expired_pending, now_ms, limit)
        return found

    async def configuration_epoch(self) -> int:
        """The epoch of the business configuration; 0 before the first import."""
        found: int = await self._read(current_epoch)
        return found

    async def configuration(self) -> StoredConfiguration:
        """The business configuration, as it is stored."""
        found: StoredConfiguration = await self._read(stored_configuration)
        return found

    # --- store and forward --------------------------------------------------------------------

    async def claim_saf(
        self,
        bank: str,
        now_ms: int,
        lease_until_ms: int,
        limit: int,
        *,
        window: int = SAF_WINDOW,
    ) -> list[SafItem]:
        """Lease the due items of a bank that nobody alive holds, in the order of their ids.

        Args:
            limit: most items to take.
            window: how many of the oldest open items are looked at: what is behind them waits.
        """
        found: list[SafItem] = await self._write(
            queues.claim_saf, self.owner, bank, now_ms, lease_until_ms, limit, window
        )
        return found

    async def dead_letter(self, id: int) -> SafItem | None:
        """A dead letter for a bank."""
        found: SafItem | None = await self._read(queues.dead_saf, id)
        return found

    async def advice_is_owed(self, payment_id: int) -> bool:
        """Whether a payment's bank has not taken its advice yet, or has refused it."""
        return bool(await self._read(advices.advice_is_owed, payment_id))

    async def gauges(self) -> gauges.Gauges:
        """Queue lengths, unconfirmed payments and couriers' cash, now."""

        def look(session: Session) -> gauges.Gauges:
            self._check(session)
            return gauges.gauges(session)

        found: gauges.Gauges = await self._read(look)
        return found

    async def stamp_saf(self, id: int, *, attempts: int, stan: str, transmission_at: str) -> bool:
        """Store how a claimed item is about to leave; false where it is no longer ours."""
        return await self._changed(
            queues.STAMP_SAF,
            key=id,
            mine=self.owner,
            new_attempts=attempts,
            new_stan=stan,
            new_transmission_at=transmission_at,
        )

    async def retry_saf(self, id: int, attempts: int, next_at_ms: int) -> bool:
        """Put a claimed item back until ``next_at_ms``; false where it is no longer ours."""
        return await self._changed(
            queues.RETRY_SAF,
            key=id,
            mine=self.owner,
            new_attempts=attempts,
            new_next_at_ms=next_at_ms,
        )

    async def dead_saf(self, id: int, at_ms: int, reason: str) -> bool:
        """Give an item up as a dead letter, for operators to see why; false where not open."""
        return await self._changed(queues.KILL_SAF, key=id, new_dead_at_ms=at_ms, new_reason=reason)

    async def saf_pending(self, bank: str | None = None) -> list[SafItem]:
        """Items neither finished nor dead, of one bank or all, oldest first."""
        found: list[SafItem] = await self._read(queues.saf_pending, bank)
        return found

    # --- outbox -------------------------------------------------------------------------------

    async def claim_events(self, now_ms: int, lease_until_ms: int, limit: int) -> list[Event]:
        """Lease due notices: of each order at most the oldest that is not delivered.

        A dead letter holds back what follows it in its order, until it is replayed.
        """
        found: list[Event] = await self._write(
            queues.claim_events, self.owner, now_ms, lease_until_ms, limit
        )
        return found

    async def finish_event(self, id: str, at_ms: int, attempt: str = "") -> bool:
        """The merchant has it; false where that was known already.

        Args:
            attempt: here and below a line of JSON (``EventAttempt``), kept with the notice; empty
                where it was not tried.
        """
        return await self._changed(
            queues.FINISH_EVENT, key=id, new_delivered_at_ms=at_ms, new_attempt=attempt
        )

    async def retry_event(self, id: str, attempts: int, next_at_ms: int, attempt: str = "") -> bool:
        """Put a claimed notice back until ``next_at_ms``; false where it is no longer ours."""
        return await self._changed(
            queues.RETRY_EVENT,
            key=id,
            mine=self.owner,
            new_attempts=attempts,
            new_next_at_ms=next_at_ms,
            new_attempt=attempt,
        )

    async def dead_event(self, id: str, at_ms: int, reason: str, attempt: str = "") -> bool:
        """Give a notice up as a dead letter, for operators to see why; false where delivered."""
        return await self._changed(
            queues.KILL_EVENT, key=id, now_ms=at_ms, new_reason=reason, new_attempt=attempt
        )

    async def replay_event(self, id: str, next_at_ms: int) -> bool:
        """Make a dead letter due again; false where it is none."""
        return await self._changed(queues.REPLAY_EVENT, key=id, new_next_at_ms=next_at_ms)

    async def open_work(self) -> OpenWork:
        """What is not done with, by whom it needs; for the start."""
        found: OpenWork = await self._read(open_work)
        return found

    # --- recovery -----------------------------------------------------------------------------

    async def leases(self) -> list[Lease]:
        """Everybody's claims, as :class:`LeaseWatch` wants them."""
        found: list[Lease] = await self._read(leases.leases)
        return found

    async def let_go(self, lapsed: Sequence[Lease]) -> int:
        """Free claims whose owner is gone; how many were still as they were seen."""
        count: int = await self._write(leases.let_go, lapsed)
        return count

    async def take_orphans(self, lease_until_ms: int, limit: int) -> list[EntryRow]:
        """Take over received and sent entries that nobody alive works on.

        Those are entries of an earlier incarnation of this instance, at once, and those that were
        let go. Each call takes under an
        owner of its own, so that a handler that lost its lease cannot settle any more: settle
        with ``entry.owner`` as the returned entries show it, not with ``book.owner``.

        Returns:
            At most ``limit`` entries, oldest first, with their new owner and lease.
            One that cannot be read is taken too, and does not keep the others from being undone.
        """
        self._takes += 1
        owner = f"{self.owner.rpartition('.')[0]}.{self._takes}"
        found: list[EntryRow] = await self._write(queues.take_orphans, owner, lease_until_ms, limit)
        return found

    async def own_unsettled(self, limit: int) -> list[EntryRow]:
        """Received and sent entries of this process, oldest first: what a stop left undone."""
        found: list[EntryRow] = await self._read(queues.own_unsettled, self.owner, limit)
        return found

    async def _changed(self, statement: Any, **parameters: Any) -> bool:
        return bool(
            await self._driver.submit(
                Query(lambda session: session.changed(statement, **parameters) == 1, writes=True)
            )
        )


@asynccontextmanager
async def open_book(
    url: str | Database,
    instance: str,
    *,
    clock_ms: Callable[[], int],
    create: bool = True,
    queue_units_max: int = QUEUE_UNITS_MAX,
    group_units_max: int = GROUP_UNITS_MAX,
    lock_wait_ms: int = LOCK_WAIT_MS,
    driver: Literal["thread", "inline"] | MakeDriver = "thread",
) -> AsyncGenerator[Book]:
    """Open the books for writing: migrate, take the instance's lock, start the writer.

    Args:
        url: ``sqlite:///file``, ``sqlite://`` (in memory) or ``postgresql://…``; or a database
            of one's own making, for simulation.
        instance: this process's lasting name: 1 to 40 of letters, digits, ``_`` and ``-``.
        clock_ms: wall clock, milliseconds since 1970 UTC; called on the writer's thread too.
        create: whether books are made where there never were any.
        queue_units_max: how many units may wait before callers get :class:`BookBusy`.
        group_units_max: how many units one transaction holds at most.
        lock_wait_ms: how long to wait for another connection's lock.
        driver: ``inline`` runs the writer on the trio thread, for tests; a simulation brings a
            driver of its own.

    Resource handling: leaving the block commits what is queued and closes the connection. No
    task may still be calling the book then.

    Raises:
        InstanceTaken: another process runs as this instance or on this file.
        BookUnavailable: the database cannot be opened.
        BooksMissing: there are no books, but there were, or ``create`` is false.
        SchemaError: it belongs to another version of the program.
    """
    instances.check_name(instance)
    database = Database(url, lock_wait_ms=lock_wait_ms) if isinstance(url, str) else url
    with own_files(database, create) as files:
        had_books = files is not None and files.had_books
        opening = Opening(instance, clock_ms, create and not had_books)
        writer = Writer(database, instance, clock_ms, opening.on_connect, files)
        make: MakeDriver = _DRIVERS[driver] if isinstance(driver, str) else driver
        serving = make(writer, queue_units_max, group_units_max)
        await serving.start(writer.connect)
        try:
            yield Book(serving, opening)
        finally:
            await serving.stop()
