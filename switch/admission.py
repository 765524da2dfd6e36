"""Which terminal connections are let in, and which one gives way: pure bookkeeping.

A connection is *proven* once it has sent a message that was answered. When the port is full, the
oldest unproven one gives way, so that a crowd that only connects cannot keep terminals out. No
address may have more than its share.
"""

from __future__ import annotations

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
    """

    def __init__(self, connections_max: int, per_address_max: int) -> None:
        self._connections_max = connections_max
        self._per_address_max = per_address_max
        self._addresses: dict[str, int] = {}
        self._unproven: OrderedDict[C, str] = OrderedDict()
        self._proven: dict[C, str] = {}

    def __len__(self) -> int:
        return len(self._unproven) + len(self._proven)

    def enter(self, connection: C, address: str) -> Admitted[C] | Turned:
        """A connection asks to be let in.

        Args:
            connection: stands for itself.
            address: where it comes from, or empty.

        Returns:
            Whether it is in. What gives way is out already.
        """
        if address and self._addresses.get(address, 0) >= self._per_address_max:
            return Turned("address")
        gives_way = None
        if len(self) >= self._connections_max:
            if not self._unproven:
                return Turned("full")
            gives_way = next(iter(self._unproven))
            self.leave(gives_way)
        self._unproven[connection] = address
        if address:
            self._addresses[address] = self._addresses.get(address, 0) + 1
        return Admitted(gives_way)

    def prove(self, connection: C) -> None:
        """A connection has sent a message that was answered; it may have left meanwhile."""
        address = self._unproven.pop(connection, None)
        if address is not None:
            self._proven[connection] = address

    def leave(self, connection: C) -> None:
        """A connection is gone; it may be gone already."""
        address = self._unproven.pop(connection, None)
        if address is None:
            address = self._proven.pop(connection, None)
        if not address:
            return
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
