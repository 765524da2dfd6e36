"""Layouts for people: every command has one, and replies come apart as they are made."""

import pytest

from acquirer.hsm_sim.command_layouts import LAYOUTS, reply_fields
from acquirer.hsm_sim.commands import COMMANDS


def test_every_command_has_a_layout() -> None:
    """The console can explain whatever the module carries out."""
    assert sorted(set(COMMANDS) - set(LAYOUTS)) == []


@pytest.mark.parametrize(
    ("command", "fields", "values"),
    [
        ("A0", "U" + "0" * 32 + "1" * 6, ["U" + "0" * 32, "1" * 6]),
        ("A0", "U" + "0" * 32 + "X" + "2" * 32 + "1" * 6,
         ["U" + "0" * 32, "X" + "2" * 32, "1" * 6]),
        ("A6", "S10024" + "A" * 19 + "1" * 6, ["S10024" + "A" * 19, "1" * 6]),
        ("FA", "0" * 16 + "1" * 16, ["0" * 16, "1" * 16]),
        ("HA", "0" * 16 + "1" * 16, ["0" * 16, "1" * 16]),
        ("CA", "04" + "A" * 32 + "48", ["04", "A" * 32, "48"]),
        ("M0", "0004abcd", ["0004abcd"]),
        ("M0", "1" * 16 + "0004abcd", ["1" * 16, "0004abcd"]),
        ("M2", "1" * 32 + "0004abcd", ["1" * 32, "0004abcd"]),
        ("M8", "", []),
        ("A0", "", []),
        ("??", "abc", ["abc"]),
        ("NC", "1" * 16 + "2" * 9 + "x", ["1" * 16, "2" * 9, "x"]),
    ],
)  # fmt: skip
def test_fields(command: str, fields: str, values: list[str]) -> None:
    """Fields of fixed size, keys of any scheme, counted data."""
    assert values == [value for _, value in reply_fields(command, fields)]
