"""Several security modules as one: each command goes to the first in order that is up.

A command that a module does not answer goes to the next, all within one deadline. Such a module is
left out until it answers NC, which every module is asked every few seconds, and at once when it is
doubted; where none is up, all are tried. The right local master key is the one under which the
books' data key opens: a module is used once it has opened it (:class:`Proof`), and must do so
again after it was away, when its check value changes, and when it refuses a command as a module
under another key would. One that fits is never given up for what another one says. No command
changes anything in a module, so that one carried out twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog
import trio

from acquirer.payments.kernel.errors import PIN_BLOCK_CODES, HsmOtherLmk, HsmUnavailable

log = structlog.get_logger("acquirer.hsm")

ModuleState = Literal["up", "down", "other_lmk"]

_HEALTHY = b"ND00"
_LMK_DIGITS = slice(4, 10)
# Verification failed, or what a terminal sent does not open: the module is as it was.
_ORDINARY = frozenset({b"00", b"01", *(code.encode() for code in PIN_BLOCK_CODES)})


@dataclass(frozen=True, slots=True)
class Proof:
    """How a module shows that it is under the right local master key.

    Attributes:
        command: has it open the data key.
        holds: whether the reply to that has opened it.
    """

    command: bytes
    holds: Callable[[bytes], bool]


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
    __slots__ = (
        "address",
        "doubted",
        "fault",
        "fits",
        "lmk",
        "proofs",
        "state",
        "unanswered",
        "wire",
    )

    def __init__(self, address: str, wire: Wire) -> None:
        self.address = address
        self.wire = wire
        self.state: ModuleState = "up"
        self.fault = ""
        self.fits: bool | None = None
        self.lmk = b""
        self.proofs = 0
        self.unanswered = 0
        self.doubted = trio.Event()


class FailoverTransport:
    """An ``HsmTransport`` over several modules; :meth:`run` must run beside the calls.

    Args:
        wires: by address, in order of preference; at least one. Closed by :meth:`close`.
        proof: what each must open before it is used.
        deadline_s: of a command, over all modules; each takes its share of what is left, so that
            one that hangs leaves time to the others.
        check_every_s: pause between two health checks of a module.
    """

    def __init__(
        self,
        wires: Mapping[str, Wire],
        proof: Proof,
        *,
        deadline_s: float,
        check_every_s: float,
    ) -> None:
        self._modules = [_Module(address, wire) for address, wire in wires.items()]
        self._order = list(self._modules)
        self._proof = proof
        self._deadline_s = deadline_s
        self._check_every_s = check_every_s

    async def call(self, command: bytes) -> bytes:
        """Send to the first module that is up, and where it does not answer to the next.

        Raises:
            HsmOtherLmk: those that answer are all under another local master key.
            HsmUnavailable: none answered before the deadline.
        """
        order = self._order
        ends = trio.current_time() + self._deadline_s
        reason = ""
        for before, module in enumerate(order):
            share_s = max(0.0, ends - trio.current_time()) / (len(order) - before)
            try:
                return await self._ask(module, command, share_s)
            except HsmOtherLmk:
                continue
            except HsmUnavailable as error:
                reason = str(error)
                module.unanswered += 1
                if not module.fault:
                    self._judge(module, reason)
                    module.doubted.set()
        if reason:
            raise HsmUnavailable(reason)
        raise HsmOtherLmk("the data key opens in no security module that answers")

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

    async def _ask(self, module: _Module, command: bytes, seconds: float) -> bytes:
        """The reply of a module that fits, all within so many seconds."""
        ends = trio.current_time() + seconds
        if not module.fits:
            await self._prove(module, seconds)
        proofs = module.proofs
        reply = await module.wire.call_within(command, max(0.0, ends - trio.current_time()))
        if reply[2:4] not in _ORDINARY and module.proofs == proofs:
            await self._prove(module, max(0.0, ends - trio.current_time()))
        return reply

    async def _prove(self, module: _Module, seconds: float) -> None:
        """Have a module open the data key.

        Raises:
            HsmOtherLmk: it does not.
            HsmUnavailable: it does not answer.
        """
        reply = await module.wire.call_within(self._proof.command, seconds)
        module.proofs += 1
        module.fits = self._proof.holds(reply)
        self._judge(module, "")
        if not module.fits:
            raise HsmOtherLmk(f"the data key does not open in {module.address}")

    async def _watch(self, module: _Module) -> None:
        while True:
            module.doubted = trio.Event()
            try:
                await self._check(module)
            except HsmOtherLmk:
                pass
            except HsmUnavailable as error:
                self._judge(module, str(error))
            with trio.move_on_after(self._check_every_s):
                await module.doubted.wait()

    async def _check(self, module: _Module) -> None:
        reply = await module.wire.call_within(b"NC", self._deadline_s)
        if not reply.startswith(_HEALTHY):
            self._judge(module, f"NC was answered {reply[2:4]!r}")
        elif not module.fits or module.lmk != reply[_LMK_DIGITS]:
            await self._prove(module, self._deadline_s)
            module.lmk = reply[_LMK_DIGITS]

    def _judge(self, module: _Module, fault: str) -> None:
        """Note what is wrong with a module, or nothing, and see which ones can be used."""
        module.fault = fault
        if fault:
            # It may come back as another one.
            module.fits = None
        fitting = [one for one in self._modules if one.fits is not False]
        self._order = [one for one in fitting if not one.fault] or fitting
        state: ModuleState = "down" if fault else "other_lmk" if module.fits is False else "up"
        if state != module.state:
            module.state = state
            reason = fault or ("the data key does not open there" if state == "other_lmk" else "")
            tell = log.info if state == "up" else log.error
            tell("hsm_module", module=module.address, state=state, reason=reason)
