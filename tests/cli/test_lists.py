"""Lists of any length: as they come, in columns that fit a screen, as a document that holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pytest
from rich.cells import cell_len

from acquirer.cli import lists
from acquirer.cli.journal import JOURNAL
from acquirer.cli.lists import PAGE_ROWS, Column, Place, fit, lay, print_list, print_table
from acquirer.cli.orders import EVENTS, ORDERS
from acquirer.cli.saf import OWED
from acquirer.cli.screen import print_json
from acquirer.ledger.reports.journal import JournalLine
from acquirer.ledger.reports.orders import EventLine, OrderLine
from acquirer.ledger.reports.saf import SafLine

SCREEN = 80
# Each text as long as it can be.
ENTRY = JournalLine(
    10**18,
    "6" * 12,
    "000001",
    "10000001",
    "8" * 15,
    "000001",
    "order_cancellation_confirmation",
    "original",
    999_999_999_999,
    "156",
    "timed_out",
    "00",
    "A" * 6,
    "622588******0007",
    "茶" * 40,
    "b" * 40,
    None,
    "2026-11-30",
    1_764_000_000_000,
    "00",
)
OWED_ITEM = SafLine(
    10**18,
    "bank-" * 8,
    "reversal",
    "98",
    500,
    0,
    0,
    False,
    1,
    "6" * 12,
    "order_payment",
    "timed_out",
    "10000001",
    "8" * 15,
    999_999_999_999,
    "156",
    "622588******0007",
    "00",
    "",
)
ORDER = OrderLine("8" * 15, "9" * 40, "03", 999_999_999_999, "156", "card", "6" * 12, "1" * 8, "C")
NOTICE = EventLine("evt_" + "f" * 32, "8" * 15, "9" * 40, "order.paid", "pending", 9, 0, 0, "")


@dataclass(frozen=True, slots=True)
class Item:
    """A row."""

    name: str
    number: int


COLUMNS: list[Column[Item]] = [
    Column("name", lambda item: item.name),
    Column("number", lambda item: str(item.number), right=True),
]


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What has been printed since the last look."""
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("columns", "row"), [(JOURNAL, ENTRY), (OWED, OWED_ITEM), (ORDERS, ORDER), (EVENTS, NOTICE)]
)
def test_every_list_fits_a_screen_of_80_columns(columns: list[Column[object]], row: object) -> None:
    """Over several lines where it must, with nothing cut off."""
    cells = [column.cell(row) for column in columns]
    places = fit([c.heading for c in columns], [cells], [c.right for c in columns], SCREEN)
    lines = lay(cells, places)
    assert SCREEN >= max(cell_len(line) for line in lines)
    assert sorted("".join(cells).replace(" ", "")) == sorted("".join(lines).replace(" ", ""))


def test_columns_stand_under_their_headings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first page gives the widths; what is longer later goes on below."""
    monkeypatch.setattr(lists, "PAGE_ROWS", 1)
    print_table("Things", [Item("tea", 7), Item("teapot", 12_345_678)], COLUMNS)
    assert [
        "Things",
        "name  number",
        "------------",
        "tea        7",
        "teap  123456",
        "ot        78",
    ] == printed(capsys)


def test_a_narrow_screen_takes_several_lines_for_a_row() -> None:
    """The headings go the same way."""
    places = fit(["time", "rrn", "amount"], [["2026-11-30", "1" * 12, "9.00"]], [False] * 3, 24)
    assert [Place(0, 10, False), Place(0, 12, False), Place(1, 6, False)] == places
    assert ["time        rrn", "  amount"] == lay(["time", "rrn", "amount"], places)


def test_wide_characters_count_twice() -> None:
    """Columns after Chinese text stand where they should."""
    places = fit(["a", "b"], [["茶具", "x"]], [False, False], SCREEN)
    assert ["茶具  x", "tea   y"] == [*lay(["茶具", "x"], places), *lay(["tea", "y"], places)]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_list_is_written_as_it_comes(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """When a later row is asked for, earlier ones have been written: none waits for the last."""

    def rows() -> Iterator[Item]:
        for number in range(10 * PAGE_ROWS):
            if number == 5 * PAGE_ROWS:
                begun = "".join(printed(capsys))
                assert "item-7" in begun
            yield Item(f"item-{number}" + "x" * 30, number)

    print_list("items", rows(), COLUMNS, title="Items", as_json=as_json)
    assert f"item-{10 * PAGE_ROWS - 1}x" in "".join(printed(capsys))


@pytest.mark.parametrize("count", [0, 1, 2, 3 * PAGE_ROWS])
def test_json_is_one_document_however_long(capsys: pytest.CaptureFixture[str], count: int) -> None:
    """On one line, the same bytes as if it had been made at once."""
    rows = [Item(f"a\u202e{number}", number) for number in range(count)]
    print_list("items", iter(rows), COLUMNS, title="Items", as_json=True)
    found = capsys.readouterr().out
    assert found.endswith("]}\n")
    assert 1 == found.count("\n")
    assert {"items": [asdict(row) for row in rows]} == json.loads(found)


def test_lists_in_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """An object whose member is a list that comes."""
    inner = ({"n": n, "lines": iter([n, n])} for n in range(2))
    print_json({"account": "a", "statements": inner, "empty": iter([])})
    assert (
        '{"account":"a","statements":[{"n":0,"lines":[0,0]},{"n":1,"lines":[1,1]}],"empty":[]}\n'
        == capsys.readouterr().out
    )
