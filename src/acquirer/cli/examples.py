"""Examples of commands: written in the command's docstring, shown at the end of its help.

A paragraph that begins with ``Example`` or with the program's name is one. Tests parse them all.
The lines of a paragraph are joined, since the screen breaks them where it needs to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer
from typer.models import CommandInfo, TyperInfo

PROGRAM = "acquirer "


def show_examples_last(app: typer.Typer) -> None:
    """Move the examples of all commands of an application behind their options."""
    for command in app.registered_commands:
        _move(command, command.callback)
    if app.registered_callback is not None:
        _move(app.registered_callback, app.registered_callback.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            show_examples_last(group.typer_instance)


def _move(info: CommandInfo | TyperInfo, callback: Callable[..., Any] | None) -> None:
    text = (inspect.getdoc(callback) or "").replace("``", "`")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    examples = [one for one in paragraphs if one.startswith(("Example", PROGRAM))]
    if examples:
        info.help = "\n\n".join(one for one in paragraphs if one not in examples)
        info.epilog = "\n\n".join(examples)
