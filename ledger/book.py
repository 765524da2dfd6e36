"""The books as the switch sees them: ``open_book`` and the class :class:`Book`. A trio shell.

Every call, reads too, goes through the one queue to the one writer, whose connection sees what
it has written; an answer means that its group is durable. Nothing here decides anything: a unit
is what ``entries`` says it is, and ``writer`` commits it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from acquirer.ledger.accounts.anchors import anchor
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.states import change_is_legal
from acquirer.ledger.journal.steps import (
    CommitResult,
    Failed,
    InsertEntry,
    Step,
    UpdateEntry,
)
from acquirer.ledger.queueing import Queues
from acquirer.ledger.reading import Reads
from acquirer.ledger.reports import gauges
from acquirer.ledger.store import instances
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.drivers import Driver, InlineDriver, ThreadDriver
from acquirer.ledger.store.opening import Opening, own_files
from acquirer.ledger.store.writer import Writer

QUEUE_UNITS_MAX = 4_096
GROUP_UNITS_MAX = 64
LOCK_WAIT_MS = 2_000

MakeDriver = Callable[[Writer, int, int], Driver]
_DRIVERS: dict[str, MakeDriver] = {"thread": ThreadDriver, "inline": InlineDriver}


class Book(Reads, Queues):
    """One process's access to the books; made by :func:`open_book`.

    Error handling: each method raises :class:`BookBusy` (queue full) and
    :class:`BookUnavailable` (the database refuses), after which nothing was written, and those
    that write :class:`BookUncertain` where the connection was lost during COMMIT; each raises
    :class:`BooksGone` where these are not the books any more that were opened. A task that is
    cancelled while it waits leaves its unit in the queue: the unit may still commit, so the
    caller must treat it as uncertain.

    Attributes:
        past: what the incarnations before it noted of their clock.
        on_commit: told of every unit that :meth:`commit` has committed; must be quick.
    """

    def __init__(self, driver: Driver, opening: Opening) -> None:
        super().__init__(driver, opening.owner)
        self.past = opening.past
        self._check = opening.check
        self.on_commit: Callable[[Sequence[Step]], None] = lambda steps: None

    def __repr__(self) -> str:
        return f"<Book of {self.owner}>"

    async def commit(self, *steps: Step) -> CommitResult:
        """Commit steps together or not at all; durable when it returns.

        An entry's limits, and the use of its terminal's key, are steps of its unit.

        Returns:
            None where it was committed, or ``Failed`` with the first conditional step that did
            not hold; nothing of the unit is written then, but for what ``InsertEntry`` says.

        Raises:
            UnitRefused: an illegal change of state, or values that the database refuses: a bug.
            BookBusy, BookUnavailable, BookUncertain: see the class.
        """
        limited = proven = None
        for step in steps:
            if type(step) is InsertEntry:
                limited = step if step.entry.limits else limited
                proven = step if step.entry.ksn and proven is None else proven
            elif (
                type(step) is UpdateEntry
                and step.state is not None
                and not change_is_legal(step.expected, step.state)
            ):
                expected = ", ".join(step.expected)
                raise UnitRefused(f"no entry goes from {expected} to {step.state}")
        if limited is not None or proven is not None:
            return await self._commit_with(limited, proven, steps)
        result: CommitResult = await self._driver.submit(steps)
        if result is None:
            self.on_commit(steps)
        return result

    async def _commit_with(
        self, limited: InsertEntry | None, proven: InsertEntry | None, steps: tuple[Step, ...]
    ) -> CommitResult:
        limits = limited.entry.limits if limited else ()
        taken = (proven.entry.ksn,) if proven and proven.entry.ksn else ()
        result: CommitResult = await self._driver.submit((*steps, *taken, *limits))
        if result is None:
            self.on_commit(steps)
        elif limited is not None and isinstance(result.step, LimitDaily):
            refused = InsertEntry(limited.entry.refused(result.step.response_code))
            await self._driver.submit((refused, *taken))
            return Failed(limited)
        elif proven is not None and isinstance(result.step, TakeKsn):
            return Failed(proven)
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

    async def gauges(self) -> gauges.Gauges:
        """Queue lengths, unconfirmed payments and couriers' cash, now."""

        def look(session: Session) -> gauges.Gauges:
            self._check(session)
            return gauges.gauges(session)

        found: gauges.Gauges = await self._read(look)
        return found


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
