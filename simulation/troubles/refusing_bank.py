"""A bank that refuses reversals, advices and refunds, some of them for good, and that goes away.

What it refused stays as it is in its books, until the day heals. Then nothing may have been taken
for done: what the bank refused for good is a dead letter with an alarm, which the operator retries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from acquirer.hosts_sim.bank.entries import Entry
from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "bank_refuses"
OWED = frozenset({"reversal", "advice", "refund"})
# The last two are nobody's: a code that nobody knows is no success.
FOR_GOOD = ("05", "12", "40", "58", "63", "Q7", "9Z")
# Of the link, or of the hour: the message comes again.
FOR_NOW = ("30", "68", "77", "90", "91", "96", "97", "98", "A0", "A7")
# A copy may be under way, and an answer may be lost; then the switch must have understood.
REFUSED_MAX = 20


class RefusingBank(Trouble):
    """The bank of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._for_good: dict[tuple[str, str], str] = {}
        self._refused: dict[tuple[str, str], int] = {}
        world.bank.writer.refuses = self._code

    async def run(self) -> None:
        """Go away now and then, so that payments get no answer, and are stood in for."""
        faults = self.world.faults
        while True:
            await trio.sleep(faults.between(KIND, 2.0, 12.0))
            await self.world.network.away("bank", faults.between(KIND, 0.3, 5.0))

    async def mend(self) -> None:
        """Take everything."""
        self._for_good.clear()
        await trio.lowlevel.checkpoint()

    def excuses(self, kind: str, rrn: str) -> bool:
        """Whether the bank has refused this for good."""
        return (kind, rrn) in self._refused

    def findings(self) -> Iterable[str]:
        """What the bank refused for good, and what was sent all the same."""
        for (kind, rrn), count in self._refused.items():
            if count > REFUSED_MAX:
                yield f"refused: the bank refused the {kind} of {rrn} for good, {count} times"

    def _code(self, entry: Entry) -> str:
        """The code that refuses an entry, or empty."""
        if entry.kind not in OWED:
            return ""
        name = (entry.kind, entry.rrn)
        code = self._for_good.get(name, "")
        if not code and self.world.faults.strikes(KIND):
            code = self.world.faults.choice(KIND, FOR_GOOD + FOR_NOW)
            if code in FOR_GOOD:
                self._for_good[name] = code
        if name in self._for_good:
            self._refused[name] = self._refused.get(name, 0) + 1
        return code
