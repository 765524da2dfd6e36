"""The switch's counters for ``/metrics``, in one place. Names end in their unit.

Source: Prometheus naming conventions.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from acquirer.config.business import CourierSettings
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.owed.queues import Depth
from acquirer.ledger.reports.gauges import Gauges
from acquirer.payments.kernel.errors import HsmUnavailable
from acquirer.routing.orders.faults import Fault
from acquirer.switch.watch.tally import Tally

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30)


class Metrics:
    """Counters of one switch, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._named: dict[str, Counter] = {}
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
        self.failed_rows = self._counter(
            "failed_rows", "Rows of the books that could not be worked on"
        )
        self.mac_errors = self._counter("mac_errors", "Requests whose MAC did not verify")
        self.uncertain = self._counter(
            "uncertain_answers", "Requests left unanswered because the books could not be asked"
        )
        self.refused_connections = self._counter(
            "refused_connections", "Terminal connections over a limit"
        )
        self.refused_busy = self._counter(
            "refused_busy", "Requests that would have waited too long, refused as they came"
        )
        self.hsm_unavailable = self._counter(
            "hsm_unavailable", "Requests that no security module answered in time"
        )
        self.key_refused = self._counter(
            "hsm_key_refused", "Commands that a security module refused for a key of ours"
        )
        self.books_unavailable = self._counter(
            "books_unavailable", "Requests that the books could not take"
        )
        self.stood_in = self._counter("stood_in", "Payments approved in a bank's place")
        self.connections = Gauge(
            "acquirer_terminal_connections", "Open terminal connections", registry=self.registry
        )
        self.late_replies = self._counter(
            "late_bank_replies", "Replies of banks that nothing was waiting for"
        )
        self._order_faults = Counter(
            "acquirer_order_system_faults",
            "What merchants' order systems did wrong",
            ("merchant_id", "system", "call", "fault", "member"),
            registry=self.registry,
        )
        self._queued = self._gauge("queued", "What waits, by bank or for merchants", ("queue",))
        self._dead = self._gauge("dead_letters", "What was given up, likewise", ("queue",))
        self._oldest = self._gauge("oldest_seconds", "Age of what waits longest", ("queue",))
        self._unconfirmed = self._gauge(
            "unconfirmed_payments", "Orders whose payment nobody has confirmed", ("merchant_id",)
        )
        self._cash = self._gauge(
            "courier_cash_minor",
            "Cash that a merchant's couriers owe",
            ("merchant_id", "currency_code"),
        )
        self.tally = Tally(self.registry)
        self._alarms = self._gauge("alarm", "1 where an operator must look", ("alarm",))
        self._shown: set[str] = set()
        self._merchants: set[str] = set()
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

    def order_fault(self, fault: Fault) -> None:
        """Count what an order system did wrong."""
        self._order_faults.labels(
            fault.merchant_id, fault.system, fault.call, fault.fault, fault.member
        ).inc()

    def not_handled(self, error: Exception) -> None:
        """Count what kept a request from being handled, where an operator must mend it."""
        if isinstance(error, HsmUnavailable):
            self.hsm_unavailable.inc()
        elif isinstance(error, BookUnavailable):
            self.books_unavailable.inc()

    def counts(self) -> dict[str, float]:
        """The plain counters by name, without prefix."""
        return {name: _value(counter) for name, counter in self._named.items()}

    def show(
        self,
        depths: Mapping[str, Depth] | None,
        standing: Iterable[str],
        alarms: Iterable[str],
        now_ms: int,
    ) -> None:
        """Show queue lengths and alarms.

        Args:
            depths: by bank, and as ``""`` for merchants; None where they are not known.
            standing: names of the alarms that stand.
            alarms: all names.
            now_ms: wall clock.
        """
        for queue, depth in (depths or {}).items():
            name = queue or "merchants"
            self._queued.labels(name).set(depth.waiting)
            self._dead.labels(name).set(depth.dead)
            age_ms = 0 if depth.oldest_ms is None else max(now_ms - depth.oldest_ms, 0)
            self._oldest.labels(name).set(age_ms / 1000)
        for queue in self._shown - set(depths if depths is not None else self._shown):
            for gauge in (self._queued, self._dead, self._oldest):
                gauge.labels(queue or "merchants").set(0)
        self._shown |= set(depths or ())
        standing = set(standing)
        for name in alarms:
            self._alarms.labels(name).set(name in standing)

    def show_orders(self, gauges: Gauges, couriers: Mapping[str, CourierSettings]) -> None:
        """Show unconfirmed payments and couriers' cash, by merchant.

        Args:
            couriers: by id; the cash of one who is not there stands under an empty merchant.
        """
        self._merchants |= set(gauges.unconfirmed)
        for merchant_id in self._merchants:
            self._unconfirmed.labels(merchant_id).set(gauges.unconfirmed.get(merchant_id, 0))
        cash: Counts[tuple[str, str]] = Counts()
        for (courier_id, currency_code), minor in gauges.cash_minor.items():
            courier = couriers.get(courier_id)
            cash[courier.merchant_id if courier else "", currency_code] += minor
        for labels, minor in cash.items():
            self._cash.labels(*labels).set(minor)

    def _counter(self, name: str, text: str) -> Counter:
        counter = Counter(f"acquirer_{name}", text, registry=self.registry)
        self._named[name] = counter
        return counter

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"acquirer_{name}", text, labels, registry=self.registry)


def _value(counter: Counter) -> float:
    return next(iter(counter.collect())).samples[0].value
