"""``acquirer report``: sums of a small day, and the files that are made of them."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from PIL import Image
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from acquirer.cli import lists
from acquirer.cli.main import application
from acquirer.cli.screen import Screen
from acquirer.ledger.accounts.postings import FeeRate, card_sale, cash_on_delivery, refund
from acquirer.ledger.accounts.transfer_steps import (
    Post,
    PostReversed,
)
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
)

pytestmark = pytest.mark.anyio

MERCHANT = "898110053310001"
DAY = "2026-11-21"


def entry(id: int, kind: str, code: str, amount: int, state: State, **more: Any) -> Entry:
    """A journal entry of the day."""
    values: dict[str, Any] = {
        "id": id,
        "rrn": f"{id:012d}",
        "role": Role.ORIGINAL,
        "kind": Kind(kind),
        "mti": "0200",
        "processing_code": code,
        "transaction_type": "",
        "terminal_id": "10000001",
        "merchant_id": MERCHANT,
        "batch": "000001",
        "stan": f"{id:06d}",
        "amount_minor": amount,
        "currency_code": "156",
        "fingerprint": b"",
        "state": state,
        "owner": "switch-1#1.0",
        "lease_until_ms": 0,
        "created_at_ms": 0,
        "business_date": DAY,
        "response_code": "00",
    }
    return Entry(**(values | more))


async def a_day(book: Book) -> None:
    """A sale, orders by card and open, in cash and for nothing; one returned, one refunded."""
    rate = FeeRate(100)
    sale = card_sale(10_000, rate, bank="demo", merchant_id=MERCHANT)
    cash = cash_on_delivery(5_000, FeeRate(80), courier_id="C1", merchant_id=MERCHANT)
    courier = {"courier_id": "C1", "order_no": "A"}
    order = OrderRow(MERCHANT, "A", "01", 20_000, "156", "1", "", 0, None, 2)
    approved = State.APPROVED
    assert not await book.commit(
        InsertEntry(entry(1, "sale", "000000", 10_000, approved)), Post(1, "156", DAY, sale)
    )
    by_card = card_sale(20_000, rate, bank="demo", merchant_id=MERCHANT)
    assert not await book.commit(
        InsertEntry(entry(2, "order_payment", "000000", 20_000, approved, **courier)),
        Post(2, "156", DAY, by_card),
        PutOrder(order),
    )
    assert not await book.commit(
        InsertEntry(entry(3, "order_payment", "900000", 5_000, approved, courier_id="C1")),
        Post(3, "156", DAY, cash),
    )
    assert not await book.commit(
        InsertEntry(entry(4, "order_payment", "910000", 0, approved, courier_id="C2")),
        InsertEntry(entry(5, "order_exception", "930000", 0, approved)),
        InsertEntry(entry(6, "sale", "000000", 900, State.DECLINED, response_code="51")),
        InsertEntry(entry(7, "sale", "000000", 700, State.REVERSED, response_code="98")),
        InsertEntry(entry(9, "sale", "000000", 9_999, approved, business_date="2026-11-22")),
    )
    returned = card_sale(3_000, rate, bank="demo", merchant_id=MERCHANT)
    assert not await book.commit(
        InsertEntry(entry(8, "sale", "000000", 3_000, State.VOIDED)), Post(8, "156", DAY, returned)
    )
    assert not await book.commit(PostReversed(8, 4, DAY))
    refunded = card_sale(2_000, rate, bank="demo", merchant_id=MERCHANT)
    given_back = refund(2_000, 20, 1_000, bank="demo", merchant_id=MERCHANT)
    assert not await book.commit(
        InsertEntry(entry(10, "sale", "000000", 2_000, State.REFUNDED)),
        Post(10, "156", DAY, refunded),
        InsertEntry(entry(11, "refund", "200000", 2_000, approved, original_id=10)),
        Post(11, "156", DAY, given_back),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
async def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A data folder with the books of the day."""
    url = f"sqlite:///{tmp_path / 'switch.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    async with open_book(url, "switch-1", clock_ms=lambda: 0) as book:
        await a_day(book)
    merchant = {
        "merchant_id": MERCHANT,
        "name": "M",
        "mcc": "4215",
        "mdr_basis_points": 100,
        "event_secret": "",
    }
    document = {
        "database": {"url": url},
        "banks": [],
        "business_day": {"zone": "Asia/Shanghai"},
        "routes": [],
        "profiles": [],
        "terminals": [],
        "merchants": [merchant],
        "couriers": [
            {"courier_id": c, "merchant_id": MERCHANT, "password": "x", "station": s}
            for c, s in (("C1", "north"), ("C2", "south"))
        ],
    }
    (tmp_path / "switch.toml").write_text(tomli_w.dumps(document))
    return tmp_path


def report(data: Path, *arguments: str) -> Result:
    """The command's whole result."""
    words = ["report", "--from", DAY, "--data", str(data), *arguments]
    return CliRunner().invoke(application("report"), words)


@pytest.fixture
def run(data: Path) -> Any:
    """Runs the command on the day's books; its standard output."""

    def command(*arguments: str) -> str:
        result = report(data, *arguments)
        assert 0 == result.exit_code, result.output
        return str(result.stdout)

    return command


async def test_by_merchant(run: Any) -> None:
    """Fees and net follow the postings; what was declined or never approved does not count."""
    (line,) = json.loads(run("--json"))["lines"]
    assert {
        "group": MERCHANT,
        "currency_code": "156",
        "card_count": 3,
        "card_minor": 32_000,
        "cash_count": 1,
        "cash_minor": 5_000,
        "none_count": 1,
        "fee_minor": 340,
        "net_minor": 34_660,
        "unconfirmed_count": 1,
        "unconfirmed_minor": 20_000,
        "returned_count": 2,
        "returned_minor": 5_000,
        "voided_count": 1,
        "voided_minor": 3_000,
        "exception_count": 1,
        "cash_in_hand_minor": 5_000,
    } == line


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("courier", {"-": 12_000, "C1": 25_000, "C2": 0}),
        ("station", {"-": 12_000, "north": 25_000, "south": 0}),
        ("terminal", {"10000001": 37_000, "-": 0}),
        ("day", {DAY: 37_000}),
        ("means", {"card": 32_000, "cash": 5_000, "none": 0, "-": 0}),
    ],
)
async def test_groups(run: Any, by: str, groups: dict[str, int]) -> None:
    """Each payment is in one group, whatever the groups are."""
    lines = json.loads(run("--by", by, "--json"))["lines"]
    assert groups == {line["group"]: line["card_minor"] + line["cash_minor"] for line in lines}


async def test_csv_and_table(run: Any) -> None:
    """The same numbers, as minor units and as people write them."""
    (line,) = csv.DictReader(io.StringIO(run("--csv")))
    assert ("32000", "34660") == (line["card_minor"], line["net_minor"])
    assert "346.60" in run()


async def test_the_table_has_no_empty_columns(run: Any) -> None:
    """Of couriers who took no cash nothing is said of cash; what is nothing in a column is 0.00."""
    shown = run("--by", "station")
    assert "exceptions" in shown
    north = next(line for line in shown.splitlines() if "north" in line)
    south = next(line for line in shown.splitlines() if "south" in line)
    assert "CNY" in north
    assert "200.00" in north
    assert "0.00" in south
    for_nothing = run("--by", "means")
    assert "nothing to pay" in for_nothing
    by_day = run("--by", "day")
    assert "cash in hand" not in by_day


async def test_a_narrow_screen_cuts_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns a line of the report takes several lines, with every amount whole."""
    monkeypatch.setattr(lists, "Screen", partial(Screen, pipe_columns=80))
    shown = run()
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert "346.60" in shown
    assert "…" not in shown


async def test_a_voided_sale_is_not_in_what_was_paid(run: Any) -> None:
    """It is counted among what came back, and for itself; a refund's payment stays paid."""
    (line,) = json.loads(run("--json"))["lines"]
    paid_minor = line["card_minor"] + line["cash_minor"]
    refunded_minor = line["returned_minor"] - line["voided_minor"]
    assert line["net_minor"] == paid_minor - refunded_minor - line["fee_minor"]


async def test_an_empty_report_says_so(run: Any, tmp_path: Path) -> None:
    """No table without lines; the chart is made all the same."""
    # No cash is owed by day, so that nothing is left of the books.
    nothing = ("--by", "day", "--from", "2025-01-01")
    assert "By day, 2025-01-01: no payments" == run(*nothing).strip()
    assert [] == json.loads(run(*nothing, "--json"))["lines"]
    run(*nothing, "--png", str(tmp_path / "r.png"))
    assert (tmp_path / "r.png").stat().st_size


async def test_workbook_and_chart(run: Any, tmp_path: Path) -> None:
    """A workbook with numbers, a picture with bars of both means; how much is in each is told."""
    files = ("--xlsx", str(tmp_path / "r.xlsx"), "--png", str(tmp_path / "r.png"))
    told = run("--by", "courier", *files)
    assert [f"{tmp_path / name}: 3 lines" for name in ("r.xlsx", "r.png")] == told.splitlines()
    assert 3 == len(json.loads(run("--by", "courier", "--json", *files))["lines"])
    with zipfile.ZipFile(tmp_path / "r.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<v>200</v>" in sheet
    with Image.open(tmp_path / "r.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 16) or []}
    assert {(0x2F, 0x6F, 0xAB), (0x5A, 0xA4, 0x69)} <= colours


@pytest.mark.parametrize("option", ["--xlsx", "--png"])
@pytest.mark.parametrize("data", ["sqlite"], indirect=True)
async def test_a_file_that_cannot_be_written(data: Path, option: str) -> None:
    """One line names the file, why, and what would do; exit code 2."""
    file = data / "nowhere" / "r"
    result = report(data, option, str(file))
    assert (2, "") == (result.exit_code, result.stdout)
    assert (
        f"acquirer: {file}: No such file or directory; name a file in a folder that is there and"
        " that you may write to\n" == result.stderr
    )


@pytest.mark.parametrize("data", ["sqlite"], indirect=True)
async def test_an_unknown_merchant(data: Path) -> None:
    """One that neither books nor configuration know is named, with those that there are."""
    result = report(data, "--merchant", "M9")
    complaint = " ".join(result.stderr.replace("│", " ").split())
    assert (2, True) == (result.exit_code, f"no merchant 'M9'; there are {MERCHANT}" in complaint)
