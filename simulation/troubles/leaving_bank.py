"""A bank that leaves the configuration, with messages for it still open or without, and comes back.

Its routes go first, by an operator's import; then the switch starts without it. The switch either
refuses to start, as long as it owes the bank something, or serves what needs no bank; whatever it
took meanwhile goes out when the bank is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import trio

from acquirer.routing.banks.choice import RouteRule
from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "bank_leaves"
SILENT_S = 8.0
RETRY_S = 0.5
OK = 200


class LeavingBank(Trouble):
    """The configuration of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._complete = world.settings
        self._findings: list[str] = []

    async def run(self) -> None:
        """Now and then start the switch without its bank, for some seconds."""
        faults, world = self.world.faults, self.world
        await trio.sleep(faults.between(KIND, 1.0, 6.0))
        while True:
            if faults.choice(KIND, ("owed", "owed", "settled")) == "owed":
                # Payments time out; so do their reversals.
                world.bank.rules.silent_until = trio.current_time() + SILENT_S
                await trio.sleep(faults.between(KIND, 0.5, SILENT_S))
            await self._route(())
            world.settings = msgspec.structs.replace(self._complete, banks=[])
            world.trace.note("operator", "takes the bank out of the configuration")
            faults.note(KIND)
            with trio.move_on_after(faults.between(KIND, 4.0, 12.0)):
                await self._without(faults.choice(KIND, ("stop", "kill")))
            self._put_back()
            await self._route(self._complete.routes)
            await trio.sleep(faults.between(KIND, 5.0, 15.0))

    async def mend(self) -> None:
        """Put the bank back."""
        self._put_back()
        await self._route(self._complete.routes)

    def findings(self) -> Iterable[str]:
        """Starts that could not serve what was open."""
        return self._findings

    async def _without(self, end: str) -> None:
        """End the switch, and look at the starts: what is open for the bank must prevent them."""
        for switch in self.world.switches:
            if end == "kill":
                switch.kill()
            else:
                switch.restart()
        switch = self.world.switch
        while True:
            life = await switch.next_life()
            owed = self._owed()
            await life.started.wait()
            if owed and life.running is not None and self._owed():
                self._findings.append(
                    f"bank left: the switch serves without it, and owes it {owed} messages"
                )

    async def _route(self, routes: Sequence[RouteRule]) -> None:
        """Have these routes, and no others, as soon as a switch takes them."""
        is_there = bool(routes)
        merchants = [
            one if is_there else msgspec.structs.replace(one, plans=[])
            for one in self._complete.merchants
        ]
        plans = self._complete.instalment_plans if is_there else []
        document = msgspec.to_builtins(
            {"route": routes, "instalment_plan": plans, "merchant": merchants}
        )
        body = msgspec.json.encode({"document": document, "reason": "the bank comes or goes"})
        while True:
            operators = [switch.operator for switch in self.world.switches]
            for operator in filter(None, operators):
                if await operator.post("/operator/config/import", body) == OK:
                    return
            await trio.sleep(RETRY_S)

    def _owed(self) -> int:
        (count,) = self.world.auditor.rows(
            "SELECT count(*) FROM saf WHERE finished_at_ms IS NULL AND dead_at_ms IS NULL"
        )[0]
        return int(str(count))

    def _put_back(self) -> None:
        world = self.world
        if world.settings is not self._complete:
            world.settings = self._complete
            world.trace.note("operator", "puts the bank back into the configuration")
            for switch in world.switches:
                switch.restart()
