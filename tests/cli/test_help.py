"""Every command's help has examples, and each example is one that the command itself takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from rich.text import Text
from typer.core import TyperGroup
from typer.main import get_command

from acquirer.cli.main import application

ROOT = get_command(application())


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something by itself, with the words that lead to it."""
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from commands(below, *path, name)
        if not command.invoke_without_command:
            return
    yield " ".join(path), command


def parsed(words: list[str]) -> str:
    """The command that these words lead to, whose own parser takes the rest of them."""
    context = ROOT.make_context("acquirer", words)
    path: list[str] = []
    command: Any = ROOT
    while isinstance(command, TyperGroup) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        assert name is not None
        path.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(path)


@pytest.mark.parametrize(("path", "command"), [pytest.param(*c, id=c[0]) for c in commands(ROOT)])
def test_help_ends_with_examples_that_parse(path: str, command: Any) -> None:
    """The example lines of the epilog lead to this command, and none is left in the text."""
    lines = [line.strip() for line in (command.epilog or "").splitlines()]
    examples = [line[line.index("acquirer ") :] for line in lines if "acquirer " in line]
    assert examples
    for example in examples:
        assert path == parsed(shlex.split(example, comments=True)[1:])
    assert "acquirer " + path not in (command.help or "")


@pytest.mark.parametrize(("path", "command"), [pytest.param(*c, id=c[0]) for c in commands(ROOT)])
def test_help_is_shown_as_it_is_written(path: str, command: Any) -> None:
    """No word of an option's help is taken for markup, and no line is broken but by the screen."""
    for option in command.params:
        written = getattr(option, "help", None) or ""
        assert Text.from_markup(written).plain == written
    for paragraph in f"{command.help}\n\n{command.epilog}".split("\n\n"):
        assert "\n" not in paragraph.strip()
        assert "``" not in paragraph
