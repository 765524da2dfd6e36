"""``acquirer journal``: a payment is found by what one knows of it, and told in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from typer.testing import CliRunner

from acquirer.cli.journal import journal_app
from acquirer.cli.journal_story import STATES
from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.book import open_book
from acquirer.ledger.journal.details import WriteOff
from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    Event,
    Role,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueEvent,
    QueueSaf,
    Step,
    WriteOffSaf,
)
from acquirer.ledger.store.configuration import ChangeConfiguration, ConfigVersion

# 2026-11-30 23:30:00.250 in Shanghai.
LATE_MS = 1_796_052_600_250
SHOP, OTHER = "898110055410002", "898110059610003"


def merchant(id: str, name: str, currency_code: str) -> ConfigVersion:
    """A merchant of the configuration."""
    body = msgspec.json.encode({"name": name, "currency_code": currency_code}).decode()
    return ConfigVersion("merchant", id, 1, 1, 0, body, 0, "a", "", "first", None)


@pytest.fixture
def data(tmp_path: Path, make_entry: Callable[..., Entry]) -> Path:
    """A data folder with such books."""
    trio.run(fill, tmp_path, make_entry)
    return tmp_path


async def fill(folder: Path, make_entry: Callable[..., Entry]) -> None:
    """Books with one payment of each sort; the second's reversal was given up and written off."""
    url = f"sqlite:///{folder / 'switch.sqlite3'}"
    day = 86_400_000
    (folder / "switch.toml").write_text(
        f'[database]\nurl = "{url}"\n[business_day]\nzone = "Asia/Shanghai"\n'
    )
    sale = make_entry(
        1,
        merchant_id=SHOP,
        terminal_id="10000001",
        stan="000007",
        amount_minor=1_250,
        state=State.APPROVED,
        response_code="00",
        created_at_ms=LATE_MS,
        bank="demo",
        bank_stan="000031",
        transmission_at="1130153000",
        card=CardRecord("622588******0007", b"", b""),
    )
    lost = make_entry(
        2,
        merchant_id=OTHER,
        terminal_id="10000002",
        stan="000008",
        amount_minor=1_250,
        currency_code="392",
        state=State.REVERSED,
        response_code="98",
        late_response_code="00",
        created_at_ms=LATE_MS + day,
        bank="demo",
        card=CardRecord("400012******9416", b"", b""),
    )
    given_up = make_entry(
        3,
        merchant_id=OTHER,
        kind=Kind.SAF_WRITE_OFF,
        terminal_id="OPERATOR",
        stan="41",
        mti="",
        original_id=2,
        amount_minor=1_250,
        currency_code="392",
        state=State.APPROVED,
        created_at_ms=LATE_MS + day + 9_000,
        card=None,
        detail=WriteOff("w.chen", "bank confirms by letter"),
    )
    cash = make_entry(
        4,
        merchant_id=SHOP,
        kind=Kind.ORDER_PAYMENT,
        terminal_id="10000001",
        stan="000009",
        amount_minor=990,
        state=State.APPROVED,
        response_code="00",
        order_no="SP-1",
        courier_id="C1001",
        created_at_ms=LATE_MS + 2 * day,
        card=None,
    )
    undone = make_entry(
        5,
        merchant_id=SHOP,
        kind=Kind.REVERSAL,
        role=Role.REVERSAL,
        terminal_id="10000001",
        stan="000007",
        original_id=1,
        state=State.APPROVED,
        response_code="25",
        created_at_ms=LATE_MS + 4,
        card=None,
    )
    posted = Posting("assets:scheme:demo", f"liabilities:merchant:{SHOP}", 1_250, "sale")
    owed = SafItem(41, "demo", BankMessage.REVERSAL, 2, "98", LATE_MS + day, LATE_MS + day)
    notice = Event("evt_1", SHOP, "SP-1", "order.paid", "{}", LATE_MS + 2 * day, 0)
    merchants = (merchant(SHOP, "Corner Market 街角", "156"), merchant(OTHER, "Kiosk", "392"))
    async with open_book(url, "switch-1", clock_ms=lambda: LATE_MS, driver="inline") as book:
        assert await book.commit(ChangeConfiguration(1, merchants)) is None
        units: list[tuple[Step, ...]] = [
            (InsertEntry(sale), Post(1, "156", "2026-11-30", (posted,))),
            (InsertEntry(lost), QueueSaf(owed)),
            (InsertEntry(given_up),),
            (InsertEntry(cash), QueueEvent(notice)),
            (InsertEntry(undone),),
        ]
        for unit in units:
            assert await book.commit(*unit) is None
        await book.dead_saf(41, LATE_MS + day + 5_000, "the bank refused it: response code 05")
        assert await book.commit(WriteOffSaf(41, LATE_MS + day + 9_000)) is None


def run(data: Path, *words: str) -> str:
    """What a command prints."""
    found = CliRunner().invoke(journal_app, [*words, "--data", str(data)])
    assert (0, None) == (found.exit_code, found.exception), found.output
    return found.output


def found(data: Path, *words: str) -> list[int]:
    """Ids of the entries that a search finds, newest first."""
    listed = json.loads(run(data, "list", "--json", *words))["transactions"]
    return [entry["id"] for entry in listed]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("--rrn 000000000002", [2]),
        ("--stan 7", [5, 1]),
        ("--stan 000008", [2]),
        ("--terminal 10000002", [2]),
        (f"--merchant {OTHER}", [3, 2]),
        ("--merchant kiosk", [3, 2]),
        ("--merchant market", [5, 4, 1]),
        ("--card 0007", [1]),
        ("--card 400012******9416", [2]),
        ("--card 400012*****9416", [2]),
        ("--card 9999", []),
        ("--amount 12.50", [1]),
        ("--amount 1,250", [3, 2]),
        ("--from 2026-12-01", [4, 3, 2]),
        ("--to 2026-11-30", [5, 1]),
        ("--from 2026-12-01 --to 2026-12-01", [3, 2]),
        ("--from 2026-11-30T23:30:01", [4, 3, 2]),
        ("--to 2026-11-30T15:31:00+00:00", [5, 1]),
        ("--state written_off", [2]),
        ("--state reversed", []),
        ("--kind order_payment", [4]),
        ("--order SP-1", [4]),
        ("--code 98", [2]),
        ("--terminal 10000001 --code 00 --limit 1", [4]),
        ("", [5, 4, 3, 2, 1]),
    ],
)
def test_found_by_what_one_knows(data: Path, words: str, ids: list[int]) -> None:
    """Each search by itself, and together; a day is the zone's, an amount each currency's."""
    assert ids == found(data, *words.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--card 6225880000000007", "by its last four digits"),
        ("--merchant nobody", "no merchant 'nobody'; `acquirer merchants list`"),
        ("--amount twelve", "--amount: 'twelve' is no amount of currency 156 or 392"),
        ("--amount 1.234", "'1.234' is no amount of currency"),
        ("--from 30.11.2026", "--from: '30.11.2026' is neither a day (2026-11-30)"),
        ("--to 9999-12-31", "--to: '9999-12-31' is neither"),
        ("--state gone", "'gone' is not one of"),
    ],
)
def test_searches_that_cannot_be(data: Path, words: str, says: str) -> None:
    """Code 2 and the reason; a whole card number is not searched for, and not shown again."""
    told = CliRunner().invoke(journal_app, ["list", *words.split(), "--data", str(data)])
    assert 2 == told.exit_code
    assert says in " ".join(told.output.split())
    assert "6225880000000007" not in told.output


def test_the_list_shows_names_and_local_time(data: Path) -> None:
    """Merchants by name; a late evening's sale with its day, and how far that is from UTC."""
    (line,) = (line for line in run(data, "list").splitlines() if "000000000001" in line)
    assert line.startswith("2026-11-30 23:30:00+08:00")
    assert "Corner Market 街角" in line


def test_a_payment_in_words(data: Path) -> None:
    """From any of its transactions: facts, steps with their times, postings."""
    shown = run(data, "show", "000000000001")
    assert run(data, "show", "000000000005") == shown
    for text in (
        f"merchant  Corner Market 街角 ({SHOP})",
        "terminal  10000001, batch 000001, STAN 000007",
        "2026-11-30 23:30:00.250  terminal 10000001: sale of 12.50 (currency 156)",
        "bank demo: is asked, STAN 000031, DE7 1130153000",
        "2026-11-30 23:30:00.254  terminal 10000001: reversal",
        "answered 25",
        "sale: posted sale 12.50",
        "assets:scheme:demo",
    ):
        assert text in shown, text


def test_what_was_written_off_says_so(data: Path) -> None:
    """Who and why, the dead letter with its reason, the bank's late answer."""
    shown = run(data, "show", "000000000002")
    for text in (
        "state written off by w.chen: bank confirms by letter",
        "the switch: ends reversal 41, which was sent 0 times and given up",
        "the bank refused it: response code 05",
        "operator w.chen: writes off 1,250 (currency 392): bank confirms by letter",
        "Nothing was posted.",
    ):
        assert text in " ".join(shown.split()), text
    assert "answers" not in shown


def test_cash_and_its_notice(data: Path) -> None:
    """A payment without a card is one in cash; its merchant is still to be told."""
    shown = run(data, "show", "000000000004")
    assert "order payment in cash of 9.90" in shown
    assert "courier   C1001" in shown
    assert "sends the notice order.paid of order SP-1 (evt_1)" in shown


def test_a_payment_as_json(data: Path) -> None:
    """The same for programs."""
    told = json.loads(run(data, "show", "000000000005", "--json"))
    assert {"merchant", "steps", "entries", "postings", "debts", "notices"} == set(told)
    assert [1, 5] == [entry["line"]["id"] for entry in told["entries"]]
    assert LATE_MS == told["steps"][0]["at_ms"]


def test_no_such_payment(data: Path) -> None:
    """Code 2, and how to find one."""
    told: Any = CliRunner().invoke(journal_app, ["show", "999999999999", "--data", str(data)])
    assert 2 == told.exit_code
    assert "no transaction has the RRN '999999999999'" in told.output


def test_every_state_has_words() -> None:
    """No payment can be in a state that cannot be told."""
    assert {*State, "written_off"} == set(STATES)
