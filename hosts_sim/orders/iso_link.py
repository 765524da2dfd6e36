"""The order system on an ISO 8583 port: an order host, with the life of a bank's link.

What it is asked, ``app.py`` answers, as over HTTP. Faults: ``lost_answer`` cuts the link, nonsense
goes out as a frame that is no message.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

import structlog
import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import DialectError, LocalFormatError, RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.host_link import HostLink, LinkTerms
from acquirer.hosts_sim.orders.app import OrderApp
from acquirer.hosts_sim.orders.iso_messages import refusal, reply_of, request_of
from acquirer.hosts_sim.orders.settings import IsoSettings
from acquirer.hosts_sim.zone_keys import ZonePair

_GARBAGE = b"\xff" * 40
_KEY_OVERLAP_S = 30.0
_FRAME_BYTES_MAX = 8192
_IN_FLIGHT_MAX = 1024
_log = structlog.get_logger("acquirer.order_sim")


class OrderLink(HostLink):
    """One link of an order host."""

    def __init__(
        self,
        app: OrderApp,
        terms: LinkTerms,
        stream: trio.abc.Stream,
        wall_s: Callable[[], float],
    ) -> None:
        super().__init__(terms, stream)
        self._app = app
        self._wall_s = wall_s

    def _cut_over(self) -> None:
        """An order host has no business date."""

    def _transact(self, envelope: bytes, message: Message) -> None:
        assert self._nursery is not None
        pair: ZonePair | None = None
        if self._keys is not None:
            pair = self._keys.check(message, trio.current_time())
            if pair is None:
                candidates = self._keys.pairs(trio.current_time())
                sealed_by = candidates[0] if candidates else None
                self._queue(self._sealed(envelope, refusal(message, "A0"), sealed_by))
                return
        self._in_flight += 1
        self._nursery.start_soon(self._work, envelope, message, pair)

    async def _work(self, envelope: bytes, message: Message, pair: ZonePair | None) -> None:
        try:
            await self._answer_to(envelope, message, pair)
        finally:
            self._in_flight -= 1
            self._eased.unpark_all()

    async def _answer_to(self, envelope: bytes, message: Message, pair: ZonePair | None) -> None:
        assert self._nursery is not None
        try:
            request = request_of(message, self._app.secrets, self._wall_s())
        except (RemoteFormatError, ValueError):
            self._queue(self._sealed(envelope, refusal(message, "30"), pair))
            return
        answer = await self._app.handle(request)
        if answer.status == 0:
            self._nursery.cancel_scope.cancel()
        if answer.status <= 0:
            return
        reply = reply_of(message, answer)
        if reply is None:
            self._queue(self._terms.header.encode(self._terms.dialect.envelope + _GARBAGE))
            return
        try:
            frame = self._sealed(envelope, reply, pair)
        except LocalFormatError:
            frame = self._sealed(envelope, refusal(message, "96"), pair)
        self._queue(frame)


async def serve_iso(
    app: OrderApp,
    settings: IsoSettings,
    zmk: bytes,
    wall_s: Callable[[], float],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve links until cancelled.

    Args:
        zmk: zone master key, 16 bytes in clear (a test key).
        wall_s: wall clock, seconds since 1970 UTC.
        task_status: told ``host:port`` as bound.

    Raises:
        ConfigError: address or dialect cannot be used.
        OSError: the address cannot be bound.
    """
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError("order-sim", "iso.listen", f"{settings.listen!r} is not host:port")
    try:
        dialect = load_dialect(settings.dialect)
    except DialectError as error:
        raise ConfigError("order-sim", "iso.dialect", str(error)) from None
    terms = LinkTerms(
        dialect=dialect,
        header=dialect.length_header,
        security=settings.security,
        mac=settings.mac,
        key_exchange="reply",
        key_overlap_s=_KEY_OVERLAP_S,
        rekey_s=0.0,
        in_flight_max=_IN_FLIGHT_MAX,
        frame_bytes_max=_FRAME_BYTES_MAX,
        zmk=zmk,
        wall=datetime.now,
        random_bytes=os.urandom,
    )

    async def serve(stream: trio.abc.Stream) -> None:
        await OrderLink(app, terms, stream, wall_s).serve()

    listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"))
    bound_host, bound_port = listeners[0].socket.getsockname()[:2]
    _log.info("order_host_started", port=bound_port)
    task_status.started(f"{bound_host}:{bound_port}")
    await trio.serve_listeners(serve, listeners)
