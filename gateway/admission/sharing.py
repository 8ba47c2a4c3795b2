"""Handing several waiting jobs to Prefect as one submission, where their owners allow it."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta

from gateway.engine.prefect import SHARED_FLOW, PrefectEngine
from gateway.scheduling.sharing import Shareable, partners
from gateway.scheduling.situation import Ranked, Running, Situation, Waiting
from qcpaas.errors import QCPaaSError
from qcpaas.reports import report_error
from qcpaas.schemas import CircuitJob, JobState
from store.admissions import Admissions
from store.database import Store
from store.devices import Devices
from store.jobs import Jobs
from store.releases import Releases
from store.shared import Shared
from tasks.share_plan import shared_items
from tasks.shareable import agreement, check_shareable, width

LOST_AFTER = timedelta(seconds=5)
SILENT_AFTER = timedelta(minutes=2)
KEPT = 1_000  # jobs whose circuits were looked at

log = logging.getLogger(__name__)


class SharedHandover:
    """Forms submissions of several jobs; what one gateway leaves undone another finishes."""

    def __init__(self, store: Store, engine: PrefectEngine) -> None:
        self._engine = engine
        self._shared, self._jobs = Shared(store), Jobs(store)
        self._admissions, self._devices = Admissions(store), Devices(store)
        self._releases = Releases(store)
        self._known: OrderedDict[tuple[str, str], Shareable | None] = OrderedDict()

    def release(self, seen: Situation, ranked: Sequence[Ranked], on_device: int) -> list[str]:
        """Release the first of some jobs together with those behind it that fit beside it.

        Args:
            ranked: That may start now one after the other, the first one first.
            on_device: The most jobs that the device may have released at once.

        Returns:
            Whom; nobody where the first one is to run by itself.
        """
        first = self._shareable(ranked[0].job)
        device = None if first is None else self._devices.get(ranked[0].job.device)
        if first is None or device is None:
            return []
        behind = [one for other in ranked[1:] if (one := self._shareable(other.job)) is not None]
        group = [first, *partners(first, behind, device.num_qubits)]
        if len(group) == 1:
            return []
        members = [job.job_id for job in group]
        submission = self._submission(members)
        limits = {job.user: seen.user(job.user).limits for job in group}
        if not self._shared.form(submission, members, limits, on_device):
            return []
        self._hand_over(submission)
        return members

    def places(self, running: Sequence[Running]) -> int:
        """How many submissions released jobs make on their device."""
        if not any(one.job.shared for one in running):
            return len(running)
        return self._shared.places([one.job.job_id for one in running])

    def tidy(self) -> None:
        """Hand over what was formed and lost, and let go of who is still waiting for the ended."""
        for submission_id in self._shared.without_run(LOST_AFTER):
            job = self._jobs.spec(submission_id)
            assert isinstance(job, CircuitJob)
            self._hand_over(job)
        for job_id in self._shared.let_go_of_ended():
            log.warning("job %s runs by itself: what it was a part of ended without it", job_id)

    def look_for_silent(self) -> None:
        """Notice submissions whose runs somebody removed or ended before they began."""
        for submission_id in self._shared.not_begun(SILENT_AFTER):
            run = self._engine.run(submission_id)
            if run is None or run["state_type"] in {"CANCELLED", "FAILED"}:
                self._jobs.finish(submission_id, JobState.CANCELLED)

    def _hand_over(self, submission: CircuitJob) -> None:
        members = self._shared.members(submission.job_id)
        admission = self._admissions.get(members[0]) if members else None
        if admission is None:
            self._jobs.finish(submission.job_id, JobState.CANCELLED)
            return
        try:
            run_id = self._engine.create_run(submission, admission.pool, SHARED_FLOW)
        except QCPaaSError as error:
            if not error.retryable:  # too large together; each by itself may be taken
                report = report_error(error)
                self._jobs.finish(submission.job_id, JobState.FAILED, report)
            return
        self._releases.note_run(submission.job_id, run_id)

    def _submission(self, members: Sequence[str]) -> CircuitJob:
        """A job of nobody's with all of their circuits; its name says nothing of theirs."""
        jobs = [job for job_id in members if isinstance(job := self._jobs.spec(job_id), CircuitJob)]
        digest = hashlib.blake2b(" ".join(members).encode(), digest_size=8).hexdigest()
        execution = jobs[0].execution.model_copy(
            update={"options": (), "seed": int(digest, 16) >> 34}
        )
        return CircuitJob(job_id=f"shared-{digest}", execution=execution, items=shared_items(jobs))

    def _shareable(self, job: Waiting) -> Shareable | None:
        if not job.shared or job.session or job.reservation is not None:
            return None
        key = (job.job_id, job.device)
        if key not in self._known:
            self._known[key] = self._looked_at(job)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    def _looked_at(self, job: Waiting) -> Shareable | None:
        spec = self._jobs.spec(job.job_id)
        if not isinstance(spec, CircuitJob) or spec.execution.backend != job.device:
            return None
        if spec.execution.exact:  # a simulator's: wider circuits cost it more than two narrow ones
            return None
        try:
            check_shareable(spec)
            qubits = width(spec)
        except QCPaaSError as error:
            log.info("job %s runs by itself: %s", job.job_id, error)
            return None
        admission = self._admissions.get(job.job_id)
        pool = "" if admission is None else admission.pool
        return Shareable(job.job_id, job.user, qubits, job.qpu_s, (pool, *agreement(spec)))
