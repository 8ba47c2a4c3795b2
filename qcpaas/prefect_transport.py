"""A running platform, reached through its Prefect server.

A job is a flow run named by its job id and tagged ``job:<id>``. What a worker tells of it lies in
artifacts: ``progress-<id>``, ``result-<id>``, ``error-<id>``; what workers have installed lies in
``worker-environment``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import ValidationError

from qcpaas.errors import (
    JobCancelled,
    JobFailed,
    NotReady,
    PlatformError,
    PlatformUnavailable,
    UnknownJob,
)
from qcpaas.prefect_api import PrefectApi
from qcpaas.reports import rebuild
from qcpaas.schemas import (
    CircuitJob,
    DeviceInfo,
    Environment,
    ErrorReport,
    JobRecord,
    JobResult,
    JobState,
    OptionInfo,
    Progress,
    WorkloadJob,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

_Wire = TypeVar("_Wire", Environment, ErrorReport, JobResult)

DEPLOYMENTS = {"circuits": "hybrid-job/hybrid-job", "workload": "workload/workload"}
TAG = "qcpaas"
ENVIRONMENT_KEY = "worker-environment"
_STATES = {
    "SCHEDULED": JobState.QUEUED,
    "PENDING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "PAUSED": JobState.RUNNING,
    "CANCELLING": JobState.RUNNING,
    "COMPLETED": JobState.COMPLETED,
    "CANCELLED": JobState.CANCELLED,
    "FAILED": JobState.FAILED,
    "CRASHED": JobState.FAILED,
}
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_PROGRESS_JSON = re.compile(r"<!--\s*(\{.*\})\s*-->|^\s*(\{.*\})\s*$", re.DOTALL)


class PrefectTransport:
    """`qcpaas.transport.Transport` over Prefect's REST API."""

    def __init__(self, url: str, token: str | SecretStr | None = None) -> None:
        self._api = PrefectApi(url, token)

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
        return _read(Environment, artifact)

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
            return _read(JobResult, artifact)
        if not state.finished:
            raise NotReady(f"job {job_id} is {state}. Ask again later.")
        report = _record(run, self._told([job_id])).error
        if report is not None:
            raise rebuild(report)
        kind = JobCancelled if state is JobState.CANCELLED else JobFailed
        raise kind(f"job {job_id} was {state}.")

    def logs(self, job_id: str) -> Sequence[str]:
        return self.flow_run_logs(self._run(job_id)["id"])

    def flow_run_logs(self, flow_run_id: str) -> Sequence[str]:
        return [
            f"{line['timestamp'][:19]} {_LEVELS.get(line['level'], line['level'])} "
            f"{line['message']}"
            for line in self._api.logs(flow_run_id)
        ]

    def cancel(self, job_id: str) -> None:
        """The worker ends the job's process; a job that was not started is cancelled at once."""
        run = self._run(job_id)
        if _state(run).finished:
            return
        path = f"flow_runs/{run['id']}/set_state"
        answer = self._api.post(path, {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        if answer.get("status") in {"ACCEPT", "REJECT"}:  # rejected in favour of CANCELLED
            return
        if not _state(self._run(job_id)).finished:
            raise PlatformError(f"job {job_id} could not be cancelled: {answer.get('details')}.")

    def devices(self) -> Sequence[DeviceInfo]:
        return self.environment().devices

    def options(self) -> Sequence[OptionInfo]:
        return self.environment().options

    def address(self, job_id: str) -> str | None:
        return f"{self._api.url}/runs/flow-run/{self._run(job_id)['id']}"

    def close(self) -> None:
        self._api.close()

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
        error=_error(run, told) if state is JobState.FAILED else None,
        flow_run_id=run["id"],
    )


def _error(run: Mapping[str, Any], told: Mapping[str, dict[str, Any]]) -> ErrorReport:
    artifact = told.get(f"error-{run['name']}")
    if artifact is not None:
        return _read(ErrorReport, artifact)
    state = run.get("state") or {}
    message = state.get("message") or f"the job ended as {run.get('state_name')}"
    return ErrorReport(type=JobFailed.__name__, message=message)


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


def _read(model: type[_Wire], artifact: Mapping[str, Any]) -> _Wire:
    data = artifact["data"]
    try:
        if isinstance(data, str | bytes):
            return model.model_validate_json(data)
        return model.model_validate(data)
    except ValidationError as error:
        raise PlatformError(
            f"artifact {artifact.get('key')} cannot be read by this version of the client: "
            f"{error.error_count()} fields differ. Use the client of the platform's version."
        ) from error
