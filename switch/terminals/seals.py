"""MACs of terminals' messages: which keys a request bears, and the MAC of its reply. A trio shell.

The module computes them; what a request without the right one gets is ``session.py``'s to say.
Source: docs/interfaces/terminal.md, part 3.
"""

from __future__ import annotations

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.ksn import Ksn
from acquirer.codecs.message import Message
from acquirer.switch.context import Context
from acquirer.switch.terminals.terminals import Keys, Terminal, promoted


class Seals:
    """The MACs of one dialect."""

    def __init__(self, context: Context, dialect: Dialect) -> None:
        self._context = context
        self._dialect = dialect

    async def keys_of(
        self, message: Message, terminal: Terminal, now_ms: int, ksn: Ksn | None = None
    ) -> Keys | None:
        """The keys under which a message's MAC is right, or None; any that waited count now.

        Args:
            now_ms: when it came.
            ksn: where keys are derived.

        Raises:
            HsmUnavailable, HsmRefused, BookError: it cannot be said.
        """
        if ksn is not None:
            return await self._derived(message, terminal, ksn)
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

    async def _derived(self, message: Message, terminal: Terminal, ksn: Ksn) -> Keys | None:
        """The derived keys of a message, if its serial number is this terminal's own."""
        if not terminal.is_signed_on:
            await self._context.terminals.refresh(terminal)
        is_own = ksn.initial == terminal.settings.ksn.upper() and ksn.counter
        if not (terminal.is_signed_on and is_own and message.get(64)):
            return None
        data, mac = self._dialect.mac_input(message.raw), message.binary(64)
        profile = terminal.profile
        is_right = await self._context.hsm.derived_mac_ok(profile, ksn.digits, data, mac)
        return Keys(profile.bdk, profile.bdk, ksn=ksn) if is_right else None

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
        if keys.ksn is not None:
            mac = await self._context.hsm.derived_mac(terminal.profile, keys.ksn.digits, data)
        else:
            mac = await self._context.hsm.mac(terminal.profile.mac, keys.tak, data)
        return self._dialect.with_mac(raw, mac)
