"""Health, metrics and operator calls over HTTP; no payment passes here.

``/healthz`` says that the process lives, ``/readyz`` whether it can take payments, ``/metrics``
gives the Prometheus text format; operator calls are ``operator_api.py``'s. Starlette on
Hypercorn's trio worker; it logs no request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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
    shutdown: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until ``shutdown`` returns.

    Args:
        address: ``host:port``; port 0 takes a free one.
        ready: see :func:`http_app`.
        registry: see :func:`http_app`.
        operator: see :func:`http_app`.
        shutdown: awaited beside the server; when it returns, the server closes in an orderly way.
        task_status: told ``host:port`` as bound.

    Raises:
        OSError: the address cannot be bound.
    """
    config = Config()
    config.bind = [address]
    config.errorlog = None
    config.accesslog = None
    config.include_server_header = False
    config.graceful_timeout = 1.0
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve(
                cast(ASGIFramework, http_app(ready, registry, operator)),
                config,
                shutdown_trigger=shutdown or trio.sleep_forever,
                task_status=task_status,
            )

        bound = await nursery.start(run)
        task_status.started(urlsplit(bound[0]).netloc)
