"""The module's numbers in Prometheus's form, and the small HTTP server that gives them away.

Numbers are read when they are asked for; counting them costs commands nothing more. The server
knows ``GET /metrics`` only. Source: Prometheus text exposition format 0.0.4; RFC 9112 (by h11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate

import h11
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from acquirer.hsm_sim.module import LATENCY_BOUNDS_S, SecurityModule
from acquirer.hsm_sim.server import HsmServer

PATH = b"/metrics"
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
REQUEST_BYTES_MAX = 8 * 1024
REQUEST_TIMEOUT_S = 5.0
_BOUNDS = [*(repr(bound) for bound in LATENCY_BOUNDS_S), "+Inf"]


class ModuleCollector(Collector):
    """Reads a module's counts and its servers'."""

    def __init__(self, module: SecurityModule, *servers: HsmServer) -> None:
        self._module = module
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        """Every metric; commands that were never called have none."""
        calls = CounterMetricFamily("hsm_commands", "Commands carried out.", labels=["command"])
        errors = CounterMetricFamily(
            "hsm_command_errors", "Commands answered with an error code.", labels=["command"]
        )
        latency = HistogramMetricFamily(
            "hsm_command_seconds", "Time a command took.", labels=["command"]
        )
        for code, count in self._module.counts.items():
            if count.calls:
                calls.add_metric([code], count.calls)
                errors.add_metric([code], count.errors)
                running = accumulate(float(number) for number in count.buckets)
                latency.add_metric([code], list(zip(_BOUNDS, running, strict=True)), count.seconds)
        yield from (calls, errors, latency)
        servers = self._servers
        yield CounterMetricFamily(
            "hsm_unknown_commands", "Requests with an unknown command.", self._module.unknown_count
        )
        yield GaugeMetricFamily(
            "hsm_connections", "Connections open now.", sum(one.connections for one in servers)
        )
        yield CounterMetricFamily(
            "hsm_refused_connections",
            "Connections beyond the limit.",
            sum(one.refused_connections for one in servers),
        )
        yield CounterMetricFamily(
            "hsm_broken_frames",
            "Connections closed for a broken frame.",
            sum(one.broken_frames for one in servers),
        )


async def serve_metrics(
    module: SecurityModule, servers: Sequence[HsmServer], listeners: list[trio.SocketListener]
) -> None:
    """Answer ``GET /metrics`` on open listeners until cancelled.

    Resource handling: closes listeners and connections when cancelled.
    """
    registry = CollectorRegistry()
    registry.register(ModuleCollector(module, *servers))
    await trio.serve_listeners(partial(answer, registry), listeners)


async def answer(registry: CollectorRegistry, stream: trio.abc.Stream) -> None:
    """Answer one HTTP request and close the connection.

    Error handling: a broken, slow or too long request ends the connection without an answer.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX)
    async with stream:
        try:
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                await _answer(connection, registry, stream)
        except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def _answer(
    connection: h11.Connection, registry: CollectorRegistry, stream: trio.abc.Stream
) -> None:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(bytes(await stream.receive_some(REQUEST_BYTES_MAX)))
    if not isinstance(event, h11.Request):
        return
    found = event.method == b"GET" and event.target.partition(b"?")[0] == PATH
    content = generate_latest(registry) if found else b"not found\n"
    headers = [
        (b"content-type", CONTENT_TYPE if found else b"text/plain"),
        (b"content-length", str(len(content)).encode("ascii")),
        (b"connection", b"close"),
    ]
    events = (
        h11.Response(status_code=200 if found else 404, headers=headers),
        h11.Data(data=content),
        h11.EndOfMessage(),
    )
    await stream.send_all(b"".join(connection.send(event) or b"" for event in events))
