"""The switch's counters for ``/metrics``, in one place. Names end in their unit.

Source: Prometheus naming conventions.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30)


class Metrics:
    """Counters of one switch, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._transactions = Counter(
            "acquirer_transactions",
            "Answers to terminals",
            ("kind", "response_code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "acquirer_transaction_seconds",
            "From a whole request to its answer",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.malformed = self._counter("malformed_messages", "Messages that did not decode")
        self.failed_requests = self._counter(
            "failed_requests", "Requests that ended in an error of the program: a bug"
        )
        self.mac_errors = self._counter("mac_errors", "Requests whose MAC did not verify")
        self.uncertain = self._counter(
            "uncertain_answers", "Requests left unanswered because the books could not be asked"
        )
        self.refused_connections = self._counter(
            "refused_connections", "Terminal connections over the limit"
        )
        self.connections = Gauge(
            "acquirer_terminal_connections", "Open terminal connections", registry=self.registry
        )
        self.late_replies = self._counter(
            "late_bank_replies", "Replies of banks that nothing was waiting for"
        )
        self._children: dict[tuple[str, str], Counter] = {}
        self._observers: dict[str, Histogram] = {}

    def transaction(self, kind: str, response_code: str, took_s: float) -> None:
        """Count one answer; cheap, since it is on the path of every payment."""
        key = (kind, response_code)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._transactions.labels(kind, response_code)
        child.inc()
        observer = self._observers.get(kind)
        if observer is None:
            observer = self._observers[kind] = self._seconds.labels(kind)
        observer.observe(took_s)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"acquirer_{name}", text, registry=self.registry)
