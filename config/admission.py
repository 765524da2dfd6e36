"""Which connections a server lets in, and which one gives way: pure bookkeeping.

A connection is *proven* once it has sent a message that was answered. When the port is full, the
oldest unproven one gives way, so that a crowd that only connects cannot keep others out; where all
are proven, the one that has been silent longest, if it has been so for long. No address may have
more than its share.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Admitted(Generic[C]):
    """A connection is let in; ``gives_way`` is to be closed for it, None for nobody."""

    gives_way: C | None = None


@dataclass(frozen=True, slots=True)
class Turned:
    """A connection is turned away."""

    reason: str


class Admission(Generic[C]):
    """Who is in.

    Args:
        connections_max: all.
        per_address_max: of one address; connections of no known address are not counted.
        silent_s: seconds after its last answered message from which a proven connection gives way
            too; left out, it never does.
    """

    def __init__(
        self, connections_max: int, per_address_max: int, silent_s: float = math.inf
    ) -> None:
        self._connections_max = connections_max
        self._per_address_max = per_address_max
        self._silent_s = silent_s
        self._addresses: dict[str, int] = {}
        self._unproven: OrderedDict[C, str] = OrderedDict()
        self._proven: OrderedDict[C, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._unproven) + len(self._proven)

    def enter(self, connection: C, address: str, now: float = 0.0) -> Admitted[C] | Turned:
        """A connection asks to be let in.

        Args:
            connection: stands for itself.
            address: where it comes from, or empty.
            now: monotonic seconds, as :meth:`prove` is given them.

        Returns:
            Whether it is in. What gives way is out already.
        """
        if address and self._addresses.get(address, 0) >= self._per_address_max:
            return Turned("address")
        gives_way = None
        if len(self) >= self._connections_max:
            gives_way = self._dispensable(now)
            if gives_way is None:
                return Turned("full")
            self.leave(gives_way)
        self._unproven[connection] = address
        if address:
            self._addresses[address] = self._addresses.get(address, 0) + 1
        return Admitted(gives_way)

    def prove(self, connection: C, now: float = 0.0) -> None:
        """A connection has sent a message that was answered; it may have left meanwhile."""
        address = self._unproven.pop(connection, None)
        if address is None:
            address, _ = self._proven.pop(connection, (None, 0.0))
        if address is not None:
            self._proven[connection] = address, now

    def leave(self, connection: C) -> None:
        """A connection is gone; it may be gone already."""
        address = self._unproven.pop(connection, None)
        if address is None:
            address, _ = self._proven.pop(connection, ("", 0.0))
        if not address:
            return
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def _dispensable(self, now: float) -> C | None:
        if self._unproven:
            return next(iter(self._unproven))
        for connection, (_, heard_at) in self._proven.items():
            return connection if now - heard_at >= self._silent_s else None
        return None
