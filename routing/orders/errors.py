"""What can go wrong with order systems, sorted by who must act.

A system that is down, silent or does not know an order is no error but a value, see
``client.py``; these are raised inside the folder and by its pure parts.
"""

from __future__ import annotations


class OrdersError(Exception):
    """Root of this folder's errors."""


class AnswerError(OrdersError):
    """The order system answered something that its contract does not allow; it must be mended.

    Attributes:
        member: of the answer that is at fault, or ``body`` for all of it.
        got: what was sent there, as it may be shown.
    """

    def __init__(self, reason: str, member: str, got: str = "") -> None:
        super().__init__(reason)
        self.member = member
        self.got = got


class HttpError(OrdersError):
    """The exchange broke: no connection, a connection cut, or bytes that are no HTTP.

    Attributes:
        before_answer: no byte of an answer had come, so a kept connection may just have been
            closed by the other side while it was idle.
    """

    def __init__(self, reason: str, *, before_answer: bool = False) -> None:
        super().__init__(reason)
        self.before_answer = before_answer


class SignatureError(OrdersError):
    """A webhook is not signed by a secret that we know, or too old or too new; refuse it."""


class OrderSettingsError(OrdersError, ValueError):
    """A configured secret or URL cannot be used; the operator must mend it. Never shows it."""
