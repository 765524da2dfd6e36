"""The book as the switch uses it, with the writer in its thread."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psycopg
import pytest
import trio
import trio.testing

from acquirer.ledger.accounts.transfer_steps import (
    Post,
    Posting,
    PostPending,
    PostPendingResolve,
    Resolution,
)
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.errors import (
    BookBusy,
    BookUnavailable,
    BookUncertain,
    InstanceTaken,
    UnitRefused,
)
from acquirer.ledger.journal.entries import (
    CourierRow,
    Entry,
    OrderRow,
    Role,
    State,
    TerminalRow,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.journal.steps import (
    CommitResult,
    Failed,
    InsertEntry,
    PutCourier,
    PutOrder,
    PutTerminal,
    UpdateEntry,
)
from acquirer.ledger.store.database import Database, Session

pytestmark = pytest.mark.anyio
MakeEntry = Callable[..., Entry]
SALE = (Posting("assets:scheme:demo", "liabilities:merchant:M1", 100, "sale"),)


def clock_ms() -> int:
    """Time stands still."""
    return 1_767_312_000_000


async def test_what_is_committed_can_be_read(url: str, make_entry: MakeEntry) -> None:
    """Every read finds what was written, and None or nothing else."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        original = make_entry(1, order_no="O1")
        undo = make_entry(2, role=Role.REVERSAL, stan=original.stan, original_id=1)
        terminal = TerminalRow("T1", "000001", True, tpk="U1", key_version=4)
        order = OrderRow("M1", "O1", "00", 100, "156", "1", "text", 5)
        rows = (
            PutTerminal(terminal),
            PutCourier(CourierRow("C1", "T1", 2, True), CourierRow("C1")),
            PutOrder(order),
        )
        assert await book.commit(InsertEntry(original), InsertEntry(undo), *rows) is None
        assert await book.entry(1) == original
        assert await book.entry_by_rrn(undo.rrn) == undo
        assert await book.find_entry("00000001", "000001", "000001") == original
        assert await book.find_entry("00000001", "000001", "000001", Role.REVERSAL) == undo
        assert await book.entries_of_original(1) == [undo]
        assert await book.entries_of_order("M1", "O1") == [original]
        assert await book.terminals() == [terminal]
        assert await book.terminal("T1") == terminal
        assert await book.courier("C1") == CourierRow("C1", "T1", 2, True)
        assert await book.order("M1", "O1") == order
        assert await book.entry(3) is None
        assert await book.order("M2", "O1") is None


async def test_a_serial_number_is_taken_once(url: str, make_entry: MakeEntry) -> None:
    """With the entry that it proves: one that is not above the highest stores nothing."""

    def proved(number: int, counter: int, initial: str = "F0") -> InsertEntry:
        taken = TakeKsn("T1", initial, counter)
        return InsertEntry(make_entry(number, stan=f"{number:06d}", ksn=taken))

    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        assert await book.highest_ksn("T1", "F0") == 0
        first, same, lower, other = proved(1, 5), proved(2, 5), proved(3, 4), proved(4, 1, "E0")
        assert await book.commit(first) is None
        failed = await book.commit(same)
        assert failed is not None
        assert (failed.step, failed.is_taken) == (same, True)
        assert await book.commit(lower) == Failed(lower)
        assert [await book.entry(number) for number in (2, 3)] == [None, None]
        assert await book.commit(other) is None
        # Two entries of one message take it once.
        assert await book.commit(proved(5, 6), proved(6, 6)) is None
        assert [await book.highest_ksn("T1", key) for key in ("F0", "E0")] == [6, 1]


async def test_many_tasks_share_commits(url: str, make_entry: MakeEntry) -> None:
    """Two hundred payments at once all end, each with its own result."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:

        async def pay(number: int) -> None:
            assert await book.commit(InsertEntry(make_entry(number))) is None
            approve = UpdateEntry(number, (State.SENT,), state=State.APPROVED)
            assert await book.commit(approve, Post(number, "156", "2026-01-02", SALE)) is None
            assert await book.commit(approve) == Failed(approve)

        async with trio.open_nursery() as nursery:
            for number in range(1, 201):
                nursery.start_soon(pay, number)
        assert await book.account_sums("assets:scheme:demo", "156") == (20_000, 0, 0, 0)


async def test_number_blocks_are_never_given_twice(url: str) -> None:
    """Neither in one run nor after a restart."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        assert [await book.next_block(100), await book.next_block(5)] == [1, 101]
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        assert await book.next_block(1) == 106


async def test_an_illegal_change_of_state_is_refused(url: str, make_entry: MakeEntry) -> None:
    """A declined sale is never approved, whatever a handler asks for."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        await book.commit(InsertEntry(make_entry(1, state=State.DECLINED)))
        with pytest.raises(UnitRefused, match="declined to approved"):
            await book.commit(UpdateEntry(1, (State.DECLINED,), state=State.APPROVED))


async def test_preauths_that_are_due(url: str, make_entry: MakeEntry) -> None:
    """Open ones that have run out, or are of a time to come, page by page."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        rows = (
            (1, Kind.PREAUTH, State.APPROVED, 10, 50),
            (2, Kind.PREAUTH, State.APPROVED, 10, 100),
            (3, Kind.PREAUTH, State.COMPLETED, 10, 50),
            (4, Kind.SALE, State.APPROVED, 10, 50),
            (5, Kind.PREAUTH, State.APPROVED, 60, 900),
        )
        for number, kind, state, at_ms, ends_at_ms in rows:
            fields = {"created_at_ms": at_ms, "lease_until_ms": ends_at_ms}
            entry = make_entry(number, kind=kind, state=state, **fields)
            await book.commit(InsertEntry(entry))

        async def due(now_ms: int, after: int = 0, limit: int = 10) -> list[int]:
            return [one.id for one in await book.preauths_due(now_ms, after, limit)]

        assert [1, 5] == await due(50)
        assert [1, 2] == await due(100)
        assert [2] == await due(100, after=1)
        assert [1] == await due(100, limit=1)


async def test_a_hold_may_be_put_anew_once_it_has_ended(url: str, make_entry: MakeEntry) -> None:
    """Each is resolved once; what is pending then is what nobody has resolved."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        await book.commit(InsertEntry(make_entry(1)))
        pending = PostPending(1, "156", "2026-01-02", SALE)
        given_up = PostPendingResolve(1, 1, "2026-01-02", Resolution.VOID)
        for _ in range(2):
            assert await book.commit(pending) is None
            assert await book.commit(given_up) is None
            assert await book.commit(given_up) == Failed(given_up)
        assert (0, 0, 0, 0) == await book.account_sums(SALE[0].debit, "156")


async def test_a_full_queue_sheds_load(url: str, make_entry: MakeEntry) -> None:
    """What finds no place is told so at once and leaves nothing; the rest commits."""
    async with open_book(url, "switch-1", clock_ms=clock_ms, queue_units_max=2) as book:
        busy: list[int] = []

        async def insert(number: int) -> None:
            try:
                await book.commit(InsertEntry(make_entry(number)))
            except BookBusy:
                busy.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(1, 6):
                nursery.start_soon(insert, number)
        assert len(busy) == 3
        stored = {number for number in range(1, 6) if await book.entry(number)}
        assert stored == {1, 2, 3, 4, 5} - set(busy)


async def test_leaving_commits_what_is_queued(sqlite_url: str, make_entry: MakeEntry) -> None:
    """A cancelled task's unit is still written, as the book says."""
    async with (
        open_book(sqlite_url, "switch-1", clock_ms=clock_ms) as book,
        trio.open_nursery() as nursery,
    ):
        for number in range(1, 31):
            nursery.start_soon(book.commit, InsertEntry(make_entry(number)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    async with open_book(sqlite_url, "switch-1", clock_ms=clock_ms) as book:
        stored = [number for number in range(1, 31) if await book.entry(number)]
        assert stored == list(range(1, 31))


async def test_a_locked_database_is_unavailable(sqlite_url: str, make_entry: MakeEntry) -> None:
    """Nothing is written while another connection holds the lock; reads go on."""
    async with open_book(sqlite_url, "switch-1", clock_ms=clock_ms, lock_wait_ms=20) as book:
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BookUnavailable, match="locked"):
            await book.commit(InsertEntry(make_entry(1)))
        assert await book.entry(1) is None
        other.execute("ROLLBACK")
        other.close()
        assert await book.commit(InsertEntry(make_entry(1))) is None


async def test_a_full_disk_leaves_nothing_half_written(
    sqlite_url: str, make_entry: MakeEntry
) -> None:
    """Units fail whole when no page is left, and work again when there is room."""
    async with open_book(sqlite_url, "switch-1", clock_ms=clock_ms) as book:
        pages = await _pragma(book, "PRAGMA page_count")
        await _pragma(book, f"PRAGMA max_page_count = {pages + 4}")
        written: list[int] = []
        with pytest.raises(BookUnavailable, match="full"):
            await _write_until_full(book, make_entry, written)
        number = len(written) + 1
        assert await book.entry(number) is None
        sums = await book.account_sums("assets:scheme:demo", "156")
        assert sums == (100 * len(written), 0, 0, 0)
        await _pragma(book, "PRAGMA max_page_count = 100000")
        assert await book.commit(InsertEntry(make_entry(number))) is None


async def _write_until_full(book: Book, make_entry: MakeEntry, written: list[int]) -> None:
    for number in range(1, 1_000):
        entry = make_entry(number, reply=Reply(shown="x" * 2_000))
        await book.commit(InsertEntry(entry), Post(number, "156", "2026-01-02", SALE))
        written.append(number)


async def _pragma(book: Book, text: str) -> int:
    """Run a pragma on the writer's own connection."""

    def call(session: Session) -> int:
        session.cursor.execute(text)
        return int(session.cursor.fetchone()[0])

    found: int = await book._read(call)
    return found


async def test_a_data_folder_has_one_switch(sqlite_url: str) -> None:
    """The second one is told, and the folder is free again afterwards."""
    async with open_book(sqlite_url, "switch-1", clock_ms=clock_ms):
        with pytest.raises(InstanceTaken):
            async with open_book(sqlite_url, "switch-2", clock_ms=clock_ms):
                pass
    async with open_book(sqlite_url, "switch-2", clock_ms=clock_ms) as book:
        assert book.owner == "switch-2#1.0"


async def test_an_instance_name_has_one_process(postgresql_url: str) -> None:
    """Another name may join; the same may not."""
    async with open_book(postgresql_url, "switch-1", clock_ms=clock_ms):
        with pytest.raises(InstanceTaken):
            async with open_book(postgresql_url, "switch-1", clock_ms=clock_ms, lock_wait_ms=20):
                pass
        async with open_book(postgresql_url, "switch-2", clock_ms=clock_ms):
            pass


async def test_a_start_waits_for_the_server_to_notice_an_end(postgresql_url: str) -> None:
    """The lock of a process that ended is free once its server process has noticed that."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(postgresql_url, autocommit=True) as ended:
        ended.execute("SELECT pg_advisory_lock(hashtextextended('acquirer:switch-1', 0))")
        owners = []

        async def start() -> None:
            async with open_book(postgresql_url, "switch-1", clock_ms=clock_ms) as book:
                owners.append(book.owner)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            while ended.execute(waiting).fetchone() != (1,):
                await trio.lowlevel.checkpoint()
            ended.close()
    assert owners == ["switch-1#1.0"]


async def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    """The operator reads which file."""
    with pytest.raises(BookUnavailable, match=r"nowhere/switch\.db"):
        async with open_book(f"sqlite:///{tmp_path}/nowhere/switch.db", "s", clock_ms=clock_ms):
            pass


async def test_a_lost_connection_heals(
    postgresql_url: str, postgresql_server: str, make_entry: MakeEntry
) -> None:
    """What was under way is refused, the next unit finds a new connection with its lock."""
    async with open_book(postgresql_url, "switch-1", clock_ms=clock_ms) as book:
        await book.commit(InsertEntry(make_entry(1)), Post(1, "156", "2026-01-02", SALE))
        _terminate(postgresql_server, postgresql_url)
        with pytest.raises(BookUnavailable):
            await book.commit(InsertEntry(make_entry(2)))
        assert await book.commit(InsertEntry(make_entry(2))) is None
        assert await book.commit(Post(1, "156", "2026-01-02", SALE)) is None
        with pytest.raises(InstanceTaken):
            async with open_book(postgresql_url, "switch-1", clock_ms=clock_ms, lock_wait_ms=20):
                pass


async def test_a_connection_lost_in_commit_is_uncertain(
    postgresql_url: str, make_entry: MakeEntry
) -> None:
    """Only then: a trigger that runs at COMMIT cuts the connection."""
    async with open_book(postgresql_url, "switch-1", clock_ms=clock_ms) as book:
        other = Session(Database(postgresql_url))
        other.cursor.execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        other.cursor.execute(
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON journal DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION cut()"
        )
        with pytest.raises(BookUncertain):
            await book.commit(InsertEntry(make_entry(1)))
        other.cursor.execute("DROP TRIGGER cut ON journal")
        other.close()
        assert await book.commit(InsertEntry(make_entry(1))) is None


def _terminate(server: str, url: str) -> None:
    name = url.rpartition("/test_")[2].partition("?")[0]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (f"test_{name}",),
        )


@pytest.mark.parametrize("driver", ["thread", "inline"])
async def test_books_in_memory(driver: Literal["thread", "inline"], make_entry: MakeEntry) -> None:
    """For simulation: whole books that leave no file, and a group per turn of the loop."""
    async with open_book("sqlite://", "sim", clock_ms=clock_ms, driver=driver) as book:
        results: list[CommitResult] = []

        async def insert(number: int) -> None:
            results.append(await book.commit(InsertEntry(make_entry(number, stan="000001"))))

        async with trio.open_nursery() as nursery:
            for number in (1, 2, 3):
                nursery.start_soon(insert, number)
        assert sorted(result is None or not result.is_taken for result in results) == [
            False,
            False,
            True,
        ]
