"""Health, readiness and metrics over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry, Counter

from acquirer.switch.watch.http import serve_http

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(
    state: dict[str, bool], registry: CollectorRegistry
) -> AsyncIterator[httpx.AsyncClient]:
    """The server on a free port, and a client of it."""

    def ready() -> tuple[bool, dict[str, object]]:
        return all(state.values()), {"checks": dict(state)}

    async with trio.open_nursery() as nursery:
        address = await nursery.start(
            partial(serve_http, "127.0.0.1:0", ready=ready, registry=registry)
        )
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
            yield client
        nursery.cancel_scope.cancel()


async def test_readiness_follows_the_switch_and_health_does_not() -> None:
    """A switch without a database is alive, but not ready; details say why."""
    state = {"database": True, "bank": True}
    async with serving(state, CollectorRegistry()) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {"ready": True, "checks": {"database": True, "bank": True}}
        state["database"] = False
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "checks": {"database": False, "bank": True}}
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"alive": True})


async def test_metrics_show_the_registry_that_was_given() -> None:
    """In the Prometheus text format, and nothing of the global registry."""
    registry = CollectorRegistry()
    Counter("sales", "Card sales.", registry=registry).inc(3)
    async with serving({}, registry) as client:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "sales_total 3.0" in answer.text
        assert "python_info" not in answer.text


async def test_other_paths_and_methods_are_refused() -> None:
    """Nothing else is offered, and the server does not name itself."""
    async with serving({}, CollectorRegistry()) as client:
        answer = await client.get("/")
        assert answer.status_code == 404
        assert "server" not in answer.headers
        assert (await client.post("/healthz")).status_code == 405
