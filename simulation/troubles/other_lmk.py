"""Two security modules, each of which goes away at times and comes back under another LMK.

As long as one of them fits, no terminal is told that security processing failed; where none does,
the switch must not say that it is ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import trio

from acquirer.codecs.message import Message
from acquirer.payments.kernel.errors import HsmUnavailable
from acquirer.simulation.module import SimHsm, other_module
from acquirer.simulation.troubles.base import Trouble
from acquirer.switch.hsm.failover import FailoverTransport
from acquirer.switch.hsm.modules import data_key_proof
from acquirer.switch.hsm.transport import HsmTransport

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "other_lmk"
# Faults of the module itself, by which a terminal may be told A7.
EXPLAIN = frozenset({"hsm_refuses", "hsm_down"})
LOOK_S = 1.0
HEALTH_CHECK = b"NC"
# What is under way when a module changes may still reach it.
ASKED_OTHER_MAX = 20
State = Literal["right", "gone", "other"]


class _Module(SimHsm):
    """A wire to one of them."""

    def __init__(self, trouble: OtherLmk, place: int) -> None:
        world = trouble.world
        super().__init__(world.module.execute, world.faults, world.trace)
        self._trouble = trouble
        self._place = place

    async def call_within(self, command: bytes, seconds: float) -> bytes:
        """One command, to what is there now."""
        state = self._trouble.states[self._place]
        if state == "gone":
            await trio.sleep(seconds)
            raise HsmUnavailable("simulated")
        if state == "other":
            self._execute = self._trouble.other.execute
            self._trouble.asked_other(self._place, command)
        else:
            self._execute = self._trouble.world.module.execute
        return await super().call_within(command, seconds)


class OtherLmk(Trouble):
    """The modules of such a day.

    Attributes:
        states: of the one that is preferred and of the one that stands by.
        other: what stands in the place of a module under another LMK.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.states: list[State] = ["right", "right"]
        self._proof = data_key_proof(
            world.settings.data_key_dek, bytes.fromhex(world.settings.data_key)
        )
        self.other = other_module(world.report.day.draw("other module"))
        self._findings: list[str] = []
        self._asked_other = self._changes = 0
        self._without_since: float | None = None
        world.parts.hsm = self._transport
        if not world.faults.drawn & EXPLAIN:
            world.auditor.told.append(self._told)

    async def run(self) -> None:
        """Change the state of one module after the other, and look whether it is noticed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            if not self.world.faults.drawn & EXPLAIN:
                nursery.start_soon(self._watch_starts)
            while True:
                await self._away(0)
                if self.world.faults.between(KIND, 0.0, 1.0) < 0.4:
                    await self._away(1)

    async def mend(self) -> None:
        """Both fit."""
        self.states = ["right", "right"]
        await trio.lowlevel.checkpoint()

    def findings(self) -> Iterable[str]:
        """What was told though a module fits, or though none does."""
        return self._findings

    def asked_other(self, place: int, command: bytes) -> None:
        """A module under another LMK is asked something."""
        if self.states[1 - place] != "right" or command in (HEALTH_CHECK, self._proof.command):
            return
        self._asked_other += 1
        if self._asked_other == ASKED_OTHER_MAX:
            self._findings.append(
                f"modules: {ASKED_OTHER_MAX} commands went to one under another LMK, and one fits"
            )

    async def _away(self, place: int) -> None:
        faults, world = self.world.faults, self.world
        await trio.sleep(faults.between(KIND, 1.0, 6.0))
        faults.note(KIND)
        if faults.between(KIND, 0.0, 1.0) < 0.7:
            self._set(place, "gone")
            await trio.sleep(faults.between(KIND, 0.1, 8.0))
        self._set(place, "other")
        end = faults.choice(KIND, ("", "", "restart", "kill"))
        if end == "restart":
            world.any_switch().restart()
        elif end == "kill":
            world.any_switch().kill()
        if place == 0 and faults.between(KIND, 0.0, 1.0) < 0.3:
            await trio.sleep(faults.between(KIND, 0.0, 3.0))
            self._set(1, faults.choice(KIND, ("gone", "other")))
        await trio.sleep(faults.between(KIND, 1.0, 20.0))
        self._set(place, "right")
        self._set(1, "right")

    def _set(self, place: int, state: str) -> None:
        if self.states[place] == state:
            return
        self._asked_other = 0
        self._changes += 1
        self.states[place] = "gone" if state == "gone" else "other" if state == "other" else "right"
        self.world.trace.note("module", f"{place} is {state}")
        if "right" in self.states:
            self._without_since = None
        elif self._without_since is None:
            self._without_since = trio.current_time()

    async def _watch(self) -> None:
        hsm = self.world.settings.hsm
        noticed_s = hsm.check_every_s + 2 * hsm.deadline_s
        while True:
            await trio.sleep(LOOK_S)
            life, since = self.world.switch.serving, self._without_since
            if life is None or life.ready is None or since is None:
                continue
            if trio.current_time() - since > noticed_s and life.ready()[0]:
                self._findings.append("modules: the switch says that it is ready, and none fits")

    async def _watch_starts(self) -> None:
        while True:
            life = await self.world.switch.next_life()
            changes = self._changes
            await life.started.wait()
            if "data_key" in life.error and changes == self._changes and "right" in self.states:
                self._findings.append(f"modules: a start failed, and one fits: {life.error}")

    def _told(self, message: Message) -> None:
        if message.get(39) == "A7" and "right" in self.states:
            self._findings.append(
                f"modules: terminal {message.get(41)} was answered A7, and one of them fits"
            )

    def _transport(self) -> HsmTransport:
        hsm = self.world.settings.hsm
        return FailoverTransport(
            {"first": _Module(self, 0), "second": _Module(self, 1)},
            self._proof,
            deadline_s=hsm.deadline_s,
            check_every_s=hsm.check_every_s,
        )
