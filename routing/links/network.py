"""Network management messages of a bank link: 0800 and 0810. Pure.

They carry DE7, 11 and 70, with keys DE48 and 53, in the reply DE39, and no MAC.
Source: docs/interfaces/bank-link.md, "Life of a link" and "Messages"; ISO 8583:1987 (DE70).
"""

from __future__ import annotations

from acquirer.codecs.message import Message

SIGN_ON = "001"
SIGN_OFF = "002"
KEY_EXCHANGE = "101"
CUTOVER = "201"
ECHO = "301"

_ECHOED = (7, 11, 70)


def network_request(code: str, stan: str, transmission_at: str) -> Message:
    """An 0800.

    Args:
        code: DE70, 3 digits.
        stan: DE11, 6 digits.
        transmission_at: DE7, MMDDhhmmss.
    """
    return Message("0800", {7: transmission_at, 11: stan, 70: code})


def network_reply(request: Message, response_code: str) -> Message:
    """The 0810 to an 0800.

    Args:
        request: what the peer sent.
        response_code: DE39.
    """
    fields = {n: request.fields[n] for n in _ECHOED if n in request.fields}
    return Message("0810", {**fields, 39: response_code})
