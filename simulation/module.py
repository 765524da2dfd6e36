"""The switch's wire to a security module that refuses, or is not there for a while."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio

from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.payments.kernel.errors import HsmUnavailable
from acquirer.simulation.day import Faults
from acquirer.simulation.trace import Trace

HEADER_LENGTH = 8
DEADLINE_S = 2.0
# Every so many commands others get a turn; each time would cost a tenth of the whole run.
TURNS_EVERY = 3
REFUSALS = ("12", "41", "42")
_HEADER = b"0" * HEADER_LENGTH


def new_module(draw: Random) -> SecurityModule:
    """A module with the published test keys and randomness of the seed."""
    from acquirer.hsm_sim.state import Settings

    settings = Settings(test_lmk=True, header_length=HEADER_LENGTH, pin_format_downgrade=True)
    return SecurityModule.with_test_lmks(settings, draw.randbytes)


def other_module(draw: Random) -> SecurityModule:
    """A module under other local master keys."""
    from acquirer.hsm_sim.state import Settings

    lmk = VariantLmk((*TEST_VARIANT_PAIRS[1:], TEST_VARIANT_PAIRS[0]))
    settings = Settings(header_length=HEADER_LENGTH)
    return SecurityModule({"00": lmk}, settings=settings, random=draw.randbytes)


class SimHsm:
    """Carries commands to one module; fits ``HsmTransport``, and ``Wire`` of several."""

    def __init__(self, execute: Callable[[bytes], bytes], faults: Faults, trace: Trace) -> None:
        self._execute = execute
        self._faults = faults
        self._trace = trace
        self._down_until = 0.0
        self._calls = 0

    async def call(self, command: bytes) -> bytes:
        """One command, or a fault in its place."""
        return await self.call_within(command, DEADLINE_S)

    async def call_within(self, command: bytes, seconds: float) -> bytes:
        """As :meth:`call`; a module that is away costs so much time."""
        faults = self._faults
        self._calls += 1
        if self._calls % TURNS_EVERY == 0:
            await trio.lowlevel.checkpoint()
        if faults.strikes("hsm_down"):
            self._down_until = trio.current_time() + faults.between("hsm_down", 0.0, 6.0)
            self._trace.note("module", "goes away")
        if trio.current_time() < self._down_until and faults.rates:
            await trio.sleep(seconds)
            raise HsmUnavailable("simulated")
        if faults.strikes("hsm_refuses"):
            code = faults.choice("hsm_refuses", REFUSALS)
            name = command[:2].decode("ascii")
            self._trace.note("module", f"refuses {name} with {code}")
            return f"{name[0]}{chr(ord(name[1]) + 1)}{code}".encode("ascii")
        return self._execute(_HEADER + command)[HEADER_LENGTH:]

    def close(self) -> None:
        """Nothing to release."""
