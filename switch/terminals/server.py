"""The terminals' TCP port: bytes in, frames to the session, replies out.

A request in flight outlives its connection, so that its outcome is stored even if the terminal
hangs up. Limits: open connections, over all and of one address (``config/admission.py``); requests
at once, over all, on one connection and of one terminal; bytes of a frame; time for the first
frame, for each frame from its first byte to its last, and between frames.
Source: docs/interfaces/terminal.md, part 1.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Sequence
from functools import partial

import structlog
import trio

from acquirer.codecs.errors import FrameError
from acquirer.codecs.framing import FrameDecoder
from acquirer.config.admission import Admission, Turned
from acquirer.config.log_limit import LogLimit
from acquirer.config.tls import tls_reason
from acquirer.switch.settings import LimitSettings
from acquirer.switch.terminals.session import FRAME_BYTES_MAX, FRAMING, CloseConnection, Session
from acquirer.switch.watch.metrics import Metrics

log = structlog.get_logger("acquirer.switch")

_CAPACITY_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_CAPACITY_PAUSE_S = 0.1
_READ_BYTES = 16_384
_SEND_S = 10.0


class TerminalServer:
    """Serves terminals on one listening socket until told to drain.

    Resource handling: ``serve`` owns every connection; when it returns, all are closed and every
    request that was in flight has been answered or has run out of the drain time.
    """

    def __init__(
        self,
        session: Session,
        limits: LimitSettings,
        metrics: Metrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._session = session
        self._limits = limits
        self._metrics = metrics
        self._tls = tls
        self._admission: Admission[_Connection] = Admission(
            limits.connections_max, limits.per_address_max
        )
        self._in_flight = 0
        self._log_limit = LogLimit()
        self._draining = trio.Event()
        self._quiet = trio.Event()

    def drain(self) -> None:
        """Take no new connection and no new request; ``serve`` returns when all are answered."""
        self._draining.set()

    async def serve(
        self,
        listener: trio.abc.Listener[trio.abc.Stream],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve what connects to a listener, and close it at the end.

        Error handling: only errors of a full process are retried by accept; others end it.
        """
        async with trio.open_nursery() as requests, trio.open_nursery() as connections:
            task_status.started()
            connections.start_soon(self._accept, listener, connections, requests)
            await self._draining.wait()
            await listener.aclose()
            requests.cancel_scope.deadline = trio.current_time() + self._limits.drain_s
            with trio.move_on_after(self._limits.drain_s):
                while self._in_flight:
                    self._quiet = trio.Event()
                    await self._quiet.wait()
            connections.cancel_scope.cancel()

    async def _accept(
        self,
        listener: trio.abc.Listener[trio.abc.Stream],
        connections: trio.Nursery,
        requests: trio.Nursery,
    ) -> None:
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in _CAPACITY_ERRORS:
                    raise
                await trio.sleep(_CAPACITY_PAUSE_S)
                continue
            secured = stream if self._tls is None else _secured(stream, self._tls)
            connection = _Connection(secured, _address_of(stream))
            admitted = self._admission.enter(connection, connection.address)
            if isinstance(admitted, Turned):
                self._metrics.refused_connections.inc()
                await trio.aclose_forcefully(stream)
                continue
            if admitted.gives_way is not None:
                self._metrics.refused_connections.inc()
                admitted.gives_way.close()
            connections.start_soon(self._connection, connection, requests)

    async def _connection(self, connection: _Connection, requests: trio.Nursery) -> None:
        self._metrics.connections.set(len(self._admission))
        try:
            with connection.reading:
                if isinstance(connection.stream, trio.SSLStream):
                    with trio.fail_after(self._limits.frame_s):
                        await connection.stream.do_handshake()
                await self._read(connection, requests)
        except (
            OSError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.TooSlowError,
        ) as error:
            if reason := tls_reason(error):
                self._warn("tls_failed", reason)
        finally:
            connection.closed = True
            self._admission.leave(connection)
            self._metrics.connections.set(len(self._admission))
            await trio.aclose_forcefully(connection.stream)

    def _patience_s(self, connection: _Connection) -> float:
        """How long a connection may be without a whole frame."""
        return self._limits.idle_s if connection.proven else self._limits.first_frame_s

    async def _read(self, connection: _Connection, requests: trio.Nursery) -> None:
        decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
        heard_at = trio.current_time()
        begun_at: float | None = None
        while not self._draining.is_set():
            give_up_at = heard_at + self._patience_s(connection)
            if begun_at is not None:
                give_up_at = min(give_up_at, begun_at + self._limits.frame_s)
            with trio.move_on_at(give_up_at) as waiting:
                data = await connection.stream.receive_some(_READ_BYTES)
            if waiting.cancelled_caught or not data:
                break
            frames, is_over = self._cut(decoder, bytes(data))
            if not decoder.pending_bytes:
                begun_at = None
            elif frames or begun_at is None:
                begun_at = trio.current_time()
            for frame in frames:
                heard_at = trio.current_time()
                await connection.wait_for_turn(self._limits.pipelined_max)
                if self._in_flight >= self._limits.in_flight_max:
                    is_over = True
                    break
                self._in_flight += 1
                connection.in_flight += 1
                requests.start_soon(partial(self._request, connection, frame))
            if is_over or connection.closed:
                break
        await connection.wait_for_turn(1)

    async def _request(self, connection: _Connection, frame: bytes) -> None:
        try:
            reply = await self._session.answer(frame, connection.address)
            if reply is not None:
                connection.proven = True
                self._admission.prove(connection)
                await connection.send(reply)
        except CloseConnection as error:
            self._warn("closed", error)
            connection.close()
        except Exception:
            # A bug in one transaction must not end all others. Nothing is answered, so the
            # terminal reverses; what was recorded is undone by recovery.
            self._metrics.failed_requests.inc()
            log.exception("request_failed")
            connection.close()
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._quiet.set()
            connection.done()

    def _cut(self, decoder: FrameDecoder, data: bytes) -> tuple[Sequence[bytes], bool]:
        """The frames that are whole now, and whether what follows them can be no frame."""
        try:
            return decoder.feed(data), False
        except FrameError as error:
            self._warn("bad_frame", error)
            return error.frames, True

    def _warn(self, event: str, reason: object) -> None:
        left_out = self._log_limit.take(trio.current_time())
        if left_out is not None:
            log.warning(event, reason=str(reason), left_out=left_out)


def _address_of(stream: trio.abc.Stream) -> str:
    """Where a connection comes from; empty where that cannot be known."""
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""


def _secured(stream: trio.abc.Stream, tls: ssl.SSLContext) -> trio.abc.Stream:
    return trio.SSLStream(stream, tls, server_side=True, https_compatible=True)


class _Connection:
    """One terminal's stream, with replies sent whole and requests counted."""

    __slots__ = (
        "_lock", "_turn", "address", "closed", "in_flight", "proven", "reading", "stream"
    )  # fmt: skip

    def __init__(self, stream: trio.abc.Stream, address: str) -> None:
        self.stream = stream
        self.address = address
        self.in_flight = 0
        self.closed = False
        self.proven = False
        self.reading = trio.CancelScope()
        self._lock = trio.Lock()
        self._turn: trio.Event | None = None

    async def send(self, reply: bytes) -> None:
        """Send a reply; a terminal that has gone or does not read loses it."""
        if self.closed:
            return
        try:
            with trio.move_on_after(_SEND_S) as sending:
                async with self._lock:
                    await self.stream.send_all(reply)
            if sending.cancelled_caught:
                self.close()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.close()

    async def wait_for_turn(self, pipelined_max: int) -> None:
        """Wait until fewer than ``pipelined_max`` requests of this connection are in flight."""
        while self.in_flight >= pipelined_max:
            self._turn = trio.Event()
            await self._turn.wait()

    def done(self) -> None:
        """One request of this connection has ended."""
        self.in_flight -= 1
        if self._turn is not None:
            self._turn.set()
            self._turn = None

    def close(self) -> None:
        """Close at once: the reading task ends, and takes the stream with it."""
        self.closed = True
        self.reading.cancel()
