"""What several workers show as metrics, as those of one switch. Pure.

Counters and histograms are sums, in which workers that are gone count on: a sum that fell would
look like a restart, and all it holds like new. Gauges are sums where each worker has a part, and
the worst or latest where all show the same thing. Source: Prometheus text exposition format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_Sample = tuple[str, tuple[tuple[str, str], ...]]
_GROWING = frozenset({"counter", "histogram"})
_CREATED = "_created"
# Of gauges; those that are not here show the highest.
GAUGES: Mapping[str, Callable[[float, float], float]] = MappingProxyType(
    {
        "acquirer_terminal_connections": lambda one, other: one + other,
        "acquirer_link_in_flight": lambda one, other: one + other,
        "acquirer_hsm_up": min,
    }
)


class Shown:
    """The samples of one exposition, or of several merged ones."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._values: dict[str, dict[_Sample, float]] = {}

    @classmethod
    def of(cls, text: str) -> Shown:
        """What an exposition shows.

        Raises:
            ValueError: it is none.
        """
        shown = cls()
        for family in text_string_to_metric_families(text):
            shown._add(
                family,
                {
                    (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                    for sample in family.samples
                },
            )
        return shown

    def merge(self, other: Shown) -> None:
        """Add what another shows."""
        for name, family in other._families.items():
            self._add(family, other._values[name])

    def growing(self) -> Shown:
        """What counts on when the worker is gone."""
        kept = Shown()
        for name, family in self._families.items():
            if family.type in _GROWING or name.endswith(_CREATED):
                kept._add(family, self._values[name])
        return kept

    def text(self) -> bytes:
        """The exposition."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(self._all()))
        return generate_latest(registry)

    def _add(self, family: Metric, samples: Mapping[_Sample, float]) -> None:
        values = self._values.setdefault(family.name, {})
        self._families.setdefault(family.name, family)
        rule = _rule(family)
        for key, value in samples.items():
            values[key] = rule(values[key], value) if key in values else value

    def _all(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            metric = Metric(name, family.documentation, family.type)
            for (sample, labels), value in self._values[name].items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


def _rule(family: Metric) -> Callable[[float, float], float]:
    if family.type in _GROWING:
        return lambda one, other: one + other
    return min if family.name.endswith(_CREATED) else GAUGES.get(family.name, max)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
