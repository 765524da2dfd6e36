"""What an entry's asker was answered, beside what his own message said, as a typed value.

The database keeps it as JSON under the data elements' numbers of the terminal interface, as the
books have done from the first version on. Source: docs/interfaces/terminal.md, part 4.
"""

from __future__ import annotations

import msgspec

_NUMBERS = {
    "amount": "4",
    "local_time": "12",
    "local_date": "13",
    "settlement_date": "15",
    "rrn": "37",
    "approval_code": "38",
    "currency_code": "49",
    "balance": "54",
    "icc": "55",
    "shown": "59",
    "repayment": "62",
}


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, rename=_NUMBERS):
    """The facts of an answer; what is empty is not said.

    Attributes:
        amount: 12 digits, minor units; see :func:`twelve_digits`.
        local_time, local_date, settlement_date: hhmmss, MMDD, MMDD.
        rrn: 12 digits.
        approval_code: 6 characters.
        currency_code: 3 digits.
        balance: one balance, 20 characters.
        icc: what the issuer answers a chip, as the vault has sealed it, hexadecimal.
        shown: what the asker is shown of an order, as he takes it.
        repayment: what an instalment costs its buyer, 28 digits (``codecs/instalments.py``).
    """

    amount: str = ""
    local_time: str = ""
    local_date: str = ""
    settlement_date: str = ""
    rrn: str = ""
    approval_code: str = ""
    currency_code: str = ""
    balance: str = ""
    icc: str = ""
    shown: str = ""
    repayment: str = ""

    def elements(self) -> dict[int, str]:
        """Data element number → value, of what is said.

        >>> Reply(rrn="632500001234", amount=twelve_digits(5320)).elements()
        {4: '000000005320', 37: '632500001234'}
        """
        return {number: value for number, name in _ELEMENTS if (value := getattr(self, name))}


_ELEMENTS = tuple((int(number), name) for name, number in _NUMBERS.items())
NO_REPLY = Reply()

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Reply).decode


def twelve_digits(amount_minor: int) -> str:
    """An amount as a reply says it."""
    return f"{amount_minor:012d}"


def reply_text(reply: Reply) -> str:
    """A reply as the database keeps it; empty where nothing is said.

    >>> reply_text(Reply(rrn="632500001234"))
    '{"37":"632500001234"}'
    """
    return "" if reply == NO_REPLY else _encode(reply).decode()


def reply_of(text: str) -> Reply:
    """The reply of a stored text.

    Raises:
        msgspec.ValidationError: it is none that this program knows.
    """
    return _decode(text) if text else NO_REPLY
