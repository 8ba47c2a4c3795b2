"""A running platform, reached through its Prefect server.

A job is a flow run named by its job id and tagged ``job:<id>``. What a worker tells of it lies in
artifacts: ``progress-<id>``, ``partial-<id>``, ``result-<id>``, ``error-<id>``; what workers have
installed lies in ``worker-environment``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from qcpaas.binding import FeedbackReport
from qcpaas.calibration import (
    CalibrationReport,
    CalibrationRun,
    Characterisation,
    Fit,
    Quantity,
    ValueHistory,
)
from qcpaas.devices import DeviceInfo
from qcpaas.errors import (
    CalibrationError,
    InputError,
    JobCancelled,
    JobFailed,
    JobHeld,
    NotReady,
    PlatformError,
    PlatformUnavailable,
    UnknownJob,
)
from qcpaas.manifest import JobResult
from qcpaas.noise import NoiseReport
from qcpaas.prefect_administration import PrefectAdministration
from qcpaas.prefect_api import PrefectApi, read_artifact
from qcpaas.prefect_calibrations import PrefectCalibrations, spelt
from qcpaas.prefect_questions import PrefectQuestions
from qcpaas.reports import rebuild
from qcpaas.schemas import (
    CircuitJob,
    Environment,
    ErrorReport,
    JobRecord,
    JobState,
    OptionInfo,
    PartialResult,
    Progress,
    Recovery,
    WorkloadJob,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

DEPLOYMENTS = {"circuits": "hybrid-job/hybrid-job", "workload": "workload/workload"}
FEEDBACK = "feedback/feedback"
LEARNT_NOISE = "learnt-noise/learnt-noise"
TAG = "qcpaas"
ENVIRONMENT_KEY = "worker-environment"
_STATES = {
    "SCHEDULED": JobState.QUEUED,
    "PENDING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "PAUSED": JobState.HELD,
    "CANCELLING": JobState.RUNNING,
    "COMPLETED": JobState.COMPLETED,
    "CANCELLED": JobState.CANCELLED,
    "FAILED": JobState.FAILED,
    "CRASHED": JobState.INTERRUPTED,
}
_WITHOUT_PROCESS = {"SCHEDULED", "PAUSED"}
_GOES_ON = (
    "{reason}. It goes on by itself within some minutes; `qcpaas resume {job_id} --remote` lets it "
    "go on now."
)
_NEEDS_PERSON = (
    "it waits for a decision. See its log, then `qcpaas resume {job_id} --remote`, or `qcpaas "
    "cancel {job_id} --remote`."
)
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_PROGRESS_JSON = re.compile(r"<!--\s*(\{.*\})\s*-->|^\s*(\{.*\})\s*$", re.DOTALL)


class PrefectTransport:
    """`qcpaas.transport.Transport` over Prefect's REST API."""

    def __init__(self, url: str, token: str | SecretStr | None = None) -> None:
        self._api = PrefectApi(url, token)
        self._calibrations = PrefectCalibrations(self._api)
        self._questions = PrefectQuestions(self._api)

    def __repr__(self) -> str:
        return f"PrefectTransport({self._api.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def environment(self) -> Environment:
        artifact = self._api.get(f"artifacts/{ENVIRONMENT_KEY}/latest")
        if artifact is None:
            raise PlatformUnavailable(
                f"no worker has registered yet at {self._api.url}. Wait until `make up` says that "
                "all is healthy, then try again."
            )
        return read_artifact(Environment, artifact)

    def submit(self, job: CircuitJob | WorkloadJob) -> JobRecord:
        name = DEPLOYMENTS[job.kind]
        deployment = self._api.get(f"deployments/name/{name}")
        if deployment is None:
            raise PlatformUnavailable(
                f"the platform at {self._api.url} has no deployment {name}. `make up` creates it."
            )
        run = self._api.create_run(
            deployment["id"],
            {
                "name": job.job_id,
                "parameters": {"job": job.model_dump(mode="json")},
                "tags": [TAG, _tag(job.job_id)],
                "idempotency_key": job.job_id,
                "state": {"type": "SCHEDULED", "name": "Scheduled"},
            },
        )
        return _record(run, {})

    def job(self, job_id: str) -> JobRecord:
        return _record(self._run(job_id), self._told([job_id]))

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        runs = self._api.runs([TAG], limit)
        told = self._told([run["name"] for run in runs])
        return [_record(run, told) for run in runs]

    def result(self, job_id: str) -> JobResult:
        run = self._run(job_id)
        state = _state(run)
        if state is JobState.COMPLETED:
            artifact = self._api.artifacts([f"result-{job_id}"]).get(f"result-{job_id}")
            if artifact is None:
                raise JobFailed(
                    f"job {job_id} completed, and its result is not at {self._api.url}. "
                    f"See {self.address(job_id)}."
                )
            return read_artifact(JobResult, artifact)
        report = _record(run, self._told([job_id])).error
        if report is not None:
            raise rebuild(report)
        if not state.finished:
            raise NotReady(
                f"job {job_id} is {state}. Ask again later; --partial shows what it has so far."
            )
        kind = JobCancelled if state is JobState.CANCELLED else JobFailed
        raise kind(f"job {job_id} was {state}.")

    def partial(self, job_id: str) -> PartialResult:
        record = self.job(job_id)
        artifact = self._api.artifacts([f"partial-{job_id}"]).get(f"partial-{job_id}")
        if artifact is None:
            return PartialResult(
                job_id=job_id, state=record.state, progress=record.progress, finished=0
            )
        newest = {"state": record.state, "progress": record.progress}
        return read_artifact(PartialResult, artifact).model_copy(update=newest)

    def logs(self, job_id: str) -> Sequence[str]:
        return self.flow_run_logs(self._run(job_id)["id"])

    def flow_run_logs(self, flow_run_id: str) -> Sequence[str]:
        return [
            f"{line['timestamp'][:19]} {_LEVELS.get(line['level'], line['level'])} "
            f"{line['message']}"
            for line in self._api.logs(flow_run_id)
        ]

    def cancel(self, job_id: str) -> None:
        """The worker ends the job's process; a job that was never started is cancelled at once.

        One that was started and has no process now is left to the platform's maintenance, which
        stops its device jobs first.
        """
        run = self._run(job_id)
        if _state(run).finished:
            return
        started = run.get("run_count", 0) > 0
        if started and run["state_type"] in _WITHOUT_PROCESS:
            # From there Prefect would call it cancelled at once, and leave its device jobs running.
            self._set_state(run, "CRASHED", force=True)
        answer = self._set_state(run, "CANCELLING", force=started)
        if answer.get("status") in {"ACCEPT", "REJECT"}:  # rejected in favour of CANCELLED
            return
        if not _state(self._run(job_id)).finished:
            raise PlatformError(f"job {job_id} could not be cancelled: {answer.get('details')}.")

    def resume(self, job_id: str, recovery: Recovery | None = None) -> JobRecord:
        """The same flow run is scheduled again, its decisions renewed in its parameters."""
        run = self._run(job_id)
        _check_resumable(job_id, run)
        parameters = _with_decisions(run["parameters"], recovery)
        if parameters != run["parameters"]:
            self._api.patch(f"flow_runs/{run['id']}", {"parameters": parameters})
        # Forced: Prefect's rules take no run out of CRASHED or CANCELLED, and count pauses.
        answer = self._set_state(run, "SCHEDULED", force=True)
        if answer.get("status") != "ACCEPT":
            raise PlatformError(f"job {job_id} could not be resumed: {answer.get('details')}.")
        return self.job(job_id)

    def _set_state(self, run: Mapping[str, Any], kind: str, *, force: bool) -> dict[str, Any]:
        state = {"type": kind, "name": kind.title()}
        path = f"flow_runs/{run['id']}/set_state"
        answer: dict[str, Any] = self._api.post(path, {"state": state, "force": force}) or {}
        return answer

    def devices(self) -> Sequence[DeviceInfo]:
        """What workers offer, with what the platform knows of each."""
        known = self._calibrations.device_infos()
        return [known.get(info.name, info) for info in self.environment().devices]

    def options(self) -> Sequence[OptionInfo]:
        return self.environment().options

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        try:
            return self._calibrations.report(device, at)
        except CalibrationError:
            spelt(device, self.environment().devices)
            raise

    def calibration_history(
        self,
        device: str,
        quantity: Quantity,
        qubits: Sequence[int],
        gate: str = "",
        since: datetime | None = None,
    ) -> ValueHistory:
        """Of the newest 200 calibrations that the platform has published."""
        name = spelt(device, self.environment().devices)
        return self._calibrations.history(name, quantity, qubits, gate, since)

    def fits(self, device: str, limit: int = 50) -> Sequence[Fit]:
        """At most those that the platform publishes, some hundred."""
        name = spelt(device, self.environment().devices)
        return self._calibrations.fits(name, limit)

    def calibrate(self, device: str, measured: Characterisation | None = None) -> CalibrationRun:
        name = spelt(device, self.environment().devices)
        return self._calibrations.calibrate(name, measured)

    def calibration_run(self, run_id: str) -> CalibrationRun:
        return self._calibrations.run(run_id)

    def feedback(self, device: str) -> FeedbackReport:
        return self._feedback(device=spelt(device, self.environment().devices))

    def observe_fidelity(
        self, job_id: str, fidelity: float, std_error: float, device: str | None = None
    ) -> FeedbackReport:
        observed = {"job_id": job_id, "fidelity": fidelity, "std_error": std_error}
        return self._feedback(device=device, observed=observed)

    def reset_feedback(self, device: str) -> FeedbackReport:
        return self._feedback(device=spelt(device, self.environment().devices), reset=True)

    def learnt_noise(self, device: str) -> NoiseReport:
        name = spelt(device, self.environment().devices)
        return self._questions.ask(LEARNT_NOISE, NoiseReport, device=name)

    def administration(self) -> PrefectAdministration:
        return PrefectAdministration(self._api)

    def address(self, job_id: str) -> str | None:
        return f"{self._api.url}/runs/flow-run/{self._run(job_id)['id']}"

    def close(self) -> None:
        self._api.close()

    def _feedback(self, **parameters: Any) -> FeedbackReport:
        return self._questions.ask(FEEDBACK, FeedbackReport, **parameters)

    def _run(self, job_id: str) -> dict[str, Any]:
        runs = self._api.runs([TAG, _tag(job_id)], 1)
        if not runs:
            raise UnknownJob(
                f"the platform at {self._api.url} has no job {job_id!r}. `qcpaas jobs --remote` "
                "lists the newest."
            )
        return runs[0]

    def _told(self, job_ids: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        """Progress and error artifacts of jobs, by key."""
        keys = [f"{kind}-{job_id}" for job_id in job_ids for kind in ("progress", "error")]
        return self._api.artifacts(keys)


def _tag(job_id: str) -> str:
    return f"job:{job_id}"


def _state(run: Mapping[str, Any]) -> JobState:
    return _STATES.get(run.get("state_type") or "SCHEDULED", JobState.RUNNING)


def _check_resumable(job_id: str, run: Mapping[str, Any]) -> None:
    state = _state(run)
    if state is JobState.COMPLETED:
        raise InputError(
            f"job {job_id} has completed: there is nothing to resume. `qcpaas rerun` repeats it."
        )
    if run["state_type"] == "CANCELLING":
        raise NotReady(f"job {job_id} is being cancelled. Resume it when it has ended.")
    if state is JobState.RUNNING or run["state_type"] == "PENDING":
        raise NotReady(
            f"job {job_id} is {state}: there is nothing to resume. Had its process died, the "
            "platform would notice within a minute."
        )


def _with_decisions(parameters: Mapping[str, Any], recovery: Recovery | None) -> dict[str, Any]:
    """A run's parameters with what was decided; all else as it was."""
    job = parameters["job"]
    execution = job["execution"]
    own = Recovery.model_validate(execution.get("recovery") or {})
    decided = own.decided(recovery)
    if decided == own:
        return dict(parameters)
    changed = {**execution, "recovery": decided.model_dump(mode="json")}
    return {**parameters, "job": {**job, "execution": changed}}


def _record(run: Mapping[str, Any], told: Mapping[str, dict[str, Any]]) -> JobRecord:
    job = run["parameters"].get("job", {})
    execution = job.get("execution", {})
    state = _state(run)
    return JobRecord(
        job_id=run["name"],
        kind=job.get("kind", ""),
        name=job.get("name", ""),
        backend=execution.get("backend", ""),
        options=tuple(option["name"] for option in execution.get("options", ())),
        state=state,
        created_at=run["created"],
        started_at=run.get("start_time"),
        finished_at=run.get("end_time"),
        progress=_progress(told.get(f"progress-{run['name']}")),
        error=_error(run, state, told),
        flow_run_id=run["id"],
    )


def _error(
    run: Mapping[str, Any], state: JobState, told: Mapping[str, dict[str, Any]]
) -> ErrorReport | None:
    """Why a job ended, or does not go on: what its process told of it, else Prefect's message."""
    job_id = run["name"]
    message = (run.get("state") or {}).get("message") or ""
    artifact = told.get(f"error-{job_id}")
    report = None if artifact is None else read_artifact(ErrorReport, artifact)
    if state is JobState.INTERRUPTED:
        reason = (message or "the job's process died").rstrip(".")
        text = _GOES_ON.format(reason=reason, job_id=job_id)
        return ErrorReport(type=NotReady.__name__, message=text, retryable=True)
    if state is JobState.HELD:
        if not message and report is not None and report.type == JobHeld.__name__:
            return report
        text = message or _NEEDS_PERSON.format(job_id=job_id)
        return ErrorReport(type=JobHeld.__name__, message=text)
    if state is JobState.CANCELLED:  # an error from before it was resumed is no reason
        return report if report is not None and report.type == JobCancelled.__name__ else None
    if state is JobState.FAILED:
        text = message or f"the job ended as {run.get('state_name')}"
        return report or ErrorReport(type=JobFailed.__name__, message=text)
    return None


def _progress(artifact: Mapping[str, Any] | None) -> Progress:
    """From the JSON in a progress artifact's description, else from its percentage."""
    if artifact is None:
        return Progress()
    found = _PROGRESS_JSON.search(artifact.get("description") or "")
    if found is not None:
        try:
            return Progress.model_validate_json(found[1] or found[2])
        except ValidationError:
            pass  # an artifact of another version still has its percentage
    share = artifact.get("data")
    return Progress(done=float(share or 0.0), total=100.0)
