"""The order system on TCP: a small HTTP/1.1 shell around h11, and the program's main task.

Keeps connections open. Requests are bounded in size and time, connections in number. It is this
thin, and no general web server, so that in a measurement the merchant's side costs little beside
the switch (a request takes a quarter of the processor time). Source: RFC 9112.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import h11
import structlog
import trio

from acquirer.config.estate import load_estate
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.orders.app import OrderApp, Reply, Request
from acquirer.hosts_sim.orders.settings import OrderSimSettings
from acquirer.hosts_sim.orders.store import OrderStore

BODY_BYTES_MAX = 65_536
_RECEIVE_BYTES = 65_536
_TOO_LARGE = Reply(413, b'{"error":"too_large","detail":""}')
_log = structlog.get_logger("acquirer.order_sim")


async def run_order_sim(
    settings: OrderSimSettings, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve HTTP until cancelled; the books are closed at the end.

    Args:
        settings: ``data`` and ``estate`` are used as they are.
        task_status: told ``host:port`` as bound.

    Raises:
        ConfigError: estate or address cannot be used.
        StoreError: the books cannot be opened.
        OSError: the address cannot be bound.
    """
    with opened_app(settings) as app:
        await serve_http(app, settings, task_status=task_status)


@contextmanager
def opened_app(settings: OrderSimSettings) -> Iterator[OrderApp]:
    """The order system on its open books, which are closed at the end.

    Raises:
        ConfigError: the estate cannot be used.
        StoreError: the books cannot be opened.
    """
    estate = load_estate(settings.estate)
    secrets = {
        merchant.merchant_id: [
            merchant.event_secret,
            *settings.secrets.get(merchant.merchant_id, []),
        ]
        for merchant in estate.merchants
    }
    store = OrderStore(Path(settings.data))
    try:
        currencies = {one.merchant_id: one.currency_code for one in estate.merchants}
        store.seed(estate.orders, currencies, estate.items)
        yield OrderApp(
            store,
            secrets,
            rules=settings.rules,
            max_age_s=settings.max_age_s,
            part_payment=[one.merchant_id for one in estate.merchants if one.part_payment],
        )
    finally:
        store.close()


async def serve_http(
    app: OrderApp,
    settings: OrderSimSettings,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; raises as :func:`run_order_sim`."""
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError("order-sim", "listen", f"{settings.listen!r} is not host:port")
    listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"))
    bound_host, bound_port = listeners[0].socket.getsockname()[:2]
    _log.info("order_sim_started", port=bound_port)
    task_status.started(f"{bound_host}:{bound_port}")
    server = OrderServer(app, settings.idle_s, settings.connections_max)
    await trio.serve_listeners(server.serve_stream, listeners)


class Handler(Protocol):
    """Answers requests; ``OrderApp`` is one."""

    async def handle(self, request: Request) -> Reply:
        """Answer a request; never raises for what a request holds."""


class OrderServer:
    """What all connections share.

    Args:
        app: answers the requests.
        idle_s: a connection without a whole request for so long is closed.
        connections_max: connections at once; more wait.
    """

    def __init__(self, app: Handler, idle_s: float, connections_max: int) -> None:
        self._app = app
        self._idle_s = idle_s
        self._places = trio.Semaphore(connections_max)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until either side closes it."""
        async with self._places, stream:
            connection = h11.Connection(h11.SERVER)
            try:
                while True:
                    request = None
                    with trio.move_on_after(self._idle_s):
                        request = await _receive(connection, stream)
                    if request is None:
                        return
                    too_large = len(request.body) > BODY_BYTES_MAX
                    reply = _TOO_LARGE if too_large else await self._app.handle(request)
                    if reply.status <= 0:
                        await self._without_answer(reply, stream)
                        return
                    await stream.send_all(_send(connection, reply, close=too_large))
                    if connection.our_state is not h11.DONE:
                        return
                    connection.start_next_cycle()
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                return

    async def _without_answer(self, reply: Reply, stream: trio.abc.Stream) -> None:
        if reply.status < 0:
            with trio.move_on_after(self._idle_s):
                await stream.receive_some(1)


async def _receive(connection: h11.Connection, stream: trio.abc.Stream) -> Request | None:
    """The next whole request, cut off beyond the limit, or None at the end of the stream.

    Raises:
        h11.RemoteProtocolError: no HTTP.
        trio.BrokenResourceError: the connection is gone.
    """
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await stream.send_all(connection.send(go_on) or b"")
            connection.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.ConnectionClosed):
            return None
        if head is not None and (isinstance(event, h11.EndOfMessage) or len(body) > BODY_BYTES_MAX):
            headers = {
                name.decode("ascii"): value.decode("latin-1") for name, value in head.headers
            }
            target = head.target.decode("ascii").partition("?")[0]
            return Request(head.method.decode("ascii"), target, headers, body)


def _send(connection: h11.Connection, reply: Reply, *, close: bool) -> bytes:
    headers = [("content-type", "application/json"), ("content-length", str(len(reply.body)))]
    if reply.allow:
        headers.append(("allow", reply.allow))
    if close:
        headers.append(("connection", "close"))
    data = connection.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    data += connection.send(h11.Data(data=reply.body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")
