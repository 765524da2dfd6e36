"""Open sockets handed from one process to another, each with a note: a trio shell.

Over a Unix socket of kind SEQPACKET, which keeps a note and its socket together (unix(7),
SCM_RIGHTS). The pair is made by the supervisor; nobody else can reach it.
"""

from __future__ import annotations

import array
import socket
from collections import deque
from typing import Any, NamedTuple

import msgspec
import trio

_NOTE_BYTES_MAX = 4096
_ONE = array.array("i", [0]).itemsize


class Handed(NamedTuple):
    """A socket and what it is."""

    note: list[Any]
    socket: socket.socket


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Hand:
    """One end.

    Resource handling: a socket that was given is closed here once it is on its way; one that comes
    is the caller's. :meth:`run` owns the end.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = trio.socket.from_stdlib_socket(end)
        self._queue: deque[Handed] = deque()
        self._filled = trio.lowlevel.ParkingLot()

    def give(self, handed: socket.socket, *note: Any) -> None:
        """Have a socket go to the other process."""
        self._queue.append(Handed(list(note), handed))
        self._filled.unpark()

    def not_given(self) -> list[Handed]:
        """What has not left, and will not any more."""
        left, self._queue = list(self._queue), deque()
        return left

    async def run(self) -> None:
        """Hand over for ever; returns when the other process is gone."""
        try:
            while True:
                while not self._queue:
                    await self._filled.park()
                note, handed = self._queue[0]
                rights = array.array("i", [handed.fileno()])
                about = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                await self._end.sendmsg([msgspec.msgpack.encode(note)], about)
                self._queue.popleft()
                handed.close()
        except OSError:
            return

    async def next(self) -> Handed | None:
        """The next that comes; None at the end."""
        while True:
            try:
                note, about, _, _ = await self._end.recvmsg(_NOTE_BYTES_MAX, socket.CMSG_LEN(_ONE))
            except OSError:
                return None
            if not note:
                return None
            for level, kind, data in about:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    (number,) = array.array("i", bytes(data[:_ONE]))
                    return Handed(msgspec.msgpack.decode(note), socket.socket(fileno=number))
