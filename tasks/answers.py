"""What a platform answers from its store: the same inside one process and behind a gateway."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from qcpaas.binding import FeedbackReport
from qcpaas.calibration import CalibrationReport, Fit, Quantity, ValueHistory
from qcpaas.devices import DeviceInfo
from qcpaas.errors import JobCancelled, JobFailed, NotReady
from qcpaas.manifest import JobResult
from qcpaas.noise import NoiseReport
from qcpaas.partial import PartialResult
from qcpaas.reports import rebuild
from qcpaas.schemas import JobRecord, JobState, OptionInfo
from store.database import Store
from store.jobs import Jobs
from store.results import Results


class StoredAnswers:
    """The part of ``qcpaas.transport.Transport`` that needs the store alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs = Jobs(store)

    def job(self, job_id: str) -> JobRecord:
        return self._jobs.get(job_id)

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        return self._jobs.all(limit)

    def result(self, job_id: str) -> JobResult:
        record = self.job(job_id)
        state = record.state
        if state in {JobState.QUEUED, JobState.RUNNING}:
            raise NotReady(
                f"job {job_id} is {state}. Ask again when it has finished; --partial shows what it "
                "has so far."
            )
        if state is JobState.COMPLETED:
            return Results(self._store).load(job_id)
        if record.error is not None:
            raise rebuild(record.error)
        if not state.finished:
            raise NotReady(f"job {job_id} is {state}. `qcpaas job {job_id}` says more.")
        kind = JobCancelled if state is JobState.CANCELLED else JobFailed
        raise kind(f"job {job_id} was {state}.")

    def partial(self, job_id: str) -> PartialResult:
        from tasks.partial import partial_result

        return partial_result(self._store, job_id)

    def devices(self) -> Sequence[DeviceInfo]:
        from tasks.registered import all_devices

        return all_devices(self._store)

    def options(self) -> Sequence[OptionInfo]:
        from pipeline.stack import describe_options

        return describe_options()

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        from tasks.calibration_reports import calibration_report

        return calibration_report(self._store, device, at)

    def calibration_history(
        self,
        device: str,
        quantity: Quantity,
        qubits: Sequence[int],
        gate: str = "",
        since: datetime | None = None,
    ) -> ValueHistory:
        from tasks.calibration_reports import value_history

        return value_history(self._store, device, quantity, qubits, gate, since=since)

    def fits(self, device: str, limit: int = 50) -> Sequence[Fit]:
        from tasks.calibration_reports import newest_fits

        return newest_fits(self._store, device, limit)

    def feedback(self, device: str) -> FeedbackReport:
        from tasks.feedback import feedback_report

        return feedback_report(self._store, device)

    def observe_fidelity(
        self, job_id: str, fidelity: float, std_error: float, device: str | None = None
    ) -> FeedbackReport:
        from tasks.feedback import observe_fidelity

        return observe_fidelity(self._store, job_id, fidelity, std_error, device)

    def reset_feedback(self, device: str) -> FeedbackReport:
        from tasks.feedback import reset_feedback

        return reset_feedback(self._store, device)

    def learnt_noise(self, device: str) -> NoiseReport:
        from tasks.learn_noise import noise_report

        return noise_report(self._store, device)
