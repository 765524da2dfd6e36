"""``acquirer saf list``: what banks are owed, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from acquirer.cli.saf import saf_app
from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.book import open_book
from acquirer.ledger.journal.entries import (
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueSaf,
)

pytestmark = pytest.mark.anyio


async def test_open_items_and_dead_letters(tmp_path: Path, make_entry: Any) -> None:
    """Both by default, the dead alone where asked for; never a whole card number."""
    url = f"sqlite:///{tmp_path / 'switch.sqlite3'}"
    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline") as book:
        for number in (1, 2):
            item = SafItem(number + 100, "demo", BankMessage.REVERSAL, number, "98", 0, 0)
            sale = make_entry(number, state=State.TIMED_OUT, late_response_code="00")
            await book.commit(InsertEntry(sale), QueueSaf(item))
        await book.dead_saf(102, 5, "the bank refused it: response code 05")
    where = ["--data", str(tmp_path)]
    shown = CliRunner().invoke(saf_app, ["list", *where]).output
    assert "DEAD" in shown
    assert "622588******0007" in shown
    assert "100.00" in shown
    listed = json.loads(CliRunner().invoke(saf_app, ["list", *where, "--json"]).output)
    assert [(101, False), (102, True)] == [(i["id"], i["is_dead"]) for i in listed["items"]]
    dead = json.loads(CliRunner().invoke(saf_app, ["list", *where, "--dead", "--json"]).output)
    reason = "the bank refused it: response code 05"
    assert [(102, "00", reason)] == [
        (i["id"], i["late_response_code"], i["dead_reason"]) for i in dead["items"]
    ]


def test_nothing_to_ask(tmp_path: Path) -> None:
    """Without books and without a switch each command ends with code 2."""
    where = ["--data", str(tmp_path)]
    assert 2 == CliRunner().invoke(saf_app, ["list", *where]).exit_code
    assert 2 == CliRunner().invoke(saf_app, ["retry", "1", *where]).exit_code
