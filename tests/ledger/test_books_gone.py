"""Books moved, deleted or replaced under the process that serves them, and its next start."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.errors import BooksGone, BooksMissing, BookUnavailable
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    UpdateEntry,
)
from acquirer.ledger.store import book_files
from acquirer.ledger.store.database import Database, Session

pytestmark = pytest.mark.anyio

MakeEntry = Callable[..., Entry]
SALE = (Posting("assets:scheme:demo", "liabilities:merchant:M1", 100, "sale"),)
OPEN = ("", "-wal", "-shm", ".lock")


def at(file: Path, **options: Any) -> Any:
    """Books in a file."""
    return open_book(f"sqlite:///{file}", "switch-1", clock_ms=lambda: 0, **options)


async def sell(book: Book, entry: Entry) -> None:
    """A sale, approved and posted."""
    assert await book.commit(InsertEntry(entry)) is None
    approve = UpdateEntry(entry.id, (State.SENT,), state=State.APPROVED)
    assert await book.commit(approve, Post(entry.id, "156", "2026-01-02", SALE)) is None


@asynccontextmanager
async def nothing_is_answered(book: Book, entry: Entry) -> AsyncIterator[None]:
    """Neither what is written nor what is read, before the block and after it."""
    for again in (False, True):
        with pytest.raises(BooksGone):
            await book.commit(InsertEntry(entry))
        with pytest.raises(BooksGone):
            await book.entry(1)
        with pytest.raises(BooksGone):
            await book.gauges()
        if not again:
            yield


def move(old: Path, new: Path) -> None:
    """Another name for the same file."""
    old.rename(new)


def remove(*files: Path) -> None:
    """Delete them."""
    for path in files:
        path.unlink()


def put(path: Path, content: bytes) -> None:
    """Overwrite a file, or make it."""
    path.write_bytes(content)


def content(path: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    return path.read_bytes() if path.exists() else None


def folder_of(file: Path) -> dict[str, bytes | None]:
    """All that is in the folder of a file."""
    return {path.name: content(path) for path in file.parent.iterdir()}


def beside(file: Path, end: str) -> Path:
    """A file of the books."""
    return file.with_name(file.name + end)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where books are going to be."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder / "switch.sqlite3"


@pytest.mark.parametrize("driver", ["thread", "inline"])
@pytest.mark.parametrize("end", OPEN)
async def test_a_file_of_the_books_is_moved(
    file: Path, make_entry: MakeEntry, end: str, driver: str
) -> None:
    """Nothing is answered until the very same file is back; another in its place does not do."""
    moved, away = beside(file, end), file.parent / "away"
    async with at(file, driver=driver) as book:
        await sell(book, make_entry(1))
        move(moved, away)
        async with nothing_is_answered(book, make_entry(2)):
            shutil.copy(away, moved)
        move(away, moved)
        await sell(book, make_entry(3))
        assert await book.entry(1) is not None


async def test_a_file_behind_a_link_is_moved(file: Path, make_entry: MakeEntry) -> None:
    """The link leads nowhere then; so do the logs, which are beside the file itself."""
    link = file.parent.with_name("link.sqlite3")
    os.symlink(file, link)
    async with at(link) as book:
        await sell(book, make_entry(1))
        for end in ("", "-wal", "-shm"):
            move(beside(file, end), file.parent / "away")
            async with nothing_is_answered(book, make_entry(2)):
                pass
            move(file.parent / "away", beside(file, end))
        await sell(book, make_entry(3))


async def test_a_change_is_noticed_by_the_folder_alone(
    file: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All has been calm for long: only the folder is looked at, and tells."""
    monkeypatch.setattr(book_files, "SETTLED_NS", -(10**18))
    monkeypatch.setattr(book_files, "LOOK_S", 10.0**6)
    async with at(file) as book:
        await sell(book, make_entry(1))
        move(file, file.parent / "away")
        async with nothing_is_answered(book, make_entry(2)):
            pass
        move(file.parent / "away", file)
        await sell(book, make_entry(3))


async def test_a_change_is_noticed_where_the_folder_does_not_tell(
    file: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files themselves are looked at every few seconds."""
    monkeypatch.setattr(book_files, "SETTLED_NS", -(10**18))
    monkeypatch.setattr(book_files, "LOOK_S", 0.0)
    async with at(file) as book:
        await sell(book, make_entry(1))
        calm = os.stat(file.parent)
        move(file, file.parent / "away")
        os.utime(file.parent, ns=(calm.st_atime_ns, calm.st_mtime_ns))
        async with nothing_is_answered(book, make_entry(2)):
            pass
        move(file.parent / "away", file)


async def test_the_folder_of_the_books_is_moved(file: Path, make_entry: MakeEntry) -> None:
    """The files are open still, but nobody will look for them where they are."""
    async with at(file) as book:
        await sell(book, make_entry(1))
        move(file.parent, file.parent.with_name("elsewhere"))
        async with nothing_is_answered(book, make_entry(2)):
            os.mkdir(file.parent)
        assert {} == folder_of(file)


async def test_what_was_in_a_deleted_log_is_kept_by_a_stop_in_order(
    file: Path, make_entry: MakeEntry
) -> None:
    """The process has it open still and writes it into the database."""
    async with at(file) as book:
        await sell(book, make_entry(1))
        remove(beside(file, "-wal"), beside(file, "-shm"))
        with pytest.raises(BooksGone):
            await book.entry(1)
    async with at(file) as book:
        assert await book.entry(1) is not None


@pytest.mark.parametrize("emptied", [False, True])
async def test_a_start_makes_no_books_where_there_were_some(
    file: Path, make_entry: MakeEntry, emptied: bool
) -> None:
    """The lock says so; nothing is made or touched. With the books back it starts."""
    async with at(file) as book:
        await sell(book, make_entry(1))
    kept = content(file)
    assert kept
    remove(file)
    if emptied:
        put(file, b"")
    before = folder_of(file)
    with pytest.raises(BooksMissing, match=r"switch\.sqlite3\.lock says.*restore a copy"):
        async with at(file):
            pass
    assert before == folder_of(file)
    put(file, kept)
    async with at(file) as book:
        assert await book.entry(1) is not None


async def test_a_start_leaves_a_log_without_a_database_alone(
    file: Path, make_entry: MakeEntry
) -> None:
    """SQLite would remove it; it holds what was committed last."""
    async with at(file) as book:
        await sell(book, make_entry(1))
        log = content(beside(file, "-wal"))
    assert log
    remove(file, beside(file, ".lock"))
    put(beside(file, "-wal"), log)
    with pytest.raises(BooksMissing, match=r"switch\.sqlite3-wal says"):
        async with at(file):
            pass
    assert log == content(beside(file, "-wal"))


async def test_a_database_without_tables_is_not_filled_where_there_were_books(file: Path) -> None:
    """Somebody has put an empty one there."""
    async with at(file):
        pass
    remove(file)
    Session(Database(f"sqlite:///{file}")).close()
    with pytest.raises(BooksMissing, match="the database is empty"):
        async with at(file):
            pass


async def test_a_first_start_that_died_early_can_be_made_again(file: Path) -> None:
    """Its lock and its empty file are no books; nor are those of an older release's lock lost."""
    for path in (file, beside(file, ".lock")):
        put(path, b"")
    async with at(file):
        pass
    put(beside(file, ".lock"), b"")
    async with at(file):
        pass
    assert content(beside(file, ".lock"))


async def test_books_that_must_be_there(url: str, tmp_path: Path) -> None:
    """With ``create`` off a start takes books that are there, and makes none."""
    async with open_book(url, "switch-1", clock_ms=lambda: 0, create=False) as book:
        assert await book.entry(1) is None
    none = tmp_path / "none" / "switch.sqlite3"
    none.parent.mkdir()
    with pytest.raises(BooksMissing, match="create = false"):
        async with at(none, create=False):
            pass
    assert [".lock"] == [Path(name).suffix for name in folder_of(none)]


async def test_a_connection_that_is_lost_is_not_made_to_another_file(
    file: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The books go while the connection is down: none are made, and an older copy is no match."""
    async with at(file, driver="inline") as book:
        await sell(book, make_entry(1))
        older = file.parent / "older"
        with closing(sqlite3.connect(file)) as books, closing(sqlite3.connect(older)) as copy:
            books.backup(copy)
        await sell(book, make_entry(2))
        move(file, file.parent / "away")
        lose_connection(book)
        async with nothing_is_answered(book, make_entry(3)):
            assert content(file) is None
            shutil.copy(older, file)
        move(file.parent / "away", file)
        await sell(book, make_entry(4))
        lose_connection(book)
        put(file, content(older) or b"")
        async with nothing_is_answered(book, make_entry(5)):
            pass


def lose_connection(book: Any) -> None:
    """What a fault does to the writer's connection."""
    book._driver._writer.close()


# --- PostgreSQL -----------------------------------------------------------------------------------


def run(server: str, *statements: str) -> None:
    """Statements of an administrator."""
    with psycopg.connect(server, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def plain(url: str) -> str:
    """The URL as psycopg takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


async def test_the_database_is_dropped_and_made_anew(
    postgresql_url: str, postgresql_server: str, make_entry: MakeEntry
) -> None:
    """Though its tables are there again, and another switch has started on them."""
    name = make_url(postgresql_url).database
    async with open_book(postgresql_url, "switch-1", clock_ms=lambda: 1) as book:
        await sell(book, make_entry(1))
        run(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")
        with pytest.raises(BookUnavailable):
            await book.commit(InsertEntry(make_entry(2)))
        run(postgresql_server, f"CREATE DATABASE {name} TEMPLATE books")
        columns = "owner, instance, incarnation, started_at_ms"
        start = f"INSERT INTO instances ({columns}) VALUES ('switch-1#1.0', 'switch-1', 1, 2)"
        run(plain(postgresql_url), start)
        async with nothing_is_answered(book, make_entry(3)):
            pass


@pytest.mark.parametrize("how", ["emptied", "dropped"])
async def test_the_schema_is_emptied_under_the_connection(
    postgresql_url: str, make_entry: MakeEntry, how: str
) -> None:
    """Found by the look every few seconds, and by the commit that would move the chain on."""
    async with open_book(postgresql_url, "switch-1", clock_ms=lambda: 1) as book:
        await sell(book, make_entry(1))
        whole = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        tables = "DELETE FROM journal; DELETE FROM instances; UPDATE chains SET chain_seq = 0"
        run(plain(postgresql_url), whole if how == "dropped" else tables)
        with pytest.raises((BookUnavailable, BooksGone)):
            await sell(book, make_entry(2))
        with pytest.raises(BooksGone):
            await book.gauges()
        async with nothing_is_answered(book, make_entry(3)):
            pass


async def test_the_database_is_an_older_copy(
    postgresql_url: str, postgresql_server: str, make_entry: MakeEntry
) -> None:
    """One from before the last sale, which this process has answered."""
    name = make_url(postgresql_url).database
    force = f"DROP DATABASE IF EXISTS {name}_copy WITH (FORCE)"
    async with open_book(postgresql_url, "switch-1", clock_ms=lambda: 1) as book:
        await sell(book, make_entry(1))
        lose_connection(book)
        run(postgresql_server, force, f"CREATE DATABASE {name}_copy TEMPLATE {name}")
        await sell(book, make_entry(2))
        lose_connection(book)
        run(
            postgresql_server,
            f"DROP DATABASE {name} WITH (FORCE)",
            f"ALTER DATABASE {name}_copy RENAME TO {name}",
        )
        async with nothing_is_answered(book, make_entry(3)):
            pass


async def test_an_empty_database_is_not_filled_where_books_must_be(
    postgresql_url: str, postgresql_server: str
) -> None:
    """With ``create`` off; it is left as it is."""
    name = make_url(postgresql_url).database
    run(
        postgresql_server,
        f"DROP DATABASE {name}",
        f"CREATE DATABASE {name} TEMPLATE template0",
    )
    with pytest.raises(BooksMissing, match="the database is empty"):
        async with open_book(postgresql_url, "switch-1", clock_ms=lambda: 1, create=False):
            pass
    with psycopg.connect(plain(postgresql_url)) as connection:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchone() == (0,)


async def test_a_database_that_comes_back_is_gone_on_with(
    postgresql_url: str, postgresql_server: str, make_entry: MakeEntry
) -> None:
    """The same books, after a connection was cut."""
    async with open_book(postgresql_url, "switch-1", clock_ms=lambda: 1) as book:
        await sell(book, make_entry(1))
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        name = make_url(postgresql_url).database
        run(postgresql_server, f"{cut}'{name}'")
        with pytest.raises(BookUnavailable):
            await book.commit(InsertEntry(make_entry(2)))
        await sell(book, make_entry(3))
