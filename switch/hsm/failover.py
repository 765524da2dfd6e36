"""Several security modules as one: each command goes to the first in order that is up.

A command that a module does not answer goes to the next, all within one deadline. Such a module is
left out until it answers NC, which every module is asked every few seconds, and at once when it is
doubted; where none is up, all are tried. A module under another local master key than the first one
that is known is never used: keys would not open there. No command changes anything in a module, so
that one carried out twice does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog
import trio

from acquirer.switch.errors import HsmUnavailable

log = structlog.get_logger("acquirer.hsm")

ModuleState = Literal["up", "down", "other_lmk"]

_HEALTHY = b"ND00"
_LMK_DIGITS = slice(4, 10)


class Wire(Protocol):
    """Carries commands to one module; ``TcpTransport``."""

    async def call_within(self, command: bytes, seconds: float) -> bytes:
        """The reply to a command; HsmUnavailable where none comes in so many seconds."""
        ...

    def close(self) -> None:
        """Release sockets."""
        ...


@dataclass(frozen=True, slots=True)
class ModuleStatus:
    """A module at this moment.

    Attributes:
        module: its address.
        state: whether it is used.
        unanswered: commands that it did not answer, health checks apart.
    """

    module: str
    state: ModuleState
    unanswered: int


class _Module:
    __slots__ = ("address", "doubted", "fault", "lmk", "state", "unanswered", "wire")

    def __init__(self, address: str, wire: Wire) -> None:
        self.address = address
        self.wire = wire
        self.state: ModuleState = "up"
        self.fault = ""
        self.lmk = b""
        self.unanswered = 0
        self.doubted = trio.Event()


class FailoverTransport:
    """An ``HsmTransport`` over several modules; :meth:`run` must run beside the calls.

    Args:
        wires: by address, in order of preference; at least one. Closed by :meth:`close`.
        deadline_s: of a command, over all modules; each takes its share of what is left, so that
            one that hangs leaves time to the others.
        check_every_s: pause between two health checks of a module.
    """

    def __init__(
        self, wires: Mapping[str, Wire], *, deadline_s: float, check_every_s: float
    ) -> None:
        self._modules = [_Module(address, wire) for address, wire in wires.items()]
        self._order = list(self._modules)
        self._deadline_s = deadline_s
        self._check_every_s = check_every_s

    async def call(self, command: bytes) -> bytes:
        """Send to the first module that is up, and where it does not answer to the next.

        Raises:
            HsmUnavailable: none answered before the deadline.
        """
        order = self._order
        ends = trio.current_time() + self._deadline_s
        reason = ""
        for before, module in enumerate(order):
            left_s = max(0.0, ends - trio.current_time())
            try:
                reply = await module.wire.call_within(command, left_s / (len(order) - before))
            except HsmUnavailable as error:
                reason = str(error)
                module.unanswered += 1
                if not module.fault:
                    self._judge(module, reason)
                    module.doubted.set()
            else:
                if module.fault:
                    self._judge(module, "")
                return reply
        raise HsmUnavailable(reason)

    async def run(self) -> None:
        """Check every module's health until cancelled."""
        async with trio.open_nursery() as nursery:
            for module in self._modules:
                nursery.start_soon(self._watch, module)

    def states(self) -> tuple[ModuleStatus, ...]:
        """Every module as it is now, in order of preference."""
        return tuple(ModuleStatus(m.address, m.state, m.unanswered) for m in self._modules)

    def close(self) -> None:
        """Close the connections to all modules."""
        for module in self._modules:
            module.wire.close()

    async def _watch(self, module: _Module) -> None:
        while True:
            module.doubted = trio.Event()
            await self._check(module)
            with trio.move_on_after(self._check_every_s):
                await module.doubted.wait()

    async def _check(self, module: _Module) -> None:
        try:
            reply = await module.wire.call_within(b"NC", self._deadline_s)
        except HsmUnavailable as error:
            self._judge(module, str(error))
            return
        if reply.startswith(_HEALTHY):
            module.lmk = reply[_LMK_DIGITS]
            self._judge(module, "")
        else:
            self._judge(module, f"NC was answered {reply[2:4]!r}")

    def _judge(self, module: _Module, fault: str) -> None:
        """Note what is wrong with a module, or nothing, and see which ones can be used."""
        module.fault = fault
        known = next((one.lmk for one in self._modules if one.lmk), b"")
        usable = [one for one in self._modules if one.lmk in (b"", known)]
        self._order = [one for one in usable if not one.fault] or usable
        for one in self._modules:
            state: ModuleState = "down" if one.fault else "up" if one in usable else "other_lmk"
            if state != one.state:
                one.state = state
                tell = log.info if state == "up" else log.error
                tell("hsm_module", module=one.address, state=state, reason=one.fault)
