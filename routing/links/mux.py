"""The table that matches replies to requests on one link. Sans-IO, without a clock.

A request opens a slot under its match key (MTI class and the dialect's fields, never the STAN
alone); equal keys in flight are refused, never overwritten. A slot ends by a match, by its
deadline, by being released, or when the link is lost. Whether it was sent by then decides
whether a reversal is due. The key's fields belong to the dialect: ``Dialect.match_key``.
Source: docs/interfaces/bank-link.md, "Life of a link".
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Generic, Literal, TypeVar

W = TypeVar("W")
MatchKey = tuple[str, ...]

_STALE_MIN = 64


class Slot(Generic[W]):
    """One request in flight.

    Attributes:
        key: its match key.
        deadline: monotonic seconds after which no reply counts.
        waiter: whoever waits; the table does not look at it.
        sent: whether any byte of it may have left.
        is_open: whether it still waits in the table.
    """

    __slots__ = ("deadline", "is_open", "key", "sent", "waiter")

    def __init__(self, key: MatchKey, deadline: float, waiter: W) -> None:
        self.key = key
        self.deadline = deadline
        self.waiter = waiter
        self.sent = False
        self.is_open = True

    def __repr__(self) -> str:
        where = "open" if self.is_open else "closed"
        return f"<Slot {where}, {'sent' if self.sent else 'not sent'}, until {self.deadline:.3f}>"


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that may not go out now."""

    reason: Literal["duplicate", "window"]


_DUPLICATE = Refused("duplicate")
_WINDOW = Refused("window")


class Mux(Generic[W]):
    """Slots by key.

    Args:
        window: most slots at once.
    """

    __slots__ = ("_deadlines", "_number", "_slots", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._slots: dict[MatchKey, Slot[W]] = {}
        self._deadlines: list[tuple[float, int, Slot[W]]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._slots)

    def open(self, key: MatchKey, deadline: float, waiter: W) -> Slot[W] | Refused:
        """Open a slot for a request.

        Args:
            key: the request's match key.
            deadline: monotonic seconds.
            waiter: whoever waits.
        """
        if key in self._slots:
            return _DUPLICATE
        if len(self._slots) >= self.window:
            return _WINDOW
        slot = Slot(key, deadline, waiter)
        self._slots[key] = slot
        self._number += 1
        heappush(self._deadlines, (deadline, self._number, slot))
        if len(self._deadlines) > 2 * len(self._slots) + _STALE_MIN:
            # Answered slots stay in the heap until they are many; so the window bounds it.
            self._deadlines = [entry for entry in self._deadlines if entry[2].is_open]
            heapify(self._deadlines)
        return slot

    def match(self, key: MatchKey) -> Slot[W] | None:
        """Close and give the slot that a reply with this key answers; None: unmatched."""
        slot = self._slots.pop(key, None)
        if slot is not None:
            slot.is_open = False
        return slot

    def release(self, slot: Slot[W]) -> None:
        """Close a slot whose waiter has gone; a closed one is left as it is."""
        if slot.is_open:
            slot.is_open = False
            del self._slots[slot.key]

    def expire(self, now: float) -> list[Slot[W]]:
        """Close and give all slots whose deadline is at or before ``now``, oldest first."""
        expired: list[Slot[W]] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            slot = heappop(self._deadlines)[2]
            if slot.is_open:
                self.release(slot)
                expired.append(slot)
        return expired

    def next_deadline(self) -> float:
        """The earliest deadline of an open slot, infinity where there is none."""
        while self._deadlines and not self._deadlines[0][2].is_open:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else inf

    def latest_deadline(self) -> float:
        """The latest deadline of an open slot, minus infinity where there is none."""
        return max((slot.deadline for slot in self._slots.values()), default=-inf)

    def close(self) -> list[Slot[W]]:
        """Close and give all slots: the link is lost."""
        slots = list(self._slots.values())
        for slot in slots:
            slot.is_open = False
        self._slots.clear()
        self._deadlines.clear()
        return slots

    def __repr__(self) -> str:
        return f"<Mux {len(self._slots)} of {self.window} in flight>"
