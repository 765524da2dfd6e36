"""Lists of any length: shown as they come, page by page, in columns of fixed width.

The first page says how wide each column is. Where a line has no room for all columns, a row takes
several lines: so a list can be read on a screen of 80 columns, and nothing in it is cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import Generic, TypeVar

from rich.cells import cell_len, chop_cells

from acquirer.cli.screen import Screen, print_json, say, write_lines
from acquirer.codecs.shown_text import printable

PAGE_ROWS = 500
CELL_COLUMNS_MAX = 40
GAP = 2

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column of a list.

    Attributes:
        heading: above it.
        cell: what it shows of a row.
        right: whether it stands at the right, as numbers do.
    """

    heading: str
    cell: Callable[[R], str]
    right: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column stands: in which line of a row, and how wide."""

    line: int
    width: int
    right: bool


def print_list(
    name: str,
    rows: Iterable[R],
    columns: Sequence[Column[R]],
    *,
    title: str,
    as_json: bool,
    document: Callable[[R], object] = lambda row: row,
    style: Callable[[R], str] = lambda row: "",
) -> None:
    """Print a list of any length as it comes.

    Args:
        name: of the rows; in JSON the name of the array.
        title: above the table.
        as_json: whether JSON is asked for.
        document: what JSON says of a row; the row's own members where it is left out.
        style: a colour's name for a row, or empty.
    """
    counted = _counted(rows, name)
    if as_json:
        print_json({name: map(document, counted)})
    else:
        print_table(title, counted, columns, style)


def print_table(
    title: str,
    rows: Iterable[R],
    columns: Sequence[Column[R]],
    style: Callable[[R], str] = lambda row: "",
) -> None:
    """Print rows in columns, or that there are none; as :func:`print_list` without JSON."""
    source = iter(rows)
    page = list(islice(source, PAGE_ROWS))
    if not page:
        say(f"{title}: none")
        return
    headings = [column.heading for column in columns]
    cells = [_cells(row, columns) for row in page]
    places = fit(headings, cells, [column.right for column in columns], Screen().width)
    say(title)
    write_lines(lay(headings, places))
    say("-" * max(len(line) for line in lay(["-" * place.width for place in places], places)))
    while page:
        for colour, same in groupby(page, style):
            shown = (lay(_cells(row, columns), places) for row in same)
            write_lines(chain.from_iterable(shown), colour)
        page = list(islice(source, PAGE_ROWS))


def fit(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], room: int
) -> list[Place]:
    """Give each column its width and its line. Pure.

    Args:
        rows: the cells of the first rows.
        right: which columns stand at the right.
        room: columns of the screen.

    >>> fit(["a", "b"], [["x" * 5, "yy"]], [False, True], 8)
    [Place(line=0, width=5, right=False), Place(line=1, width=2, right=True)]
    """
    places: list[Place] = []
    line, used = 0, 0
    for index, heading in enumerate(headings):
        longest = max([cell_len(heading), *(cell_len(row[index]) for row in rows)])
        width = min(longest, CELL_COLUMNS_MAX, room - GAP)
        if used and used + GAP + width > room:
            line, used = line + 1, 0
        # Each further line of a row is indented by the gap.
        used += width + GAP * (used > 0 or line > 0)
        places.append(Place(line, width, right[index]))
    return places


def lay(cells: Sequence[str], places: Sequence[Place]) -> list[str]:
    """One row's lines; a cell that is wider than its column goes on below. Pure.

    >>> lay(["abcd", "1"], [Place(0, 2, False), Place(0, 3, True)])
    ['ab    1', 'cd']
    """
    lines: list[str] = []
    for number in range(places[-1].line + 1):
        folded = [
            (chop_cells(cell, place.width) or [""], place)
            for cell, place in zip(cells, places, strict=True)
            if place.line == number
        ]
        for depth in range(max(len(parts) for parts, _ in folded)):
            padded = (
                _padded(parts[depth] if depth < len(parts) else "", place)
                for parts, place in folded
            )
            indent = " " * GAP * (number > 0)
            lines.append((indent + (" " * GAP).join(padded)).rstrip())
    return lines


def _cells(row: R, columns: Sequence[Column[R]]) -> list[str]:
    return [printable(column.cell(row)) for column in columns]


def _padded(text: str, place: Place) -> str:
    blank = " " * (place.width - cell_len(text))
    return blank + text if place.right else text + blank


def _counted(rows: Iterable[R], name: str) -> Iterator[R]:
    """The rows; where they go into a file, a person at the screen sees how many have gone."""
    is_watched = sys.stderr.isatty() and not sys.stdout.isatty()
    number = 0
    for number, row in enumerate(rows, 1):
        yield row
        if is_watched and not number % PAGE_ROWS:
            say(f"{number} {name}", err=True)
    if is_watched and number >= PAGE_ROWS:
        say(f"{number} {name}, all", err=True)
