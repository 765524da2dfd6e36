"""Counters that other parts keep, as ``/metrics`` shows them: links, queues, security modules.

Read when somebody asks, so that nothing is copied on the path of a payment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from acquirer.routing.outcomes import LinkStatus
from acquirer.switch.hsm.failover import ModuleStatus
from acquirer.switch.workers.saf import SafWorker


class LinkCollector(Collector):
    """Every link's state, its requests in flight and its counters.

    Args:
        states: as ``Banks.states``.
    """

    def __init__(self, states: Callable[[], Sequence[LinkStatus]]) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        labels = ("bank", "link")
        up = GaugeMetricFamily("acquirer_link_up", "Whether a link is up", labels=labels)
        flight = GaugeMetricFamily("acquirer_link_in_flight", "Waiting for replies", labels=labels)
        events = CounterMetricFamily(
            "acquirer_link_events", "What happened on a link", labels=(*labels, "event")
        )
        for status in self._states():
            names = (status.bank, status.link)
            up.add_metric(names, status.state.value == "up")
            flight.add_metric(names, status.in_flight)
            for event, count in asdict(status.counters).items():
                events.add_metric((*names, event), count)
        yield from (up, flight, events)


class SafCollector(Collector):
    """What the workers for banks did since the start."""

    def __init__(self, workers: Sequence[SafWorker]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        events = CounterMetricFamily(
            "acquirer_saf_events", "Messages that banks are owed", labels=("bank", "event")
        )
        for worker in self._workers:
            for event, count in asdict(worker.counters).items():
                events.add_metric((worker.bank, event), count)
        yield events


class HsmCollector(Collector):
    """Which security modules are used, and what they left unanswered.

    Args:
        states: as ``FailoverTransport.states``.
    """

    def __init__(self, states: Callable[[], Sequence[ModuleStatus]]) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        up = GaugeMetricFamily(
            "acquirer_hsm_up", "Whether a security module is used", labels=("module",)
        )
        unanswered = CounterMetricFamily(
            "acquirer_hsm_unanswered", "Commands without a reply", labels=("module",)
        )
        for status in self._states():
            up.add_metric((status.module,), status.state == "up")
            unanswered.add_metric((status.module,), status.unanswered)
        yield from (up, unanswered)
