"""MACs of terminals' messages: which keys a request bears, and the MAC of its reply. A trio shell.

The module computes them; what a request without the right one gets is ``session.py``'s to say.
Source: docs/interfaces/terminal.md, part 3.
"""

from __future__ import annotations

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.message import Message
from acquirer.switch.context import Context
from acquirer.switch.terminals.terminals import Keys, Terminal, promoted


class Seals:
    """The MACs of one dialect."""

    def __init__(self, context: Context, dialect: Dialect) -> None:
        self._context = context
        self._dialect = dialect

    async def keys_of(self, message: Message, terminal: Terminal, now_ms: int) -> Keys | None:
        """The keys under which a message's MAC is right, or None; any that waited count now.

        Args:
            now_ms: when it came.

        Raises:
            HsmUnavailable, HsmRefused, BookError: it cannot be said.
        """
        tried = terminal.row
        keys = await self._matching(message, terminal)
        if keys is None:
            await self._context.terminals.refresh(terminal)
            # Not "whether that has changed it": another task may have read the newer row before.
            if terminal.row.key_version != tried.key_version:
                keys = await self._matching(message, terminal)
        if keys is not None and terminal.awaits(keys):
            await self._context.terminals.save(terminal, promoted(terminal.row, keys, now_ms))
        return keys

    async def _matching(self, message: Message, terminal: Terminal) -> Keys | None:
        if not message.get(64):
            return None
        data, mac = self._dialect.mac_input(message.raw), message.binary(64)
        for keys in terminal.key_generations():
            if await self._context.hsm.mac_ok(terminal.profile.mac, keys.tak, data, mac):
                return keys
        return None

    async def seal(self, raw: bytes, terminal: Terminal, keys: Keys) -> bytes:
        """A reply with its MAC in the place that was left for it.

        Raises:
            HsmUnavailable, HsmRefused: it has none.
        """
        data = self._dialect.mac_input(raw)
        mac = await self._context.hsm.mac(terminal.profile.mac, keys.tak, data)
        return self._dialect.with_mac(raw, mac)
