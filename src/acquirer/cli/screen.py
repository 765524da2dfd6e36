"""The one place where commands write to a screen: nothing that others sent steers it.

Order numbers, merchants' texts, couriers' names, banks' answers and reasons of errors are shown as
they are: never read as rich's markup, and characters that are not printable written out. A style is
given as a style, never in a text. ``tests/cli/test_screen.py`` holds all commands to this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from acquirer.codecs.shown_text import printable, printable_json

PIPE_COLUMNS = 200
WRITTEN_AT_ONCE = 32_768


class Screen(Console):
    """A console that takes every text as data.

    Args:
        pipe_columns: width where the output is no terminal, which would squeeze tables.
    """

    def __init__(self, pipe_columns: int = PIPE_COLUMNS) -> None:
        super().__init__(emoji=False, markup=False, highlight=False)
        if not self.is_terminal:
            self.width = pipe_columns

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does it, with the text made printable and its markup left alone."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def styled(text: str, style: str = "") -> Text:
    """A text in a style, for a cell or a line."""
    return Text(printable(text), style=style)


def say(line: str = "", *, err: bool = False, style: str = "", nl: bool = True) -> None:
    """Print one line.

    Args:
        err: to standard error.
        style: a colour's name, or empty.
        nl: whether a newline follows.
    """
    shown = printable(line)
    typer.echo(typer.style(shown, fg=style) if style else shown, err=err, nl=nl)


def write_lines(lines: Iterable[str], style: str = "") -> None:
    """Print lines at once.

    Args:
        style: a colour's name, or empty.
    """
    shown = "\n".join(map(printable, lines))
    typer.echo(typer.style(shown, fg=style) if style else shown)


def counted(counts: Mapping[str, int]) -> str:
    """Numbers of things by their plurals, as people say them.

    >>> counted({"chains": 1, "entries": 1, "accounts": 0})
    '1 chain, 1 entry, 0 accounts'
    """
    return ", ".join(
        f"{count} {_one(things) if count == 1 else things}" for things, count in counts.items()
    )


def _one(things: str) -> str:
    return f"{things[:-3]}y" if things.endswith("ies") else things.removesuffix("s")


def print_json(value: Any) -> None:
    """One JSON object on a line of standard output.

    Args:
        value: an iterator in it, as a value of an object or in another iterator's objects, is an
            array that is written as it comes.
    """
    waiting: list[str] = []
    size = 0
    for piece in _pieces(value):
        waiting.append(piece)
        size += len(piece)
        if size > WRITTEN_AT_ONCE:
            typer.echo(printable_json("".join(waiting)), nl=False)
            waiting, size = [], 0
    typer.echo(printable_json("".join(waiting)))


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, Iterator):
        yield "["
        for number, item in enumerate(value):
            if number:
                yield ","
            yield from _pieces(item)
        yield "]"
    elif isinstance(value, dict) and any(isinstance(part, Iterator) for part in value.values()):
        yield "{"
        for number, (key, part) in enumerate(value.items()):
            yield f"{',' * (number > 0)}{_encode(key)}:"
            yield from _pieces(part)
        yield "}"
    else:
        yield _encode(value)


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
