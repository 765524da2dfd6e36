"""The key serial number that a DUKPT terminal sends in DE62, before what the row itself has there.

Source: docs/interfaces/terminal.md, part 3, "Derived keys".
"""

from __future__ import annotations

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.ksn import BYTES_OF_SCHEME, Ksn
from acquirer.codecs.message import Message
from acquirer.switch.terminals.table import Transaction
from acquirer.switch.terminals.terminals import Terminal

PRIVATE, CONDITION = 62, 25
INSTALMENT = "64"


def with_ksn(
    message: Message, transaction: Transaction | None, terminal: Terminal
) -> tuple[Message, Ksn | None]:
    """The serial number of a message that bears a MAC, and the message with its own DE62 only.

    None where its terminal's keys are not derived.

    Raises:
        RemoteFormatError: there is none, or more than it where the row has no DE62.
    """
    scheme = terminal.profile.key_scheme
    if scheme == "tmk":
        return message, None
    size = 2 * BYTES_OF_SCHEME[scheme]
    digits = message.get(PRIVATE)
    if len(digits) < size:
        raise RemoteFormatError("the key serial number is missing", field=str(PRIVATE))
    own = digits[size:]
    has_own = message.get(CONDITION) == INSTALMENT or (
        transaction is not None and PRIVATE in transaction.needs
    )
    if own and not has_own:
        raise RemoteFormatError("more than a key serial number", field=str(PRIVATE))
    fields = {**message.fields, PRIVATE: own}
    if not own:
        del fields[PRIVATE]
    return Message(message.mti, fields, message.raw), Ksn.of(digits[:size])
