"""What one metric is, as data, and what it becomes in a registry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.core import GaugeMetricFamily


class Kind(StrEnum):
    """The type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Args:
        name: as it is exposed, `_total` of a counter included; base units last.
        text: what it says, in one sentence.
        labels: names of its labels; their values come from closed sets.
        buckets: upper bounds of a histogram, rising.
    """

    kind: Kind
    name: str
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def counter(self, registry: CollectorRegistry) -> Counter:
        """The counter, registered."""
        from prometheus_client import Counter

        return Counter(self.name, self.text, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """The gauge, registered."""
        from prometheus_client import Gauge

        return Gauge(self.name, self.text, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """The histogram, registered."""
        from prometheus_client import Histogram

        return Histogram(self.name, self.text, self.labels, buckets=self.buckets, registry=registry)

    def family(self, samples: dict[tuple[str, ...], float]) -> GaugeMetricFamily:
        """The gauge as a collector yields it: label values -> value."""
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for values, value in samples.items():
            family.add_metric(values, value)
        return family
