"""Terminals' connections over all workers: let in once, handed to the worker with the least to do.

The supervisor accepts; so the port is never closed while workers come and go, and limits by address
and over all hold whichever worker serves. A connection that no worker can take waits here, its
bytes with the system.
"""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
import trio

from acquirer.config.admission import Admission, Turned
from acquirer.switch.processes.balance import lightest, surplus
from acquirer.switch.processes.descriptors import Hand
from acquirer.switch.settings import LimitSettings

log = structlog.get_logger("acquirer.processes")

_CAPACITY_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_CAPACITY_PAUSE_S = 0.1


@dataclass(slots=True)
class Door:
    """Where a worker takes connections.

    Attributes:
        tell: says something to it.
        connections: how many it has.
    """

    hand: Hand
    tell: Callable[..., None]
    connections: int = 0


@dataclass(slots=True)
class _Connection:
    at: int = 0
    waiting: socket.socket | None = None
    proven: bool = False


class Acceptor:
    """Who is connected, and to which worker.

    Args:
        limits: of the switch.
        links: the part of all banks' links that each worker has, by slot.
    """

    def __init__(self, limits: LimitSettings, links: Callable[[], Mapping[int, float]]) -> None:
        self._admission: Admission[int] = Admission(limits.connections_max, limits.per_address_max)
        self._links = links
        self._doors: dict[int, Door] = {}
        self._open: dict[int, _Connection] = {}
        self._numbers = itertools.count(1)
        self._emptied = trio.lowlevel.ParkingLot()
        self._refused = 0
        self._accepting = trio.CancelScope()

    async def accept(self, listener: trio.SocketListener) -> None:
        """Let connections in until closed; closes the port, and what no worker has."""
        try:
            with self._accepting:
                while True:
                    await self._accept(listener)
        finally:
            listener.socket.close()
            for connection in self._open.values():
                if connection.waiting is not None:
                    connection.waiting.close()

    def close(self) -> None:
        """Let nobody in any more."""
        self._accepting.cancel()

    async def _accept(self, listener: trio.SocketListener) -> None:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in _CAPACITY_ERRORS:
                raise
            await trio.sleep(_CAPACITY_PAUSE_S)
        else:
            self._enter(socket.socket(fileno=stream.socket.detach()))

    def open_door(self, slot: int, door: Door) -> None:
        """A worker takes connections from now on, also of those that others have too many of."""
        self._doors[slot] = door
        for number, connection in self._open.items():
            if connection.waiting is not None:
                self._hand_over(number, connection)
        counts = {at: door.connections for at, door in self._doors.items()}
        for at, count in surplus(counts, self._links()).items():
            self._doors[at].tell("release", count)

    def shut_door(self, slot: int) -> None:
        """A worker gets no more; it may give back those that it has."""
        self._doors.pop(slot, None)

    async def emptied(self, door: Door) -> None:
        """Wait until a worker has none any more."""
        while door.connections:
            await self._emptied.park()

    def lost(self, slot: int, door: Door) -> None:
        """A worker is gone, and with it its connections, but for those that were not handed yet."""
        self.shut_door(slot)
        for handed in door.hand.not_given():
            if handed.note[0] != "peer":
                self._wait_here(handed.note[0], handed.socket)
        for number in [n for n, one in self._open.items() if one.at == slot and not one.waiting]:
            self.closed(slot, number, door)
        self._hand_over_all()

    def came_back(self, slot: int, number: int, door: Door, handed: socket.socket) -> None:
        """A worker gives a connection back."""
        if number not in self._open:
            handed.close()
            return
        door.connections -= 1
        self._wait_here(number, handed)
        self._hand_over_all()
        self._emptied.unpark_all()

    def closed(self, slot: int, number: int, door: Door) -> None:
        """A worker's connection is gone."""
        connection = self._open.get(number)
        if connection is not None and connection.at == slot and connection.waiting is None:
            del self._open[number]
            self._admission.leave(number)
        door.connections -= 1
        self._emptied.unpark_all()

    def proven(self, number: int) -> None:
        """A request on a connection was answered."""
        if connection := self._open.get(number):
            connection.proven = True
            self._admission.prove(number)

    def _enter(self, accepted: socket.socket) -> None:
        number = next(self._numbers)
        admitted = self._admission.enter(number, _address_of(accepted))
        if isinstance(admitted, Turned):
            accepted.close()
            self._count_refused()
            return
        if admitted.gives_way is not None:
            self._close(admitted.gives_way)
            self._count_refused()
        connection = self._open[number] = _Connection(waiting=accepted)
        self._hand_over(number, connection)

    def _close(self, number: int) -> None:
        connection = self._open.pop(number)
        if connection.waiting is not None:
            connection.waiting.close()
        elif door := self._doors.get(connection.at):
            door.tell("close", number)

    def _count_refused(self) -> None:
        """Where alarms and metrics are: in a worker."""
        self._refused += 1
        for door in self._doors.values():
            door.tell("refused", self._refused)
            self._refused = 0
            return

    def _wait_here(self, number: int, handed: socket.socket) -> None:
        connection = self._open.get(number)
        if connection is None:
            handed.close()
        else:
            connection.at, connection.waiting = 0, handed

    def _hand_over_all(self) -> None:
        for number, connection in self._open.items():
            if connection.waiting is not None:
                self._hand_over(number, connection)

    def _hand_over(self, number: int, connection: _Connection) -> None:
        if not self._doors or connection.waiting is None:
            return
        counts = {slot: door.connections for slot, door in self._doors.items()}
        slot = connection.at = lightest(counts, self._links())
        door = self._doors[slot]
        door.connections += 1
        door.hand.give(connection.waiting, number, connection.proven)
        connection.waiting = None


def _address_of(accepted: socket.socket) -> str:
    try:
        return str(accepted.getpeername()[0])
    except OSError:
        return ""
