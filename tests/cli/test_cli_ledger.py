"""``acquirer ledger`` and ``acquirer journal`` on the books of a data folder."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from acquirer.cli.journal import journal_app
from acquirer.cli.ledger import ledger_app
from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.store.database import Database
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.writer import Writer

DATE = "2026-01-02"


@pytest.fixture
def data(tmp_path: Path, make_entry: Any) -> Iterator[Path]:
    """A data folder whose writer is still running."""
    writer = Writer(Database(f"sqlite:///{tmp_path}/switch.sqlite3"), "test", lambda: 0, migrate)
    writer.connect()
    for number in (1, 2):
        entry = make_entry(number, amount_minor=12_345, state=State.APPROVED, response_code="00")
        sale = Posting("assets:scheme:demo", "liabilities:merchant:M1", 12_345, "sale")
        assert writer.commit([(InsertEntry(entry), Post(number, "156", DATE, (sale,)))]) == [None]
    yield tmp_path
    writer.close()


def ledger(*arguments: object) -> Result:
    """Run ``acquirer ledger``."""
    return CliRunner().invoke(ledger_app, [str(argument) for argument in arguments])


def journal(*arguments: object) -> Result:
    """Run ``acquirer journal list``."""
    return CliRunner().invoke(journal_app, ["list", *map(str, arguments)])


def test_trial_balance_as_json(data: Path) -> None:
    """The form that issue and tools rely on."""
    assert json.loads(ledger("trial-balance", "--data", data, "--json").stdout) == {
        "balanced": True,
        "lines": [
            {
                "account": "assets:scheme:demo",
                "currency": "156",
                "debit_minor": 24_690,
                "credit_minor": 0,
                "pending_debit_minor": 0,
                "pending_credit_minor": 0,
            },
            {
                "account": "liabilities:merchant:M1",
                "currency": "156",
                "debit_minor": 0,
                "credit_minor": 24_690,
                "pending_debit_minor": 0,
                "pending_credit_minor": 0,
            },
        ],
    }


def test_journal_as_json(data: Path) -> None:
    """Newest first, as many as asked for, with at least the fields of the contract."""
    (newest,) = json.loads(journal("--data", data, "--limit", 1, "--json").stdout)["transactions"]
    assert newest["rrn"] == "000000000002"
    assert newest["state"] == "approved"
    wanted = {"rrn", "stan", "terminal_id", "batch", "kind", "amount_minor", "response_code"}
    assert wanted <= set(newest)


def test_tables_for_people(data: Path) -> None:
    """Amounts with decimals and thousands."""
    assert "246.90" in ledger("trial-balance", "--data", data).stdout
    assert "balanced" in ledger("trial-balance", "--data", data).stdout
    assert "246.90" in ledger("statement", "assets:scheme:demo", "--data", data).stdout
    assert "123.45" in journal("--data", data).stdout


def test_verify_says_so_by_its_exit_code(data: Path) -> None:
    """0 while the books agree, 1 at the first difference, which it names."""
    assert ledger("verify", "--data", data).exit_code == 0
    with sqlite3.connect(data / "switch.sqlite3") as connection:
        connection.execute("UPDATE accounts SET debits_posted = 1 WHERE debits_posted > 0")
    connection.close()
    found = ledger("verify", "--data", data)
    assert found.exit_code == 1
    assert "assets:scheme:demo" in found.stderr
    as_json = json.loads(ledger("verify", "--data", data, "--json").stdout)
    assert not as_json["verified"]
    assert "assets:scheme:demo" in as_json["difference"]


def test_a_configuration_names_the_database(data: Path, tmp_path: Path) -> None:
    """A relative path is relative to the file, which a data folder may hold too."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    file = folder / "switch.toml"
    file.write_text('other = 1\n[database]\nurl = "sqlite:///../switch.sqlite3"\n')
    assert ledger("verify", "--config", file).exit_code == 0
    assert ledger("verify", "--data", folder).exit_code == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[database]\nurl = 5\n", "database.url"),
        ("[other]\n", "database"),
        ("[database]\nurl = 'sqlite:///none.sqlite3'\n", "no such database"),
        ("[database]\nurl = 'mysql://x'\n", "not in mysql"),
        ("[database]\nurl = 'what'\n", "URL"),
        ("no toml", "TOML"),
    ],
)
def test_a_bad_configuration_ends_with_2(tmp_path: Path, content: str, reason: str) -> None:
    """The message says what is wrong."""
    file = tmp_path / "switch.toml"
    file.write_text(content)
    found = ledger("verify", "--config", file)
    assert found.exit_code == 2
    assert reason in found.stderr


def test_wrong_command_lines_end_with_2(data: Path) -> None:
    """Neither, both, no folder, no account."""
    assert ledger("verify").exit_code == 2
    assert ledger("verify", "--data", data, "--config", data / "switch.toml").exit_code == 2
    assert ledger("verify", "--data", data / "nowhere").exit_code == 2
    unknown = ledger("statement", "assets:nothing", "--data", data)
    assert (2, True) == (unknown.exit_code, "trial-balance` lists them" in unknown.stderr)
    assert journal("--data", data, "--limit", 0).exit_code == 2
