"""Nothing that comes over a link is dropped without a reason: one log line says what, and why.

What a broken message holds is shown with care: behind a card number or a track whose length may
lie, any field can hold a part of it, so that only the MTI and the STAN are shown then.
"""

from __future__ import annotations

import structlog
import trio

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.config.log_limit import LogLimit

_CARD_FIELDS = frozenset({2, 34, 35, 36, 45})
_log = structlog.get_logger("acquirer.routing")


class LinkDrops:
    """The log of what one link drops; at most ten lines a second, with a count of the rest.

    Args:
        names: bank and link.
    """

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._limit = LogLimit()

    def tell(self, event: str, message: Message, **facts: object) -> None:
        """One line about a message.

        Args:
            event: what became of it.
            facts: what more there is to say, such as ``reason``.
        """
        left_out = self._limit.take(trio.current_time())
        if left_out is not None:
            _log.warning(
                event,
                **self._names,
                mti=message.mti,
                stan=message.get(11),
                rrn=message.get(37),
                **facts,
                left_out=left_out,
            )


def place_of(error: RemoteFormatError) -> dict[str, object]:
    """Where a fault is and what is wrong there, as facts for the log."""
    return {"field": error.field, "offset": error.offset, "reason": error.text}


def shown_of(dialect: Dialect, raw: bytes, error: RemoteFormatError) -> Message:
    """What may be shown of a message that cannot be understood.

    Args:
        raw: MTI to last field, or empty where not even that is certain.
        error: why, with what is readable.
    """
    readable = error.readable or error.partial
    mti, fields = readable.get(0, ""), {n: value for n, value in readable.items() if n}
    present = dialect.bitmap.numbers(raw)
    if present & _CARD_FIELDS:
        fields = {n: value for n, value in fields.items() if n == 11}
    return Message(mti, fields)
