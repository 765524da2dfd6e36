"""What else can go wrong on a simulated day: faults of other parties, each with its own check.

A trouble is a kind of fault that few days draw (``day.py``). It does its harm while the day goes
on, or wherever the party that it is about asks :class:`Faults`; it mends what it did when the day
heals; and it says what must have been noticed, where the checks of every day do not say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from acquirer.simulation.troubles.base import Trouble
from acquirer.simulation.troubles.books_away import BooksAway
from acquirer.simulation.troubles.changing_limits import ChangingLimits
from acquirer.simulation.troubles.changing_terms import ChangingTerms
from acquirer.simulation.troubles.far_clock import FarClock
from acquirer.simulation.troubles.garbling_bank import GarblingBank
from acquirer.simulation.troubles.leaving_bank import LeavingBank
from acquirer.simulation.troubles.lying_orders import LyingOrders
from acquirer.simulation.troubles.other_lmk import OtherLmk
from acquirer.simulation.troubles.refusing_bank import RefusingBank
from acquirer.simulation.troubles.restore import Restore
from acquirer.simulation.troubles.rot import Rot
from acquirer.simulation.troubles.sibling import Sibling
from acquirer.simulation.troubles.strangers import Strangers

if TYPE_CHECKING:
    from acquirer.simulation.world import World

__all__ = ["TROUBLES", "Trouble"]

TROUBLES: Mapping[str, Callable[[World], Trouble]] = MappingProxyType(
    {
        "bank_refuses": RefusingBank,
        "bank_garbles": GarblingBank,
        "rot": Rot,
        "bank_leaves": LeavingBank,
        "strangers": Strangers,
        "other_lmk": OtherLmk,
        "sibling": Sibling,
        "books_away": BooksAway,
        "orders_lie": LyingOrders,
        "terms_change": ChangingTerms,
        "limits_change": ChangingLimits,
        "restore": Restore,
        # Mended last: the day ends then only where the switch can run.
        "clock_far": FarClock,
    }
)
