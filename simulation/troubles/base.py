"""What all troubles have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from acquirer.terminals_sim.state import TerminalState

if TYPE_CHECKING:
    from acquirer.simulation.world import World


class Trouble:
    """One kind of trouble on one day.

    Args:
        world: the day.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    async def run(self) -> None:
        """Do harm while the day goes on; cancelled when it heals."""
        await trio.lowlevel.checkpoint()

    async def mend(self) -> None:
        """Undo the harm: the day heals."""
        await trio.lowlevel.checkpoint()

    def excuses(self, kind: str, rrn: str) -> bool:
        """Whether this trouble is why a message for a bank became a dead letter.

        Args:
            kind: of the message.
            rrn: of the entry that it is about.
        """
        return False

    def terminals(self) -> Iterable[TerminalState]:
        """What terminals of its own know at the end."""
        return ()

    def findings(self) -> Iterable[str]:
        """What should have been noticed, and was not."""
        return ()
