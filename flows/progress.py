"""Live progress: in the store for clients, in a Prefect artifact for the page."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import Self

import httpx
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from flows import artifacts
from qcpaas.schemas import Progress
from store.jobs import Jobs

STORE_EVERY_S = 0.5
PAGE_EVERY_S = 2.0
CURVE_EVERY_S = 60.0  # drawing a plot takes a third of a second of this process
KEPT_POINTS = 2_000


class ProgressReporter:
    """Takes reports at any rate, and passes on the newest from a thread of its own."""

    def __init__(self, job_id: str, jobs: Jobs) -> None:
        self._job_id = job_id
        self._jobs = jobs
        self._newest = Progress(stage="starting")
        self._curves: dict[str, list[tuple[float, float]]] = {}
        self._log = get_run_logger()
        self._ended = threading.Event()
        self._page: artifacts.ProgressPage | None = None
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._pass_on,), daemon=True
        )

    def __enter__(self) -> Self:
        self._page = artifacts.ProgressPage(self._job_id)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._jobs.report(self._job_id, self._newest)
        self._show(self._newest)
        if self._page is not None:
            self._page.close()
        self._draw()

    def complete(self) -> None:
        """The job has answered; its last figures stay."""
        last = self._newest
        total = last.total or 1.0
        self._newest = last.model_copy(update={"stage": "done", "done": total, "total": total})

    def stage(self, name: str) -> None:
        """Enter a stage of unknown length."""
        self._newest = Progress(stage=name)

    def step(self, stage: str, done: int, total: int) -> None:
        """Enter step ``done + 1`` of ``total`` stages."""
        self._newest = Progress(stage=stage, done=done, total=total)

    def report(
        self, done: float, total: float | None, message: str, metrics: dict[str, float]
    ) -> None:
        """A workload's own progress."""
        self._newest = Progress(
            stage="iterations", done=done, total=total, message=message, metrics=metrics
        )
        for name, value in metrics.items():
            curve = self._curves.setdefault(name, [])
            curve.append((done, value))
            if len(curve) > KEPT_POINTS:  # keep the shape of a long curve, not every point
                del curve[1::2]

    def _pass_on(self) -> None:
        shown = stored = self._newest
        page_at = curve_at = time.monotonic()
        while not self._ended.wait(STORE_EVERY_S):
            newest, now = self._newest, time.monotonic()
            if newest is not stored:
                self._jobs.report(self._job_id, newest)
                stored = newest
            if newest is not shown and now - page_at >= PAGE_EVERY_S:
                self._show(newest)
                shown, page_at = newest, now
            if now - curve_at >= CURVE_EVERY_S:
                self._draw()
                curve_at = now

    def _show(self, progress: Progress) -> None:
        """Update the page; a page that cannot be reached costs no job its answer."""
        try:
            if self._page is not None:
                self._page.show(progress)
        except (httpx.HTTPError, PrefectException) as error:
            self._log.warning("progress could not be shown: %s", error)

    def _draw(self) -> None:
        try:
            for name, curve in list(self._curves.items()):
                if len(curve) > 1:
                    artifacts.publish_curve(self._job_id, name, list(curve))
        except (httpx.HTTPError, PrefectException) as error:
            self._log.warning("a curve could not be shown: %s", error)
