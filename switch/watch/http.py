"""Health, metrics and operator calls over HTTP; no payment passes here.

``/healthz`` says that the process lives, ``/readyz`` whether it can take payments, ``/metrics``
gives the Prometheus text format; operator calls are ``operator_api.py``'s. A Starlette
application on ``http_server.py``; it logs no request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from acquirer.switch.watch.http_server import HttpServer, Trusts

Ready = Callable[[], tuple[bool, dict[str, object]]]
OperatorRoutes = Sequence[Route]


def http_app(ready: Ready, registry: CollectorRegistry, operator: OperatorRoutes = ()) -> Starlette:
    """The application.

    Args:
        ready: whether payments can be taken now, and why or why not, as a JSON object; must be
            quick and must not wait.
        registry: what ``/metrics`` shows.
        operator: routes of operator calls.
    """

    async def healthz(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> Response:
        is_ready, details = ready()
        return JSONResponse({"ready": is_ready, **details}, 200 if is_ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *operator,
        ]
    )


async def serve_http(
    address: str,
    *,
    ready: Ready,
    registry: CollectorRegistry,
    operator: OperatorRoutes = (),
    trusts: Trusts = lambda authorization: False,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled.

    Args:
        address: ``host:port``; port 0 takes a free one.
        ready: see :func:`http_app`.
        registry: see :func:`http_app`.
        operator: see :func:`http_app`.
        trusts: whose requests may be long.
        task_status: told ``host:port`` as bound.

    Raises:
        OSError: the address cannot be bound.
    """
    host, _, port = address.rpartition(":")
    server = HttpServer(http_app(ready, registry, operator), trusts)
    listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"))
    bound_host, bound_port = listeners[0].socket.getsockname()[:2]
    task_status.started(f"{bound_host}:{bound_port}")
    await trio.serve_listeners(server.serve_stream, listeners)
