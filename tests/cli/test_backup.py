"""Books copied beside a running switch, and brought back."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from acquirer.cli.ledger import ledger_app
from acquirer.ledger.book import open_book

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
    from acquirer.ledger.database import Database, Session
    from acquirer.ledger.migrate import migrate

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
