"""The streams of bank links: connected by us, or by the bank to a port of ours; TLS on either.

``BankLink`` asks for one stream after another and does not know which side connected.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
import trio

from acquirer.config.tcp_stream import TcpStream
from acquirer.config.tls import client_context, expired, server_context, tls_reason
from acquirer.routing.settings import BankSettings, host_and_port

Connect = Callable[[BankSettings], Awaitable[trio.abc.Stream]]

_BACKLOG = 16
_WELCOMES_MAX = 8
_LISTEN_AGAIN_S = 5.0
_CAPACITY_PAUSE_S = 0.1
CAPACITY_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

_log = structlog.get_logger("acquirer.routing")


async def open_tcp(settings: BankSettings) -> trio.abc.Stream:
    """Connect to the bank's address, under TLS where the settings say so.

    Raises:
        OSError: it cannot be reached, or TLS found something wrong; the text says what.
    """
    host, port = host_and_port(settings.address, settings.name)
    stream = TcpStream.of(await trio.open_tcp_stream(host, port))
    if settings.tls is None:
        return stream
    name = settings.tls.server_name or host
    _tell_expired(settings)
    try:
        return await _shaken(
            trio.SSLStream(stream, client_context(settings.tls), server_hostname=name)
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


class LinkListener:
    """A port that one bank connects to; the newest connection is the link.

    A bank that comes again has lost its old connection, whether or not we have noticed. Who
    connects from an address that is not listed, or fails the TLS handshake, disturbs nothing.

    Resource handling: ``run`` owns the port; a stream that :meth:`next` gave is the caller's.

    Args:
        settings: of the link.
        peers: addresses that may connect; empty for any.
        on_newcomer: called when a connection is ready to be the link.

    Attributes:
        bound: ``host:port`` as bound, or empty.
    """

    def __init__(
        self, settings: BankSettings, peers: list[str], on_newcomer: Callable[[], None]
    ) -> None:
        self.bound = ""
        self._settings = settings
        self._peers = frozenset(peers)
        self._on_newcomer = on_newcomer
        self._ready: trio.abc.Stream | None = None
        self._came = trio.lowlevel.ParkingLot()
        self._welcomes = trio.CapacityLimiter(_WELCOMES_MAX)

    async def next(self) -> trio.abc.Stream:
        """Wait for a connection."""
        while self._ready is None:
            await self._came.park()
        stream, self._ready = self._ready, None
        return stream

    async def run(self) -> None:
        """Listen until cancelled; a port that is taken is tried again."""
        host, port = host_and_port(self._settings.address, self._settings.name)
        while True:
            try:
                listeners = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
            except OSError as error:
                names = {"bank": self._settings.name, "address": self._settings.address}
                _log.error("link_cannot_listen", **names, reason=error.strerror or str(error))
                await trio.sleep(_LISTEN_AGAIN_S)
                continue
            bound_host, bound_port = listeners[0].socket.getsockname()[:2]
            self.bound = f"{bound_host}:{bound_port}"
            try:
                async with trio.open_nursery() as nursery:
                    for listener in listeners:
                        nursery.start_soon(self._accept, listener, nursery)
            finally:
                self.bound = ""
                for listener in listeners:
                    listener.socket.close()
                if self._ready is not None:
                    await trio.aclose_forcefully(self._ready)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in CAPACITY_ERRORS:
                    raise
                await trio.sleep(_CAPACITY_PAUSE_S)
                continue
            nursery.start_soon(self._welcome, TcpStream.of(stream))

    async def _welcome(self, stream: TcpStream) -> None:
        peer = stream.peer
        try:
            self._welcomes.acquire_nowait()
        except trio.WouldBlock:
            await trio.aclose_forcefully(stream)
            return
        try:
            if self._peers and peer not in self._peers:
                raise OSError("not listed")
            with trio.fail_after(self._settings.connect_s):
                ready = await self._secured(stream)
        except (OSError, trio.TooSlowError) as error:
            names = {"bank": self._settings.name, "peer": peer}
            _log.warning("link_peer_refused", **names, reason=str(error))
            await trio.aclose_forcefully(stream)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        finally:
            self._welcomes.release()
        if self._ready is not None:
            await trio.aclose_forcefully(self._ready)
        self._ready = ready
        self._came.unpark()
        self._on_newcomer()

    async def _secured(self, stream: TcpStream) -> trio.abc.Stream:
        if self._settings.tls is None:
            return stream
        _tell_expired(self._settings)
        context = server_context(self._settings.tls)
        return await _shaken(trio.SSLStream(stream, context, server_side=True))


async def _shaken(stream: trio.SSLStream[TcpStream]) -> trio.abc.Stream:
    """The stream after its handshake.

    Raises:
        OSError: the peer broke it off or proved nothing.
    """
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise OSError(tls_reason(error) or "TLS: broken off") from None
    return stream


def _tell_expired(settings: BankSettings) -> None:
    """Say it where the bank is bound to refuse us; it may say so only after the handshake."""
    reason = expired(settings.tls, datetime.now(UTC)) if settings.tls else ""
    if reason:
        _log.error("certificate_expired", bank=settings.name, reason=reason)
