"""What a metric is: one entry of a list, with name, kind, labels and meaning. Nothing else makes a metric."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Kind = Literal["counter", "gauge", "histogram"]

PREFIX = "leap_"

# When a series began is of use to nobody here, and would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One metric as it is listed: the name is the one that is scraped."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


ENTRIES: list[Entry] = []
"""Every metric this process has, in the order of the files that declare them."""


def counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    """List and make a counter of what this process did."""
    _list(Entry(name=name, kind="counter", labels=tuple(labels), meaning=meaning))
    return Counter(name.removesuffix("_total"), meaning, labels)


def gauge(name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    """List and make a gauge that is set one label set at a time."""
    _list(Entry(name=name, kind="gauge", labels=tuple(labels), meaning=meaning))
    return Gauge(name, meaning, labels)


def histogram(name: str, meaning: str, labels: Sequence[str], *, buckets: Sequence[float]) -> Histogram:
    """List and make a histogram of single observations."""
    _list(Entry(name=name, kind="histogram", labels=tuple(labels), meaning=meaning, buckets=tuple(buckets)))
    return Histogram(name, meaning, labels, buckets=buckets)


def weighted_histogram(
    name: str, meaning: str, labels: Sequence[str], *, buckets: Sequence[float]
) -> "WeightedHistogram":
    """List and make a histogram that takes many equal observations in one call."""
    _list(Entry(name=name, kind="histogram", labels=tuple(labels), meaning=meaning, buckets=tuple(buckets)))
    made = WeightedHistogram(name, meaning, labels, buckets)
    REGISTRY.register(made)
    return made


def snapshot(kind: Literal["counter", "gauge"], name: str, meaning: str, labels: Sequence[str] = ()) -> "Snapshot":
    """List and make a metric that is read as a whole, from the database for instance, when it is asked for.

    A counter of this kind says the same in every process of a service: take the `max by`, never the sum.
    """
    _list(Entry(name=name, kind=kind, labels=tuple(labels), meaning=meaning))
    made = Snapshot(kind, name, meaning, labels)
    REGISTRY.register(made)
    return made


class WeightedHistogram(Collector):
    """A histogram whose observations come by the thousand: a batch is one observation with its number of records."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._name, self._meaning, self._labels = name, meaning, tuple(labels)
        self._bounds = tuple(buckets)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, *labels: str, value: float, times: int = 1) -> None:
        """Count the value as often as said; `times` of 0 makes the series known."""
        counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, value)] += times
        self._sums[labels] = self._sums.get(labels, 0.0) + value * times

    def collect(self) -> Iterable[Metric]:
        """Give the histogram as it stands, its buckets cumulative."""
        shown = Metric(self._name, self._meaning, "histogram")
        for values, counts in self._counts.items():
            labels = dict(zip(self._labels, values, strict=True))
            below = 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                below += count
                edge = "+Inf" if bound == float("inf") else str(float(bound))
                shown.add_sample(f"{self._name}_bucket", {**labels, "le": edge}, float(below))
            shown.add_sample(f"{self._name}_count", labels, float(below))
            shown.add_sample(f"{self._name}_sum", labels, self._sums[values])
        yield shown


def about(people: int) -> int:
    """Round a number of people up to the next ten; 0 stays 0. Fewer than that would be somebody in particular."""
    return -(-people // 10) * 10


class Snapshot(Collector):
    """Values replaced all at once, so that what is no longer there is no longer shown."""

    def __init__(self, kind: Literal["counter", "gauge"], name: str, meaning: str, labels: Sequence[str]) -> None:
        self._kind, self._name, self._meaning, self._labels = kind, name, meaning, tuple(labels)
        self._values: dict[tuple[str, ...], float] = {}

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Show these values and no others."""
        self._values = dict(values)

    def collect(self) -> Iterable[Metric]:
        """Give the values as of the last replacement."""
        shown = Metric(self._name.removesuffix("_total"), self._meaning, self._kind)
        for values, value in self._values.items():
            shown.add_sample(self._name, dict(zip(self._labels, values, strict=True)), value)
        yield shown


def _list(entry: Entry) -> None:
    if not entry.name.startswith(PREFIX) or (entry.kind == "counter") != entry.name.endswith("_total"):
        raise ValueError(f"{entry.name}: a metric begins with {PREFIX}, and a counter, no other, ends with _total")
    ENTRIES.append(entry)
