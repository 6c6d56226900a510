"""Counts of what a server does, for Prometheus: of this process, or of all processes that share a folder."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that the library reads when it is imported: where processes put their counts together."""


class Metrics:
    """Requests by route, and how long they took; routes are patterns, so that no id and no query is among them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "vlsearch_requests",
            "Requests that were answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "vlsearch_request_seconds",
            "Time that requests took.",
            ("route",),
            registry=self._registry,
            buckets=SECONDS,
        )
        self._open = Gauge(
            "vlsearch_requests_in_progress", "Requests that are being answered.", registry=self._registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        if FOLDER not in os.environ:
            ProcessCollector(registry=self._registry)

    def begin(self) -> None:
        """Note that a request is being answered."""
        self._open.inc()

    def end(self, route: str | None, method: str, status: int | None, seconds: float) -> None:
        """Note how a request was answered; the route is None where none was asked, the status where none was sent."""
        known = route or "other"
        self._open.dec()
        self._requests.labels(known, method if method in METHODS else "other", str(status or "none")).inc()
        self._seconds.labels(known).observe(seconds)

    def text(self) -> bytes:
        """Give the counts as Prometheus reads them."""
        folder = os.environ.get(FOLDER)
        registry = self._registry
        if folder is not None and Path(folder).is_dir():
            registry = CollectorRegistry()
            MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
