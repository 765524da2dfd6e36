"""Network management on one link, of both sides: questions, answers, and key exchange.

It changes keys but no states: what follows for the link's life says its caller, ``link.py``.
Source: docs/interfaces/bank-link.md, "Life of a link".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
import trio

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.message import Message
from acquirer.routing.links import network
from acquirer.routing.links.link_keys import ImportedKeys, KeysRefused, LinkKeys
from acquirer.routing.links.link_states import LinkEvent
from acquirer.routing.links.link_traffic import LinkTraffic
from acquirer.routing.outcomes import LinkCounters, Replied
from acquirer.routing.settings import BankSettings

_log = structlog.get_logger("acquirer.routing")


class LinkNetwork:
    """What both ends of a link say about the link itself.

    Args:
        settings: of the link.
        dialect: encodes.
        traffic: carries.
        keys: the zone keys, None without zone security.
        wall: the wall clock, in UTC, for DE7.
        counters: the link's.
        names: bank and link, for the log.

    Attributes:
        has_fresh_keys: whether both zone keys came on this connection.
    """

    def __init__(
        self,
        settings: BankSettings,
        dialect: Dialect,
        traffic: LinkTraffic,
        keys: LinkKeys | None,
        *,
        wall: Callable[[], datetime],
        counters: LinkCounters,
        names: dict[str, str],
    ) -> None:
        self.has_fresh_keys = False
        self._settings = settings
        self._dialect = dialect
        self._traffic = traffic
        self._keys = keys
        self._wall = wall
        self._counters = counters
        self._names = names
        self._stan = 0

    async def ask(self, code: str) -> Message | None:
        """Ask the peer something; None where it does not answer in time.

        Args:
            code: DE70.
        """
        message, frame = self.frame(code)
        deadline = trio.current_time() + self._settings.timeout_s
        outcome = await self._traffic.exchange(message, frame, deadline)
        return outcome.message if isinstance(outcome, Replied) else None

    def frame(self, code: str) -> tuple[Message, bytes]:
        """A question, and how it goes out."""
        self._stan = self._stan % 999_999 + 1
        at = self._wall().strftime("%m%d%H%M%S")
        message = network.network_request(code, f"{self._stan:06d}", at)
        return message, self._traffic.frame(self._dialect.encode(message))

    def reply(self, envelope: bytes, message: Message, response_code: str) -> None:
        """Answer what the peer asked."""
        raw = self._dialect.encode(network.network_reply(message, response_code))
        self._traffic.answer(self._traffic.frame(raw, self._dialect.reply_envelope(envelope)))

    async def request_keys(self) -> LinkEvent:
        """Ask for keys; what came of it."""
        reply = await self.ask(network.KEY_EXCHANGE)
        if reply is None:
            return LinkEvent.SILENT
        if reply.get(39) != "00":
            return LinkEvent.REFUSED
        if not reply.get(48):
            return LinkEvent.KEYS_PROMISED
        refused = await self.take_over(reply)
        if refused is not None:
            return LinkEvent.REFUSED
        return LinkEvent.KEYS_INSTALLED if self.has_fresh_keys else LinkEvent.KEYS_PROMISED

    async def take_over(
        self, message: Message, answer_in: bytes | None = None
    ) -> KeysRefused | None:
        """Use the keys that a message brings; answer it where it is the peer's own request."""
        assert self._keys is not None
        keys = await self._keys.take_over(message)
        code = keys.response_code if isinstance(keys, KeysRefused) else "00"
        if answer_in is not None:
            self.reply(answer_in, message, code)
        if isinstance(keys, KeysRefused):
            self._counters.key_errors += 1
            _log.error("link_keys_refused", **self._names, response_code=code)
            return keys
        # In the same step as the answer: what follows it on the wire is under the new keys.
        self._install(self._keys, keys)
        return None

    def _install(self, link_keys: LinkKeys, keys: ImportedKeys) -> None:
        soon = trio.current_time() + self._settings.timeout_s
        link_keys.install(keys, max(self._traffic.latest_deadline(), soon))
        self.has_fresh_keys = link_keys.complete
        self._counters.key_changes += 1
        _log.info("link_keys", **self._names)
