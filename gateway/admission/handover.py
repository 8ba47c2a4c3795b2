"""Handing jobs to Prefect: claimed in the store, made a flow run, and noted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from gateway.engine.prefect import PrefectEngine
from qcpaas.errors import QCPaaSError
from qcpaas.reports import report_error
from qcpaas.scheduling import Limits
from qcpaas.schemas import JobState
from store.admissions import Admissions
from store.database import Store
from store.jobs import Jobs
from store.releases import Releases

LOST_AFTER = timedelta(seconds=5)  # a releaser makes a claimed job's run within milliseconds
AWAY_S = 5.0  # before a pool is tried again that took no run
SILENT_AFTER = timedelta(
    minutes=2
)  # a run that was made so long ago, and has not begun, is looked at

log = logging.getLogger(__name__)


class Handover:
    """Hands released jobs over; each pool that takes none is left alone for some seconds."""

    def __init__(
        self, store: Store, engine: PrefectEngine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._admissions = Admissions(store)
        self._releases = Releases(store)
        self._jobs = Jobs(store)
        self._clock = clock
        self._away: dict[str, float] = {}

    def release(self, job_id: str, limits: Limits, on_device: int) -> bool:
        """Claim a waiting job and make its flow run.

        Returns:
            Whether it was claimed here. Its run may still be missing: then `finish_lost` makes it.
        """
        admission = self._admissions.get(job_id)
        if admission is None or self._is_away(admission.pool):
            return False
        if not self._releases.claim(job_id, limits, on_device):
            return False
        self._hand_over(job_id, admission.pool)
        return True

    def finish_lost(self) -> int:
        """Make the runs of released jobs that have none; how many."""
        lost = self._releases.without_run(LOST_AFTER)
        made = 0
        for job_id in lost:
            admission = self._admissions.get(job_id)
            if admission is not None and not self._is_away(admission.pool):
                made += self._hand_over(job_id, admission.pool)
        return made

    def look_for_silent(self) -> None:
        """Notice runs that somebody removed or ended in Prefect before they began."""
        for job_id in self._releases.not_begun(SILENT_AFTER):
            run = self._engine.run(job_id)
            if run is None:
                log.warning("the run of job %s has gone; it gets another", job_id)
                self._releases.forget_run(job_id)
            elif run["state_type"] in {"CANCELLED", "FAILED"}:
                self._jobs.finish(job_id, JobState(run["state_type"].lower()))

    def _hand_over(self, job_id: str, pool: str) -> bool:
        try:
            flow_run_id = self._engine.create_run(self._jobs.spec(job_id), pool)
        except QCPaaSError as error:
            if not error.retryable:  # as it is, no server will ever take it
                self._jobs.finish(job_id, JobState.FAILED, report_error(error))
                return False
            if pool not in self._away:
                log.warning("job %s waits for its pool %s: %s", job_id, pool, error)
            self._away[pool] = self._clock() + AWAY_S
            return False
        if self._away.pop(pool, None) is not None:
            log.warning("the pool %s takes jobs again", pool)
        self._releases.note_run(job_id, flow_run_id)
        return True

    def _is_away(self, pool: str) -> bool:
        return self._away.get(pool, float("-inf")) > self._clock()
