"""What others sent is shown as it is: its markup is not read, and it does not steer a screen."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import structlog
import tomli_w
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from acquirer.cli import links, order_sim, terminal_view
from acquirer.cli.logs import configure_logging
from acquirer.cli.main import application
from acquirer.cli.process import fail
from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.shown_text import one_line, printable, printable_json
from acquirer.hosts_sim.bank import report
from acquirer.hosts_sim.orders.store import EventRow
from acquirer.ledger.book import open_book
from acquirer.ledger.journal.entries import (
    Event,
    OrderRow,
    Role,
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
    QueueEvent,
    QueueSaf,
)
from acquirer.terminals_sim.results import OrderView, Result

pytestmark = pytest.mark.anyio

CLI = Path(__file__).parents[2] / "src" / "acquirer" / "cli"
# Markup that rich refuses and markup that it would obey, an escape sequence, C1, DEL, bidi.
HOSTILE = "[/x][red]N\x1b[2J\x9b1m\x7f\u202e\u2066\u200f"
SHOWN = r"[/x][red]N\x1b[2J\x9b1m\x7f\u202e\u2066\u200f"
# As much of it as fits into the narrowest column.
BEGINNING = "[/x][red]"
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


async def fill(url: str, make_entry: Callable[..., Any]) -> None:
    """Books whose every text from outside is hostile."""
    names = dict.fromkeys(("order_no", "courier_id", "terminal_id", "stan", "bank"), HOSTILE)
    codes = {"response_code": "00", "approval_code": HOSTILE, "late_response_code": HOSTILE}
    payment = make_entry(
        1, kind="order_payment", state=State.APPROVED, merchant_id=HOSTILE, **names, **codes
    )
    undone = make_entry(2, role=Role.ORIGINAL, state=State.TIMED_OUT, **(names | {"stan": "2"}))
    order = OrderRow(HOSTILE, HOSTILE, "01", 10_000, "156", "1", HOSTILE, 0, payment_id=1)
    event = Event(HOSTILE, HOSTILE, HOSTILE, "order.paid", "{}", 0, 0)
    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline") as book:
        await book.commit(InsertEntry(payment), PutOrder(order), QueueEvent(event))
        owed = SafItem(9, HOSTILE, BankMessage.REVERSAL, 2, HOSTILE, 0, 0)
        await book.commit(InsertEntry(undone), QueueSaf(owed))


@pytest.fixture
async def data(tmp_path: Path, make_entry: Callable[..., Any]) -> Path:
    """A data folder with such books, and a switch's file beside them."""
    url = f"sqlite:///{tmp_path / 'switch.sqlite3'}"
    await fill(url, make_entry)
    empty: dict[str, list[object]] = {
        key: [] for key in ("banks", "routes", "profiles", "terminals", "merchants")
    }
    file = {"database": {"url": url}, "business_day": {"zone": "UTC"}, **empty}
    (tmp_path / "switch.toml").write_text(tomli_w.dumps(file))
    return tmp_path


COMMANDS = (
    "journal list",
    "journal show 000000000001",
    "journal show 000000000002",
    "orders list",
    "orders pending",
    "orders events list",
    "saf list",
    "report --by terminal --from 2026-01-02",
    "report --by terminal --from 2026-01-02 --csv",
)


@pytest.mark.parametrize("command", COMMANDS)
async def test_tables_of_the_switch(data: Path, command: str) -> None:
    """Each command ends well, and shows the text as it is."""
    words = [*command.split(), "--data", str(data)]
    found = CliRunner().invoke(application(words[0]), words)
    assert (0, None) == (found.exit_code, found.exception)
    assert BEGINNING in found.output
    assert not STEERS.search(found.output)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--csv" not in c])
async def test_json_of_the_switch(data: Path, command: str) -> None:
    """The same document, written without a character that steers a screen."""
    words = [*command.split(), "--data", str(data), "--json"]
    found = CliRunner().invoke(application(words[0]), words)
    assert HOSTILE in texts_of(json.loads(found.output))
    assert not STEERS.search(found.output)


def texts_of(document: Any) -> list[str]:
    """All texts in a JSON document."""
    if isinstance(document, dict):
        return [text for value in document.values() for text in texts_of(value)]
    if isinstance(document, list):
        return [text for value in document for text in texts_of(value)]
    return [document] if isinstance(document, str) else []


def test_tables_of_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a running switch, the bank simulator and the order system simulator have to show."""
    reply: dict[str, Any] = dict.fromkeys(
        ("at", "link", "mti", "stan", "rrn", "terminal_id", "response_code", "approval_code"),
        HOSTILE,
    )
    reply |= {"amount_minor": 1, "currency_code": "156", "reason": HOSTILE}
    monkeypatch.setattr(links, "call_switch", lambda *_: {"unmatched": [reply]})
    rows = [
        dict.fromkeys(["kind", "rrn", "stan", "terminal_id", "state", "response_code"], HOSTILE)
    ]
    found = {"transactions": iter([rows[0] | {"amount_minor": 1}]), "reversals": iter([])}
    monkeypatch.setattr(report, "transactions", lambda *_: nullcontext(found))
    events = [EventRow(*(HOSTILE,) * 7, 1)]
    monkeypatch.setattr(order_sim, "read_events", lambda _: events)
    for command in ("links unmatched", "bank-sim transactions", "order-sim events"):
        words = [*command.split(), "--data", str(tmp_path)]
        shown = CliRunner().invoke(application(words[0]), words).output
        assert BEGINNING in shown
        assert not STEERS.search(shown)


def test_a_terminals_result(capsys: pytest.CaptureFixture[str]) -> None:
    """What the terminal simulator shows of an order."""
    view = OrderView(1, HOSTILE, "1", (HOSTILE,), HOSTILE, (HOSTILE,), HOSTILE)
    result = Result("order_query", "approved", rrn=HOSTILE, message=HOSTILE, order=view)
    for as_json in (False, True):
        terminal_view.show_result(result, as_json=as_json)
        assert not STEERS.search(capsys.readouterr().out)


def test_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """Why a command ends, in one line."""
    with pytest.raises(typer.Exit):
        fail(f"{HOSTILE}: no such\nfile")
    assert f"acquirer: {SHOWN}: no such\\nfile\n" == capsys.readouterr().err


def test_a_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are looked at on screens, too."""
    written = io.BytesIO()
    before = structlog.get_config()
    monkeypatch.setenv("ACQUIRER_LOG_LEVEL", "info")
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written))
    configure_logging("info")
    structlog.get_logger("test").info("said", text=HOSTILE)
    structlog.configure(**before)
    line = written.getvalue().decode()
    assert HOSTILE == json.loads(line)["text"]
    assert not STEERS.search(line)


@given(st.text())
def test_any_text(text: str) -> None:
    """Nothing that is shown steers; JSON stays the same document; a line stays as long."""
    assert not STEERS.search(printable(text))
    assert "\n" not in printable(text)
    assert text == json.loads(printable_json(json.dumps(text, ensure_ascii=False)))
    assert not STEERS.search(printable_json(json.dumps(text, ensure_ascii=False)))
    assert len(text) == len(one_line(text))
    assert not STEERS.search(one_line(text))


OWN_WAYS = re.compile(
    r"rich\.console|rich\.markup|typer\.echo|stdout\.write|(?<![\w.])print\(|\bText\("
)


def test_every_command_writes_through_the_screen() -> None:
    """No other module of the command line has a way of its own to write text."""
    found = {
        (path.name, way.group())
        for path in CLI.glob("*.py")
        if path.name != "screen.py"
        for way in OWN_WAYS.finditer(path.read_text("utf-8"))
    }
    assert set() == found
