"""Figures of the platform, read from its store when they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qcpaas.errors import QCPaaSError
from store.backlog_figures import BacklogFigures, backlog_figures
from store.database import Store
from store.forecasts import Forecasts
from store.workers import Workers

KEPT_S = 5.0  # whoever asks more often gets the same figures
_JUDGED = timedelta(days=1)


class PlatformFigures(Collector):
    """Every gateway tells the same: take the maximum over gateways, not the sum."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._kept: list[Metric] = []

    def describe(self) -> list[Metric]:
        """Nothing: so that the store is not read before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at > KEPT_S:
                self._kept = self._read()
                self._read_at = time.monotonic()
            kept = self._kept
        yield from kept

    def _read(self) -> list[Metric]:
        """Of a store that is away only that it is: the gateway's own figures are told then too."""
        reached = GaugeMetricFamily("qcpaas_store_reachable", "Whether the store answers.")
        try:
            found = [*self._jobs(), *self._forecasts(), self._workers()]
        except QCPaaSError:
            found = []
        reached.add_metric((), float(bool(found)))
        return [reached, *found]

    def _jobs(self) -> list[Metric]:
        found = backlog_figures(self._store)
        return [
            _family("qcpaas_jobs_waiting", "Jobs in the backlog.", "device", found.waiting),
            _family(
                "qcpaas_jobs_released",
                "Jobs handed to the engine that have not begun.",
                "device",
                found.released,
            ),
            _family("qcpaas_jobs_running", "Jobs that run.", "device", found.running),
            _family("qcpaas_jobs_ended", "Jobs that have ended, as kept.", "state", found.ended),
            _family("qcpaas_qpu_seconds", "Device time of jobs that ended.", "device", found.qpu_s),
            _oldest(found),
        ]

    def _forecasts(self) -> list[Metric]:
        accuracy = Forecasts(self._store).accuracy(datetime.now(UTC) - _JUDGED)
        figures = accuracy.model_dump(include={"within", "in_interval", "mean_error_s"})
        told = {name: value for name, value in figures.items() if value is not None}
        return [
            _family(
                "qcpaas_starts_in_accuracy",
                "First forecasts of the last day's starts: jobs judged; shares within max(60 s, "
                "25 %) and inside the interval; mean error in seconds.",
                "figure",
                {"judged_jobs": float(accuracy.jobs), **told},
            )
        ]

    def _workers(self) -> Metric:
        alive: dict[str, float] = {}
        for info, _ in Workers(self._store).living():
            alive[info.pool] = alive.get(info.pool, 0) + 1
        return _family("qcpaas_workers_alive", "Workers that renewed themselves.", "pool", alive)


def _family(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in sorted(values.items()):
        family.add_metric((key,), value)
    return family


def _oldest(found: BacklogFigures) -> Metric:
    return _family(
        "qcpaas_oldest_waiting_seconds",
        "How long the longest waiting job waits.",
        "device",
        found.oldest_s,
    )
