"""An option may stand before or after the subcommand, whichever of both has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from acquirer.cli.main import application
from acquirer.cli.option_order import in_order

ROOT: Any = get_command(application())

ORDERS = {
    "a leaf's before it": ("journal --data shop list --json", "journal list --data shop --json"),
    "before all": ("--data shop journal list", "journal list --data shop"),
    "a group's after it": (
        "terminal sale --tid 1 --amount 1.00 --data shop",
        "terminal --tid 1 --data shop sale --amount 1.00",
    ),
    "with a sign": ("journal --data=shop list", "journal list --data=shop"),
    "a value like a command": ("journal --data list list", "journal list --data list"),
    "of both: the one that is run has it": (
        "links --data shop hold demo",
        "links hold --data shop demo",
    ),
    "in order already": ("links hold demo --data shop", "links hold demo --data shop"),
    "after arguments": (
        "couriers hand-in C1001 --amount -5 --data shop",
        "couriers hand-in C1001 --amount -5 --data shop",
    ),
    "nobody's": ("journal list --nonsense x", "journal list --nonsense x"),
    "not an option": ("decode -- --data", "decode -- --data"),
    "flags take no value": ("serve --check --config f", "serve --check --config f"),
}


@pytest.mark.parametrize(("typed", "meant"), ORDERS.values(), ids=ORDERS)
def test_each_option_goes_to_the_command_that_has_it(typed: str, meant: str) -> None:
    """Words of its own in their order; what nobody has stays."""
    assert meant.split() == in_order(ROOT, typed.split())


def options(command: Any) -> Iterator[tuple[str, bool]]:
    """Every option of a command and of those below it, and whether it is a flag."""
    for parameter in command.params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("-"):
                yield name, bool(getattr(parameter, "is_flag", False))
    for below in getattr(command, "commands", {}).values():
        yield from options(below)


@pytest.mark.parametrize("group", sorted(ROOT.commands))
def test_no_option_is_a_flag_here_and_takes_a_value_there(group: str) -> None:
    """Else it could not be read before the subcommand is known."""
    kinds: dict[str, set[bool]] = {}
    for name, is_flag in options(ROOT.commands[group]):
        kinds.setdefault(name, set()).add(is_flag)
    both = {name for name, found in kinds.items() if len(found) > 1}
    # `lmk load` takes files, of `lmk show-kcv` it is a flag; behind these it is clear.
    assert both <= {"--component"}


def test_it_runs_so() -> None:
    """A wrong folder is found whether the option stands before or after."""
    for words in ("journal --data nowhere list", "journal list --data nowhere"):
        ended = CliRunner().invoke(application("journal"), words.split())
        assert (2, True) == (ended.exit_code, "nowhere is no folder" in ended.output)
