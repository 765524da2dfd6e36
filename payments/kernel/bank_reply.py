"""What of a bank's reply goes on: to the terminal, to the merchant, into the journal.

Held, before commit 2, against the dialect in which it will leave: a field that a terminal cannot be
sent, or whose characters it cannot show and print, is left out and logged, and costs no payment.
What the reply says of money is read elsewhere.
Source: docs/interfaces/terminal.md, parts 2 and 4.
"""

from __future__ import annotations

import structlog

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import Balance
from acquirer.routing.outcomes import BankOutcome, Replied

log = structlog.get_logger("acquirer.switch")

_DIALECT = load_dialect("cup_pos")
_BALANCE_CHARACTERS = 20


def fields_of_bank(message: Message) -> dict[int, str]:
    """The fields of a terminal's answer that the bank brings: approval code and one balance."""
    brought = {38: message.get(38), 54: message.get(54)[:_BALANCE_CHARACTERS]}
    fields = {}
    for number, value in brought.items():
        if can_show(number, value):
            fields[number] = value
        elif value.strip():
            log.warning("bank_field_not_shown", field=number, rrn=message.get(37))
    return fields


def approval_code_of_bank(outcome: BankOutcome) -> str:
    """The approval code that :func:`fields_of_bank` gives, or the empty string."""
    code = outcome.message.get(38) if isinstance(outcome, Replied) else ""
    return code if can_show(38, code) else ""


def can_show(number: int, value: str) -> bool:
    """Whether a terminal can be sent a field with this value, and show and print it.

    >>> can_show(38, "A12345"), can_show(38, "Á12345"), can_show(38, "A1234"), can_show(38, " " * 6)
    (True, False, False, False)
    """
    if not (value.strip() and value.isprintable() and _DIALECT.fits(number, value)):
        return False
    if number == 54:
        try:
            Balance.parse(value)
        except RemoteFormatError:
            return False
    return True
