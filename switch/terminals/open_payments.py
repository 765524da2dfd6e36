"""Order payments that this process has approved and no terminal has confirmed yet. Pure.

It lets the very next reply to a terminal ask for the confirmation (processing demand 2). After a
restart, or where another process took the payment, ``unconfirmed.py`` finds them in the books.
Source: docs/interfaces/terminal.md, part 5, last paragraph.
"""

from __future__ import annotations

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.private_fields import De61
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commands import APPROVED
from acquirer.switch.terminals.commands import text_of
from acquirer.switch.terminals.request import Request

OPEN_MAX = 500
DECIDING = frozenset({Kind.ORDER_CONFIRMATION, Kind.ORDER_CANCELLATION})


class OpenPayments:
    """By terminal: (batch, STAN) of each open payment, with its order number."""

    def __init__(self) -> None:
        self._open: dict[str, dict[tuple[str, str], str]] = {}

    def __contains__(self, terminal_id: str) -> bool:
        """Whether a terminal has any."""
        return terminal_id in self._open

    def asks(self, terminal_id: str, batch: str, stan: str) -> bool:
        """Whether a reply to this request shall ask; a payment's own reply does not."""
        return any(key != (batch, stan) for key in self._open.get(terminal_id, ()))

    def note(self, transaction: str, request: Request, response_code: str) -> None:
        """Take note of an answer: a payment opens, whatever ends it closes."""
        terminal_id = request.terminal.terminal_id
        own = (request.origin.batch, request.origin.stan)
        if transaction == Kind.ORDER_PAYMENT:
            if response_code == APPROVED:
                self._add(terminal_id, own, text_of(request, "ON"))
            return
        mine = self._open.get(terminal_id)
        if not mine:
            return
        if transaction == Kind.REVERSAL and response_code == APPROVED:
            mine.pop(own, None)
        elif transaction in DECIDING:
            mine.pop(_named(request), None)
        elif transaction == Kind.RECEIPT_CONFIRMATION and response_code == APPROVED:
            order_no = text_of(request, "ON")
            for key in [key for key, number in mine.items() if number == order_no]:
                del mine[key]
        if not mine:
            del self._open[terminal_id]

    def _add(self, terminal_id: str, key: tuple[str, str], order_no: str) -> None:
        mine = self._open.setdefault(terminal_id, {})
        mine[key] = order_no
        if len(mine) > OPEN_MAX:
            del mine[next(iter(mine))]


def _named(request: Request) -> tuple[str, str]:
    try:
        original = De61.parse(request.message.get(61))
    except RemoteFormatError:
        return ("", "")
    return original.original_batch, original.original_stan
