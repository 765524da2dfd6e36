"""Building the reply to a terminal: what is echoed, what is added, in which order it is sealed.

Pure but for the MAC, which the session asks of the security module.
Source: terminal interface, part 4 ("the reply's MTI is request + 10; it echoes …").
"""

from __future__ import annotations

from acquirer.codecs.message import Message, reply_mti
from acquirer.switch.clock import Stamp
from acquirer.switch.terminals.request import Answer

ECHOED = (2, 3, 4, 11, 25, 32, 41, 42, 49, 60)
MAC_PLACEHOLDER = "0" * 16


def build_reply(
    request: Message, answer: Answer, stamp: Stamp, *, is_known: bool = True
) -> Message:
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
    return Message(reply_mti(partial[0]), {11: partial[11], 39: "30", 41: partial[41]})
