"""A second switch on the same books: terminals come to either, and copies to both at one time.

Each of them may be killed, restarted and refused by itself. All checks hold for both together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acquirer.simulation.network import TWO_DOORS
from acquirer.simulation.process import SWITCH, SwitchProcess
from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = TWO_DOORS
INSTANCE = "switch-2"


class Sibling(Trouble):
    """The switches of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        sibling = SwitchProcess(world.parts, KIND, INSTANCE)
        world.switches.append(sibling)
        world.network.doors = (SWITCH, KIND)
