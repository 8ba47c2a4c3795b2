"""The steps of a shared submission, each of which may be done again after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from qcpaas.errors import QCPaaSError
from qcpaas.execution import Outcome
from qcpaas.reports import report_error
from qcpaas.schemas import CircuitJob, JobState, Progress
from store.database import Store
from store.jobs import Jobs
from store.leases import Lease
from store.results import Results
from store.shared import Shared
from tasks.batch import read_batch
from tasks.bind import calibration_uses
from tasks.calls import Call
from tasks.execute import JournalledDevice
from tasks.share_answers import answer, bill
from tasks.share_plan import SharedPlan, plan_together

STEPS = ("plan", "execute", "answer")


class SharedSubmission:
    """One submission of several jobs, as a process works on it.

    Args:
        job: The submission itself: a job of its own id, which is nobody's.
        guards: Leases under which this process works.
    """

    def __init__(
        self,
        job: CircuitJob,
        backend: JournalledDevice,
        store: Store,
        guards: Callable[[], Sequence[Lease]],
    ) -> None:
        self._job, self._backend, self._store, self._guards = job, backend, store, guards
        self._jobs, self._shared = Jobs(store), Shared(store)
        self._results = Results(store)

    def begin(self) -> Call:
        """What it asks of its device: the same in every process."""
        return self._backend.calls.next(read_batch(self._job).request())

    def plan(self, call: Call) -> SharedPlan:
        """Where each job's circuits go, and what is sent for them; as it was sent, if it was."""
        recorded = self._backend.recorded_plan(call)
        if recorded is not None:
            assert isinstance(recorded, SharedPlan)
            return recorded
        return plan_together(self._started(), self._backend)

    def let_go(self, planned: SharedPlan) -> None:
        """Let those run by themselves that found no place here."""
        for job_id in planned.released:
            self._shared.let_go(job_id)

    def execute(self, planned: SharedPlan, call: Call) -> tuple[Outcome, ...]:
        """Errors as of `JournalledDevice.execute`."""
        if call.outcomes is not None:
            return call.outcomes
        self._tell("execute", [guest.job_id for guest in planned.guests])
        backend, experiments = self._backend, planned.experiments
        backend.journal.placed(calibration_uses(experiments, backend.device))
        backend.check(experiments)
        keys = backend.journal.keys(experiments)
        outcomes = backend.perform(call, planned, experiments, keys, str(call.index))
        backend.finish(call, outcomes)
        backend.patience.through(backend.ledger.flush)
        return outcomes

    def give_answers(
        self,
        planned: SharedPlan,
        outcomes: Sequence[Outcome],
        call: Call,
        check: Callable[[], None] = lambda: None,
    ) -> int:
        """Answer every job that still wants it; how many were.

        Args:
            check: Raises where another process has taken over.
        """
        whole = bill(self._job.job_id, planned, self._backend, call)
        found = planned.apart(outcomes)
        answered = 0
        for guest, counts, part in zip(planned.guests, found, whole.parts, strict=True):
            job = self._wanted(guest.job_id)
            if job is None:
                continue
            try:
                result = answer(
                    job,
                    guest,
                    counts,
                    part=part,
                    whole=whole,
                    backend=self._backend,
                    guards=self._guards,
                    store=self._store,
                )
            except QCPaaSError as error:
                if error.retryable:
                    raise
                self._jobs.finish(job.job_id, JobState.FAILED, report_error(error))
                continue
            check()
            self._results.save(result)
            self._jobs.finish(job.job_id, JobState.COMPLETED)
            answered += 1
        return answered

    def _started(self) -> list[CircuitJob]:
        """The jobs as they were submitted, marked as running; without those that have ended."""
        found = []
        for job_id in self._shared.members(self._job.job_id):
            job = self._wanted(job_id)
            if job is not None:
                self._jobs.start(job_id)
                found.append(job)
        self._tell("plan", [job.job_id for job in found])
        return found

    def _wanted(self, job_id: str) -> CircuitJob | None:
        """A job that is still a part of this, and that nobody has cancelled."""
        if self._jobs.get(job_id).state.finished:
            return None
        if self._shared.submission_of(job_id) != self._job.job_id:
            return None
        job = self._jobs.spec(job_id)
        assert isinstance(job, CircuitJob)
        return job

    def _tell(self, step: str, job_ids: Iterable[str]) -> None:
        """Show jobs how far they are; nothing of the others."""
        done, total = STEPS.index(step), len(STEPS)
        now = Progress(stage=step, done=done, total=total, message="beside others")
        for job_id in job_ids:
            self._jobs.report(job_id, now)
