"""What of a bank's reply a terminal is shown."""

from __future__ import annotations

import pytest

from acquirer.codecs.message import Message
from acquirer.switch.transactions.steps import fields_of_bank

BALANCE = "1002156C000000001250"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({38: "A12345", 54: BALANCE + BALANCE}, {38: "A12345", 54: BALANCE}),
        ({38: "      ", 54: "short"}, {}),
        ({38: "\0" * 6, 54: "\x1b" + BALANCE}, {}),
    ],
)
def test_only_what_a_terminal_can_read(fields: dict[int, str], shown: dict[int, str]) -> None:
    """One balance, a whole approval code; nothing that is short or holds control characters."""
    assert shown == fields_of_bank(Message("0210", fields))
