"""Ways to carry host commands to one security module: in process, or connections.

TCP, TLS or a Unix socket: pipelined, replies matched by message header, each command with a
deadline; a connection that breaks, or is silent for a whole deadline, fails what it carried and
is opened again on the next command. Frame = 2-byte big-endian length, header, command. Several
modules: ``failover.py``.
Source: docs/interfaces/security-module.md, "Framing".
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol

import trio

from acquirer.codecs.errors import FrameError
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.addresses import Address, connect
from acquirer.config.tls import tls_reason
from acquirer.payments.kernel.errors import HsmUnavailable

FRAME_BYTES_MAX = 32 * 1024
IN_FLIGHT_MAX = 1024
_FRAMING = LengthHeader("binary", 2)


class HsmTransport(Protocol):
    """Carries one command and brings its reply."""

    async def call(self, command: bytes) -> bytes:
        """Send a command (code and body) and return the reply (code, error code, fields).

        Raises:
            HsmUnavailable: no module could be reached, or none answered in time.
        """
        ...

    def close(self) -> None:
        """Release sockets; later calls fail."""
        ...


class InProcessTransport:
    """The software module embedded: the same command bytes, without a socket.

    Args:
        execute: takes and returns whole message bodies with a header of ``header_length``.
    """

    def __init__(self, execute: Callable[[bytes], bytes], header_length: int) -> None:
        self._execute = execute
        self._header = b"0" * header_length

    async def call(self, command: bytes) -> bytes:
        """Run the command at once; never blocks on anything outside the process."""
        return self._execute(self._header + command)[len(self._header) :]

    def close(self) -> None:
        """Nothing to release."""


class TcpTransport:
    """A small pool of pipelined connections to one security module.

    Resource handling: connections open on first use; their reader tasks live in the nursery
    given at construction, which must outlive the transport.

    Args:
        nursery: for the readers.
        address: of the module.
        connections: how many, each pipelined.
        header_length: characters of the message header, as configured on the module.
        deadline_s: of a command.
        tls: connections are under TLS; None for plain TCP.
        server_name: what the module's certificate must bear under TLS; empty takes the host.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        address: Address,
        *,
        connections: int,
        header_length: int,
        deadline_s: float,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> None:
        self._connections = [
            _Connection(nursery, address, header_length, tls, server_name or address.host)
            for _ in range(connections)
        ]
        self._next = 0
        self._deadline_s = deadline_s

    async def call(self, command: bytes) -> bytes:
        """Send on the next connection; a connection found dead is opened anew."""
        return await self.call_within(command, self._deadline_s)

    async def call_within(self, command: bytes, seconds: float) -> bytes:
        """:meth:`call` with a deadline of its own.

        Raises:
            HsmUnavailable: the module cannot be reached, or does not answer in so many seconds.
        """
        self._next = (self._next + 1) % len(self._connections)
        with trio.move_on_after(seconds):
            return await self._connections[self._next].call(command)
        raise HsmUnavailable(f"no reply within {seconds:.3g} s")

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()


class _Reply:
    __slots__ = ("body", "event")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.body: bytes | None = None


class _Connection:
    def __init__(
        self,
        nursery: trio.Nursery,
        address: Address,
        header_length: int,
        tls: ssl.SSLContext | None,
        server_name: str,
    ) -> None:
        self._nursery = nursery
        self._address = address
        self._header_length = header_length
        self._tls = tls
        self._server_name = server_name
        self._stream: trio.abc.Stream | None = None
        self._socket: trio.socket.SocketType | None = None
        self._send_lock = trio.Lock()
        self._waiting: dict[bytes, _Reply] = {}
        self._sequence = 0
        self._calls = 0
        self._heard = 0
        self._fault = ""

    async def call(self, command: bytes) -> bytes:
        if self._calls >= IN_FLIGHT_MAX:
            raise HsmUnavailable(f"{IN_FLIGHT_MAX} commands wait for the security module")
        self._calls += 1
        self._sequence += 1
        header = f"{self._sequence % 10**self._header_length:0{self._header_length}d}".encode()
        reply, heard = _Reply(), self._heard
        try:
            stream = await self._send(header, reply, _FRAMING.encode(header + command))
            try:
                await reply.event.wait()
            except trio.Cancelled:
                if self._heard == heard:
                    # Nothing came back meanwhile, on a wire that may be dead without a word.
                    self._drop(stream)
                raise
        finally:
            self._calls -= 1
            self._waiting.pop(header, None)
        if reply.body is None:
            why = f": {self._fault}" if self._fault else ""
            raise HsmUnavailable(f"the connection to the security module broke{why}")
        return reply.body

    async def _send(self, header: bytes, reply: _Reply, frame: bytes) -> trio.abc.Stream:
        async with self._send_lock:
            try:
                if self._stream is None:
                    self._stream = await self._open()
                    self._nursery.start_soon(self._read, self._stream)
                stream = self._stream
                # Not before the lock is ours: a cut fails what was sent, not what waits to be.
                self._waiting[header] = reply
                await stream.send_all(frame)
                return stream
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._drop(self._stream)
                raise HsmUnavailable(_unreachable(error)) from None
            except trio.Cancelled:
                # A frame may have left in part: the stream cannot be used again.
                self._drop(self._stream)
                raise

    async def _open(self) -> trio.abc.Stream:
        plain = await connect(self._address)
        try:
            stream: trio.abc.Stream = plain
            if self._tls is not None:
                secured = trio.SSLStream(
                    plain, self._tls, server_hostname=self._server_name, https_compatible=True
                )
                await secured.do_handshake()
                stream = secured
        except BaseException:
            plain.socket.close()
            raise
        self._socket = plain.socket
        return stream

    async def _read(self, stream: trio.abc.Stream) -> None:
        decoder = FrameDecoder(_FRAMING, FRAME_BYTES_MAX)
        try:
            while data := await stream.receive_some(65536):
                self._heard += 1
                for frame in decoder.feed(bytes(data)):
                    reply = self._waiting.get(frame[: self._header_length])
                    if reply is not None:
                        reply.body = frame[self._header_length :]
                        reply.event.set()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, FrameError) as error:
            # A module refuses a certificate after the handshake is done for us.
            self._fault = tls_reason(error)
        finally:
            self._drop(stream)

    def _drop(self, stream: trio.abc.Stream | None) -> None:
        if stream is None or stream is not self._stream or self._socket is None:
            return
        # The socket itself: a farewell of TLS would have to be waited for.
        self._socket.close()
        self._stream = self._socket = None
        for reply in self._waiting.values():
            reply.event.set()

    def close(self) -> None:
        self._drop(self._stream)


def _unreachable(error: Exception) -> str:
    if fault := tls_reason(error):
        return f"the security module answers, but no command can pass: {fault}"
    reason = getattr(error, "strerror", None) or str(error) or "the connection broke"
    return f"the security module cannot be reached: {reason}"
