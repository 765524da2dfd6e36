"""Building the reply to a terminal: what is echoed, what is added, in which order it is sealed.

Pure but for the MAC, which the session asks of the security module.
Source: docs/interfaces/terminal.md, part 4 ("the reply's MTI is request + 10; it echoes …").
"""

from __future__ import annotations

import structlog

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import LocalFormatError
from acquirer.codecs.message import Message, reply_mti
from acquirer.codecs.response_codes import ResponseCode
from acquirer.payments.kernel.calendar import Stamp
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.payments.kernel.vault import CardVault
from acquirer.switch.terminals.request import Told

log = structlog.get_logger("acquirer.switch")

_DIALECT = load_dialect("cup_pos")
_NEEDED = frozenset({11, 39, 41, 64})
ICC = 55
ECHOED = (2, 3, 4, 11, 25, 32, 41, 42, 49, 60)
MAC_PLACEHOLDER = "0" * 16


def build_reply(request: Message, answer: Told, stamp: Stamp, *, is_known: bool = True) -> Message:
    """The reply without its MAC.

    Args:
        request: whose fields are echoed.
        is_known: whether the terminal has a key; to a stranger no card number goes back.
        answer: whose own fields win.
        stamp: time and date of an answer that brings none, such as a refusal before any check.
    """
    fields = {n: request.fields[n] for n in ECHOED if n in request.fields}
    if not is_known:
        fields.pop(2, None)
    fields[12], fields[13] = stamp.local_time, stamp.local_date
    fields.update(answer.fields)
    if answer.response_code:
        fields[39] = answer.response_code
    return Message(reply_mti(request.mti), fields)


def with_icc_open(answer: Told, vault: CardVault) -> Told:
    """What the issuer answers a chip, as the terminal takes it; left out where it is broken."""
    fields = dict(answer.fields)
    sealed, rrn = fields.pop(ICC), fields.get(37, "")
    try:
        fields[ICC] = vault.open_icc(sealed, rrn).hex().upper()
    except CardUnreadable as error:
        log.error("card_unreadable", rrn=rrn, reason=str(error))
    return Told(answer.response_code, fields, answer.demand)


def write_reply(reply: Message) -> bytes:
    """The bytes of a reply; a field that does not fit is left out and logged.

    What a transaction answers is held against the dialect before it is stored; an answer that was
    stored before must come again, too.

    Raises:
        LocalFormatError: a field that every reply needs does not fit.
    """
    while True:
        try:
            return _DIALECT.encode(reply)
        except LocalFormatError as error:
            number = int(error.field) if error.field.isdigit() else 0
            if number in _NEEDED or number not in reply.fields:
                raise
            log.error("reply_field_left_out", field=number, rrn=reply.get(37))
            del reply.fields[number]


def build_format_error(partial: dict[int, str]) -> Message | None:
    """The answer 30 to a message that did not decode, where MTI, DE11 and DE41 were read.

    Args:
        partial: fields read, the MTI under key 0.

    Returns:
        The reply, or None where it cannot be addressed and the connection must be closed.
    """
    if not (partial.get(0, "").isdigit() and partial.get(11) and partial.get(41)):
        return None
    if int(partial[0][2]) % 2:
        return None
    return Message(
        reply_mti(partial[0]), {11: partial[11], 39: ResponseCode.FORMAT_ERROR, 41: partial[41]}
    )
