"""TCP connections whose reads and writes cost little processor time. A trio shell.

trio's own stream tries to read before it waits, and lets the other tasks run after each call that
did not block. Here a read waits first, since what is asked for has seldom come yet, and a write
that the system takes at once is no checkpoint. So a task that only writes must let others run by
itself; one that reads what it answers does.
"""

from __future__ import annotations

import socket
from collections import deque

import trio

RECEIVE_BYTES = 65_536
ACCEPTED_AT_ONCE_MAX = 64
UNSENT_BYTES_MAX = 16_384
"""What the system keeps of a connection that its peer does not read, beside what is on its way."""


class TcpStream(trio.abc.Stream):
    """A connected socket.

    Error handling: as of :class:`trio.SocketStream`: BrokenResourceError where the connection is
    lost, ClosedResourceError where it was closed here.

    Args:
        connected: the socket; closed by :meth:`aclose`.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setblocking(False)

    @classmethod
    def of(cls, stream: trio.SocketStream) -> TcpStream:
        """The connection of one of trio's streams, which is of no more use itself."""
        return cls(socket.socket(fileno=stream.socket.detach()))

    @property
    def peer(self) -> str:
        """The peer's IP address; empty where it has none, or has gone."""
        try:
            return str(self._socket.getpeername()[0])
        except (OSError, IndexError):
            return ""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, or wait for it; nothing at the end."""
        while True:
            if self._socket.fileno() < 0:
                raise trio.ClosedResourceError
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._failure(error) from error

    def send_now(self, data: bytes | memoryview) -> bytes | memoryview:
        """Send as much as the system takes at once; what is left, which may be nothing."""
        try:
            return data[self._socket.send(data) :]
        except BlockingIOError:
            return data
        except OSError as error:
            raise self._failure(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; one task at a time."""
        left = self.send_now(memoryview(data))
        while left:
            await trio.lowlevel.wait_writable(self._socket)
            left = self.send_now(left)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the system takes more."""
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self._socket)

    def close(self) -> None:
        """Close at once, and wake who waits."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def aclose(self) -> None:
        """As :meth:`close`, and let others run."""
        self.close()
        await trio.lowlevel.checkpoint()

    def _failure(self, error: OSError) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError()
        return trio.BrokenResourceError(f"socket connection broken: {error}")


class TcpListener(trio.abc.Listener[TcpStream]):
    """A listening socket. All who wait are let in at once, or so many that others have their turn:
    a busy program's loop takes long, and with one a turn those who come last would wait for ever.

    Error handling: :meth:`accept` raises ClosedResourceError once it was closed, and the system's
    OSError where there is no room for another socket.

    Args:
        listener: is taken over, and of no more use itself.
    """

    def __init__(self, listener: trio.SocketListener) -> None:
        self._socket = socket.socket(fileno=listener.socket.detach())
        self._socket.setblocking(False)
        self._accepted: deque[socket.socket] = deque()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as bound."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def accept(self) -> TcpStream:
        """The next connection; those that came with it are there without waiting."""
        while not self._accepted:
            if self._socket.fileno() < 0:
                raise trio.ClosedResourceError
            await trio.lowlevel.wait_readable(self._socket)
            self._take_all()
        connected = self._accepted.popleft()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        return TcpStream(connected)

    def _take_all(self) -> None:
        try:
            while len(self._accepted) < ACCEPTED_AT_ONCE_MAX:
                self._accepted.append(self._socket.accept()[0])
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            if not self._accepted:
                raise

    async def aclose(self) -> None:
        """Close the port, and the connections that nobody has taken."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        while self._accepted:
            self._accepted.popleft().close()
        await trio.lowlevel.checkpoint()
