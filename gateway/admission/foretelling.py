"""When waiting jobs will start: worked out anew as things move, told, and recorded."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from gateway.admission.outlook import Expected, Outlook
from gateway.scheduling.forecast import ForecastErrors, forecasts
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.situation import Situation
from qcpaas.scheduling import StartsIn
from store.database import Store
from store.forecasts import Forecasts, moved

SHARE = 0.1  # of the time that foretelling may take: 10,000 jobs take half a second
ERRORS_FROM = timedelta(days=7)
ERRORS_EVERY_S = 600.0
KEPT = timedelta(days=90)


class Foretelling:
    """Keeps an outlook, and the record of what was told."""

    def __init__(self, store: Store, policy: SchedulingPolicy, outlook: Outlook) -> None:
        self._forecasts = Forecasts(store)
        self._policy = policy
        self._outlook = outlook
        self._errors = ForecastErrors()
        self._errors_at = float("-inf")
        self._told: dict[str, datetime] = {}
        self._starting: set[str] = set()
        self._due_at = float("-inf")

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def look(self, situation: Situation) -> None:
        """Work out the outlook, and record whatever is new in it."""
        began = time.monotonic()
        self._learn(situation.now)
        starts = forecasts(self._policy, situation, self._errors)
        self._outlook.renew(self._expected(situation, starts))
        # Known is when a job's run begins, not when it leaves the vendor's queue.
        self._record(situation, {job_id: told.on_platform for job_id, told in starts.items()})
        self._due_at = time.monotonic() + (time.monotonic() - began) * (1.0 / SHARE - 1.0)

    def started(self, job_ids: Iterable[str]) -> None:
        """Note the starts of jobs that have begun; each is looked at once."""
        new = set(job_ids) - self._starting
        if new:
            self._forecasts.started(new)
            self._starting |= new

    def ended(self, job_ids: Iterable[str]) -> None:
        """Of jobs that may have begun and ended between two looks."""
        ids = set(job_ids)
        self.started(ids)
        self._starting -= ids

    def _expected(self, situation: Situation, starts: dict[str, StartsIn]) -> dict[str, Expected]:
        busy = {job.device for job in situation.waiting}
        return {
            ranked.job.job_id: Expected(starts.get(ranked.job.job_id), ranked.parts)
            for device in busy
            for ranked in self._policy.rank(situation, device)
        }

    def _record(self, situation: Situation, starts: dict[str, StartsIn]) -> None:
        devices = {job.job_id: job.device for job in situation.waiting}
        likely = {
            job_id: told.made_at + timedelta(seconds=told.likely_s)
            for job_id, told in starts.items()
        }
        news = {
            job_id: (devices[job_id], told)
            for job_id, told in starts.items()
            if job_id not in self._told or moved(self._told[job_id], likely[job_id], situation.now)
        }
        self._forecasts.keep(news)
        self._told = {
            job_id: likely[job_id] if job_id in news else self._told[job_id] for job_id in starts
        }

    def _learn(self, now: datetime) -> None:
        if time.monotonic() - self._errors_at > ERRORS_EVERY_S:
            self._errors = ForecastErrors.of(self._forecasts.ratios(now - ERRORS_FROM))
            self._forecasts.forget(KEPT)
            self._errors_at = time.monotonic()
