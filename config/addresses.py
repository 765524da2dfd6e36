"""Addresses of stream sockets as configuration writes them: ``host:port``, or ``unix:`` and a path.

A Unix socket is reached by whoever may enter its folder and write to it, so in a folder of mode
0700 by its owner only. Its path may be longer than the 107 bytes that the system takes, where
``/proc`` leads to its folder. Source: unix(7), ip(7).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

UNIX = "unix:"
PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port; 0 takes a free one where it is listened on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket, by its path."""

    path: Path
    host: str = "localhost"

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """The address that a text is.

    Raises:
        ValueError: it is none; the text says what would be one.

    >>> parse_address("127.0.0.1:1500")
    TcpAddress(host='127.0.0.1', port=1500)
    """
    if text.startswith(UNIX):
        path = Path(text.removeprefix(UNIX))
        if not path.is_absolute():
            raise ValueError(f"{text!r} is not unix: and an absolute path")
        return UnixAddress(path)
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"{text!r} is not host:port, nor unix:/path")
    return TcpAddress(host.strip("[]"), int(port))


async def connect(address: Address) -> trio.SocketStream:
    """A connection to an address; without delay of small writes on TCP.

    Raises:
        OSError: nobody listens there, or not for us.
    """
    if isinstance(address, TcpAddress):
        stream = await trio.open_tcp_stream(address.host, address.port)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        return stream
    with _short(address.path) as path:
        return await trio.open_unix_socket(path)


async def listen(address: Address) -> tuple[Address, list[trio.SocketListener]]:
    """Listen on an address; what a process that is gone left of a Unix socket is replaced.

    Returns:
        The address as bound, and the listeners, which are the caller's to close.

    Raises:
        OSError: it cannot be listened on.
    """
    if isinstance(address, TcpAddress):
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
        return TcpAddress(*listeners[0].socket.getsockname()[:2]), listeners
    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        with _short(address.path) as path:
            try:
                await socket.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not await _is_left_over(path):
                    raise
                os.unlink(path)
                await socket.bind(path)
        socket.listen()
    except BaseException:
        socket.close()
        raise
    return address, [trio.SocketListener(socket)]


async def _is_left_over(path: str) -> bool:
    """Whether a socket is there that nobody listens on any more."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    try:
        await trio.aclose_forcefully(await trio.open_unix_socket(path))
    except ConnectionRefusedError:
        return True
    return False


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The same path in few enough bytes, while the block lasts."""
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
