"""Transactions over one link: sealed with a MAC, sent, and their replies checked before they count.

It knows no states and no network management: whether the link is up says its owner, ``link.py``.
Source: docs/interfaces/bank-link.md, "Life of a link" (MACs) and "Messages" (echoed fields).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import LocalFormatError
from acquirer.codecs.message import Message
from acquirer.routing.banks.messages import echoes
from acquirer.routing.errors import SecurityUnavailableError
from acquirer.routing.links.link_drops import LinkDrops
from acquirer.routing.links.link_keys import LinkKeys
from acquirer.routing.links.link_traffic import LinkTraffic
from acquirer.routing.outcomes import BankOutcome, LinkCounters, NoReply, NotSent, Replied

_BAD_MACS_MAX = 3
_LINK_DOWN = NotSent("link down")
_EXPIRED = NotSent("expired")

_log = structlog.get_logger("acquirer.routing")


class LinkRequests:
    """The requests of one link, over one connection after another.

    Args:
        dialect: encodes.
        traffic: carries.
        keys: the zone keys, None without zone security.
        counters: the link's.
        names: bank and link, for the log.
        drops: tells of replies that do not count.
        is_up: whether transactions can go out now.
        on_doubted_keys: called where MAC after MAC of a connection is wrong.
    """

    def __init__(
        self,
        dialect: Dialect,
        traffic: LinkTraffic,
        keys: LinkKeys | None,
        *,
        counters: LinkCounters,
        names: dict[str, str],
        drops: LinkDrops,
        is_up: Callable[[], bool],
        on_doubted_keys: Callable[[], None],
    ) -> None:
        self._dialect = dialect
        self._traffic = traffic
        self._keys = keys
        self._counters = counters
        self._names = names
        self._drops = drops
        self._is_up = is_up
        self._on_doubted_keys = on_doubted_keys
        self._session_number = 0
        self._bad_macs = 0

    def begin(self) -> None:
        """A new connection: what was sealed for the one before does not go out on it."""
        self._session_number += 1
        self._bad_macs = 0

    async def exchange(self, message: Message, deadline: float) -> BankOutcome:
        """Send a request and wait for its reply; see :meth:`BankLink.exchange`."""
        if not self._is_up():
            return _LINK_DOWN
        session = self._session_number
        try:
            if self._keys is None:
                raw = self._dialect.encode(message)
            else:
                raw = await self._keys.seal(message)
                if session != self._session_number or not self._is_up():
                    return _LINK_DOWN
            frame = self._traffic.frame(raw)
        except LocalFormatError as error:
            _log.error("bank_format", **self._names, field=error.field)
            return NotSent("format")
        except SecurityUnavailableError:
            return NotSent("security")
        if trio.current_time() >= deadline:
            return _EXPIRED
        outcome = await self._traffic.exchange(message, frame, deadline)
        if self._keys is not None:
            outcome = await self._checked(self._keys, outcome, message, deadline)
        if isinstance(outcome, Replied) and not echoes(message, outcome.message):
            self._counters.mismatched += 1
            _log.error("bank_reply_differs", **self._names, rrn=message.get(37))
            return NoReply("mismatch")
        return outcome

    async def is_genuine(self, message: Message) -> bool:
        """Whether a reply that nobody waits for is the peer's; a MAC that is wrong is counted."""
        if self._keys is None:
            return True
        try:
            is_genuine = await self._keys.is_genuine(message, trio.current_time())
        except SecurityUnavailableError:
            self._drops.tell("link_message_dropped", message, reason="its MAC cannot be checked")
            return False
        if not is_genuine:
            self._mac_is_wrong(message)
        return is_genuine

    async def _checked(
        self, keys: LinkKeys, outcome: BankOutcome, message: Message, deadline: float
    ) -> BankOutcome:
        """The outcome if its MAC is right; a reply with a bad MAC counts as none."""
        session = self._session_number
        is_forged = False
        while isinstance(outcome, Replied):
            try:
                if await keys.is_genuine(outcome.message, trio.current_time()):
                    self._bad_macs = 0
                    return outcome
            except SecurityUnavailableError:
                return NoReply("security")
            self._mac_is_wrong(outcome.message)
            self._doubt_keys(session)
            is_forged = True
            if session != self._session_number or trio.current_time() >= deadline:
                break
            again = await self._traffic.wait_again(message, deadline)
            if again is None:
                break
            outcome = again
        return NoReply("bad mac") if is_forged else outcome

    def _mac_is_wrong(self, message: Message) -> None:
        self._counters.mac_errors += 1
        self._drops.tell("link_message_dropped", message, reason="its MAC is wrong")

    def _doubt_keys(self, session: int) -> None:
        """Connect anew, and so change keys, where no MAC is right any more."""
        self._bad_macs += 1
        is_this_one = session == self._session_number and self._is_up()
        if self._bad_macs >= _BAD_MACS_MAX and is_this_one:
            _log.warning("link_keys_doubted", **self._names, bad_macs=self._bad_macs)
            self._on_doubted_keys()
