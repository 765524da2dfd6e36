"""A TCP connection whose reads and writes cost little processor time. A trio shell.

trio's own stream tries to read before it waits, and lets the other tasks run after each call that
did not block. Here a read waits first, since what is asked for has seldom come yet, and a write
that the system takes at once is no checkpoint. So a task that only writes must let others run by
itself; one that reads what it answers does.
"""

from __future__ import annotations

import socket

import trio

RECEIVE_BYTES = 65_536


class TcpStream(trio.abc.Stream):
    """A connected socket.

    Error handling: as of :class:`trio.SocketStream`: BrokenResourceError where the connection is
    lost, ClosedResourceError where it was closed here.

    Args:
        stream: is taken over, and of no more use itself.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = socket.socket(fileno=stream.socket.detach())
        self._socket.setblocking(False)

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

    async def aclose(self) -> None:
        """Close at once, and wake who waits."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()

    def _failure(self, error: OSError) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError()
        return trio.BrokenResourceError(f"socket connection broken: {error}")
