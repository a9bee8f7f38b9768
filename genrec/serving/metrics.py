"""What a server tells Prometheus."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Call:
    """One call that is being answered."""

    status = 500
    """What it was answered with; until then, as if it failed."""


class Metrics:
    """Counts of one server; several in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.calls = Counter("genrec_calls", "Calls by method, path and status.", ("method", "path", "status"), **own)
        about = "From the head of a call to its answer."
        self.seconds = Histogram("genrec_call_seconds", about, ("method", "path"), buckets=_SECONDS, **own)
        self.batches = Histogram("genrec_batch_histories", "Histories searched together.", buckets=_SIZES, **own)
        self.searching = Counter("genrec_search_seconds", "Spent in searches.", **own)
        self.waiting = Gauge("genrec_waiting_histories", "Histories that wait for a batch.", **own)
        self.version = Gauge("genrec_catalogue_version", "Of the catalogue that is served.", **own)
        self.stocked = Gauge("genrec_items_in_stock", "Items that are recommended.", **own)
        self.waiting_changes = Gauge("genrec_waiting_changes", "Changes of the catalogue that are not done.", **own)
        about = "Changes of the catalogue by kind and result."
        self.changes = Counter("genrec_catalogue_changes", about, ("kind", "result"), **own)

    def watch(self, waiting: Callable[[], int], version: Callable[[], int]) -> None:
        """Where the gauges are read whenever somebody looks."""
        self.waiting.set_function(waiting)
        self.version.set_function(version)

    @contextmanager
    def call(self, method: str, path: str) -> Iterator[Call]:
        """Counts and times what is inside."""
        call, began = Call(), time.perf_counter()
        try:
            yield call
        finally:
            self.calls.labels(method, path, str(call.status)).inc()
            self.seconds.labels(method, path).observe(time.perf_counter() - began)

    def batch(self, size: int, seconds: float) -> None:
        """Count a batch of the recommender."""
        self.batches.observe(size)
        self.searching.inc(seconds)

    def exposed(self) -> tuple[bytes, str]:
        """All of it as text, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
