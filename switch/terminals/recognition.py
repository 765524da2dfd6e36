"""What a terminal's message is: the row of the table, and whether its fields are there.

Pure: no key, no book, no terminal is asked yet. All refusals are format errors (30).
Source: docs/interfaces/terminal.md, parts 2 to 4.
"""

from __future__ import annotations

import re

from acquirer.codecs import bertlv
from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.codecs.response_codes import is_code
from acquirer.switch.terminals.commands import CODE_TAG, LINES_TAG, MORE_TAGS, PART_TAG
from acquirer.switch.terminals.table import Transaction, find_transaction

NO_ITEMS = De59()
CURRENCY = re.compile("[0-9]{3}")
NAMING_TAGS = frozenset({"ON", CODE_TAG, LINES_TAG, PART_TAG, *MORE_TAGS})
# MTI classes (second digit) that mean nothing without DE3.
KEYED_BY_PROCESSING_CODE = "124"


def identify(message: Message) -> tuple[Transaction | None, De60]:
    """The table's row, with the fields that it needs.

    Raises:
        RemoteFormatError: it is no request, DE60, terminal or merchant is missing, or a needed
            field is, the currency is none, or the reason of a reversal.
    """
    try:
        if int(message.mti[2]) % 2:
            raise RemoteFormatError("this is the MTI of a response", field="t")
        de60 = De60.parse(message.need(60))
        message.need(41)
        message.need(42)
        if message.mti[1] in KEYED_BY_PROCESSING_CODE:
            message.need(3)
        transaction = find_transaction(message, de60)
        for number in transaction.needs if transaction else ():
            message.need(number)
        if (currency := message.get(49)) and not CURRENCY.fullmatch(currency):
            raise RemoteFormatError("a currency is three digits (ISO 4217)", field="49")
        if message.mti[1] == "4" and (reason := message.get(39).strip()) and not is_code(reason):
            raise RemoteFormatError("a reason is two letters or digits", field="39")
        items_of(message)
        if message.get(55):
            bertlv.parse(message.binary(55))
    except RemoteFormatError as error:
        error.readable = {0: message.mti, **message.fields}
        raise
    return transaction, de60


def items_of(message: Message) -> De59:
    """DE59, empty where there is none.

    Raises:
        RemoteFormatError: it does not parse.
    """
    return De59.parse(message.binary(59)) if message.get(59) else NO_ITEMS


def named_by_items(message: Message) -> str:
    """The order that a message is about, with what it sells or those that a swipe pays beside.

    Or the code that pays. Hexadecimal; empty where it is about none.
    """
    numbers = [value for tag, value in items_of(message).items if tag in NAMING_TAGS]
    return b"\0".join(numbers).hex()
