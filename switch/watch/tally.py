"""Counts payments and what was given back for ``/metrics``, from the units that were committed.

It looks at the steps, not at answers, so a repeated request counts once, what never committed not
at all, and a payment that a rule or a recovery undoes counts like one that a terminal reverses.
It starts from zero with the process; ``acquirer report`` has the books' own sums.
Source: Prometheus naming conventions.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from acquirer.codecs.order_codes import means_of
from acquirer.ledger.accounts.transfer_steps import PostReversed
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.kinds import KINDS, Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueEvent,
    QueueSaf,
    Step,
    UpdateEntry,
)

UNDER_WAY_MAX = 10_000
_COUNTED = frozenset(
    kind for kind, row in KINDS.items() if row.payment or row.gives_back or row.is_exception
)


class Tally:
    """Takes committed units; cheap, since it is on the path of every payment."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("kind", "means", "merchant_id")
        back, currency = (*labels, "how"), "currency_code"
        self._payments = Counter(
            "acquirer_payments", "Payments that took effect", labels, registry=registry
        )
        self._payments_minor = Counter(
            "acquirer_payments_minor",
            "Their amounts in minor units",
            (*labels, currency),
            registry=registry,
        )
        self._given_back = Counter(
            "acquirer_given_back", "Payments undone afterwards", back, registry=registry
        )
        self._given_back_minor = Counter(
            "acquirer_given_back_minor",
            "Their amounts in minor units",
            (*back, currency),
            registry=registry,
        )
        self._exceptions = Counter(
            "acquirer_order_exceptions",
            "Orders that could not be delivered",
            ("merchant_id",),
            registry=registry,
        )
        self._under_way: dict[int, Entry] = {}
        self._of_kind: dict[tuple[str, ...], tuple[Counter, Counter]] = {}

    def take(self, steps: Sequence[Step]) -> None:
        """Count what a unit did, after its commit."""
        approved: list[Entry] = []
        for step in steps:
            if type(step) is InsertEntry and step.entry.kind in _COUNTED:
                if step.entry.state is State.APPROVED:
                    approved.append(step.entry)
                elif step.entry.state is State.SENT:
                    self._remember(step.entry)
            elif type(step) is UpdateEntry and step.state is not None:
                ended = self._under_way.pop(step.id, None)
                if ended is not None and step.state is State.APPROVED:
                    approved.append(ended)
        for entry in approved:
            row = KINDS[entry.kind]
            if row.payment:
                self._count_payment(entry)
            elif row.is_exception:
                self._exceptions.labels(entry.merchant_id).inc()
            elif entry.kind is Kind.REFUND or any(type(step) is PostReversed for step in steps):
                self._count_given_back(entry, steps)

    def _remember(self, entry: Entry) -> None:
        self._under_way[entry.id] = entry
        if len(self._under_way) > UNDER_WAY_MAX:
            del self._under_way[next(iter(self._under_way))]

    def _count_payment(self, entry: Entry) -> None:
        means = means_of(entry.processing_code)
        key = (entry.kind, means, entry.merchant_id, entry.currency_code)
        counters = self._of_kind.get(key)
        if counters is None:
            labels = (KINDS[entry.kind].payment, means, entry.merchant_id)
            minor = self._payments_minor.labels(*labels, entry.currency_code)
            counters = self._of_kind[key] = (self._payments.labels(*labels), minor)
        counters[0].inc(0 if KINDS[entry.kind].adds else 1)
        counters[1].inc(entry.amount_minor)

    def _count_given_back(self, entry: Entry, steps: Sequence[Step]) -> None:
        """The unit says what the entry of an undo does not: what it undid, and at whose bank."""
        how = KINDS[entry.kind].gives_back
        if any(type(s) is UpdateEntry and s.expected == (State.VOIDED,) for s in steps):
            how = "void_undone"
        elif entry.kind is Kind.REVERSAL and not entry.mti:
            how = "unconfirmed"
        means = "cash" if entry.amount_minor else "none"
        if entry.bank or any(type(step) is QueueSaf for step in steps):
            means = "card"
        kind = "order" if any(type(step) is QueueEvent for step in steps) else "sale"
        labels = (kind, means, entry.merchant_id, how)
        self._given_back.labels(*labels).inc()
        self._given_back_minor.labels(*labels, entry.currency_code).inc(entry.amount_minor)
