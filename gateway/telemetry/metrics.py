"""Figures for Prometheus: of this gateway's requests, and of the platform as its store has it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.telemetry.platform_figures import PlatformFigures
from store.database import Store

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One gateway's, in a registry of its own: several in one process count apart."""

    def __init__(self, store: Store) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "qcpaas_gateway_requests",
            "Requests answered.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "qcpaas_gateway_request_seconds",
            "From a request's first byte to its answer's first, so that streams count too.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._refused = Counter(
            "qcpaas_gateway_refusals",
            "Requests that were refused or failed, by the type of the error.",
            ("type",),
            registry=self._registry,
        )
        self._registry.register(PlatformFigures(store))

    def answered(self, route: str, status: int, seconds: float, refusal: str = "") -> None:
        """Count a request.

        Args:
            route: Its route's name, never its path: ids would make a series each.
        """
        self._requests.labels(route or "none", str(status)).inc()
        self._seconds.labels(route or "none").observe(seconds)
        if refusal:
            self._refused.labels(refusal).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format; reads the store."""
        return generate_latest(self._registry)
