"""Prefect as the gateway uses it: runs of deployments by name.

A job is a flow run that bears its id and the tag ``job:<id>``. How it goes is in the store; here a
run is begun, ended and resumed, and its log is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.engine.blocks import PrefectBlocks
from gateway.engine.calibrations import CalibrationRuns
from gateway.engine.questions import Answer, PrefectQuestions
from gateway.settings import GatewaySettings
from qcpaas.errors import InputError, NotReady, PlatformError, PlatformUnavailable
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import CircuitJob, Recovery, WorkloadJob

FLOWS = {"circuits": "hybrid-job", "workload": "workload"}
SHARED_FLOW = "shared-jobs"
TAG = "qcpaas"
NAME = "the platform's engine"  # in messages: users never learn its address
_WITHOUT_PROCESS = {"SCHEDULED", "PAUSED"}
_OVER = {"COMPLETED", "FAILED", "CANCELLED"}
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


def open_engine(settings: GatewaySettings) -> PrefectEngine:
    return PrefectEngine(PrefectApi(settings.prefect_url, settings.prefect_auth, name=NAME))


class PrefectEngine:
    """Creates, ends and reads flow runs; a job's run bears its id.

    Attributes:
        blocks: Vendors' credentials, which its server keeps.
        calibrations: Runs that renew a calibration.
    """

    def __init__(self, api: PrefectApi) -> None:
        self._api = api
        self._questions = PrefectQuestions(api)
        self._deployments: dict[tuple[str, str], str] = {}
        self.blocks = PrefectBlocks(api)
        self.calibrations = CalibrationRuns(api)

    def create_run(self, job: CircuitJob | WorkloadJob, pool: str = "", flow: str = "") -> str:
        """Hand a job over; a second call with the same job finds the first one's run.

        Args:
            pool: The work pool whose workers have what it needs; the deployment's own where empty.
            flow: To run it by; its kind's own where empty.

        Returns:
            The id of its flow run.

        Raises:
            PlatformUnavailable: The server is away, or nothing is deployed to that pool.
            InputError: The job is larger than the server takes.
        """
        flow = flow or FLOWS[job.kind]
        body = {
            "name": job.job_id,
            "parameters": {"job": job.model_dump(mode="json")},
            "tags": [TAG, _tag(job.job_id)],
            "idempotency_key": job.job_id,
            "state": {"type": "SCHEDULED", "name": "Scheduled"},
        }
        known = self._deployments.get((flow, pool))
        run = None if known is None else self._api.create_run(known, body)
        if run is None:  # never looked up, or deployed anew since
            found = self._deployments[flow, pool] = self._deployment(flow, pool)
            run = self._api.create_run(found, body)
        if run is None:
            raise PlatformUnavailable(f"the deployment of {flow} went away. Try again.")
        return str(run["id"])

    def cancel(self, job_id: str) -> bool:
        """Let a job's run end; its worker ends the process, and stops what is at the device.

        One that was started and has no process now is left to the platform's maintenance, which
        stops its device jobs first.

        Returns:
            Whether the run ended without having begun, so that nobody else will say so.

        Raises:
            PlatformError: The server refused.
        """
        run = self.run(job_id)
        if run is None or run["state_type"] in _OVER:
            return run is None or (run["state_type"] == "CANCELLED" and not _begun(run))
        begun = _begun(run)
        if begun and run["state_type"] in _WITHOUT_PROCESS:
            # From there Prefect would call it cancelled at once, and leave its device jobs running.
            self._set_state(run, "CRASHED", force=True)
        answer = self._set_state(run, "CANCELLING", force=begun)
        now = self.run(job_id) or run
        accepted = answer.get("status") in {"ACCEPT", "REJECT"}  # the latter: it is CANCELLED
        if not accepted and now["state_type"] not in _OVER:
            raise PlatformError(f"job {job_id} could not be cancelled: {answer.get('details')}.")
        return now["state_type"] == "CANCELLED" and not _begun(now)

    def resume(self, job_id: str, recovery: Recovery | None = None) -> None:
        """Schedule a job's run again, its decisions renewed in its parameters.

        Raises:
            InputError: It has completed, or never had a run.
            NotReady: It runs, or is about to.
        """
        run = self.run(job_id)
        if run is None:
            raise InputError(f"job {job_id} has never begun: there is nothing to resume.")
        _check_resumable(job_id, run)
        parameters = _with_decisions(run["parameters"], recovery)
        if parameters != run["parameters"]:
            self._api.patch(f"flow_runs/{run['id']}", {"parameters": parameters})
        # Forced: Prefect's rules take no run out of CRASHED or CANCELLED, and count pauses.
        answer = self._set_state(run, "SCHEDULED", force=True)
        if answer.get("status") != "ACCEPT":
            raise PlatformError(f"job {job_id} could not be resumed: {answer.get('details')}.")

    def logs(self, flow_run_id: str) -> Sequence[str]:
        return [
            f"{line['timestamp'][:19]} {_LEVELS.get(line['level'], line['level'])} "
            f"{line['message']}"
            for line in self._api.logs(flow_run_id)
        ]

    def run(self, job_id: str) -> dict[str, Any] | None:
        """A job's flow run as the server tells it; ``None`` where it has none yet."""
        runs = self._api.runs([TAG, _tag(job_id)], 1)
        return runs[0] if runs else None

    def ask(self, deployment: str, kind: type[Answer], **parameters: Any) -> Answer:
        """What only a worker can answer; `gateway.engine.questions.PrefectQuestions.ask`."""
        return self._questions.ask(deployment, kind, **parameters)

    def is_ready(self) -> bool:
        """Whether the server answers; raises `PlatformUnavailable` where it does not."""
        return self._api.get("health") is not None

    def close(self) -> None:
        self._api.close()

    def _deployment(self, flow: str, pool: str) -> str:
        if not pool:
            found = self._api.get(f"deployments/name/{flow}/{flow}")
        else:
            body = {
                "flows": {"name": {"any_": [flow]}},
                "work_pools": {"name": {"any_": [pool]}},
                "limit": 1,
            }
            found = next(iter(self._api.post("deployments/filter", body) or ()), None)
        if found is None:
            where = f" in the pool {pool}" if pool else ""
            raise PlatformUnavailable(
                f"{self._api.name} has no deployment of {flow}{where}. `make up` creates it."
            )
        return str(found["id"])

    def _set_state(self, run: Mapping[str, Any], kind: str, *, force: bool) -> dict[str, Any]:
        state = {"type": kind, "name": kind.title()}
        path = f"flow_runs/{run['id']}/set_state"
        answer: dict[str, Any] = self._api.post(path, {"state": state, "force": force}) or {}
        return answer


def _tag(job_id: str) -> str:
    return f"job:{job_id}"


def _begun(run: Mapping[str, Any]) -> bool:
    return bool(run.get("run_count", 0) > 0)


def _check_resumable(job_id: str, run: Mapping[str, Any]) -> None:
    state = run["state_type"]
    if state == "COMPLETED":
        raise InputError(
            f"job {job_id} has completed: there is nothing to resume. `qcpaas rerun` repeats it."
        )
    if state == "CANCELLING":
        raise NotReady(f"job {job_id} is being cancelled. Resume it when it has ended.")
    if state in {"RUNNING", "PENDING"}:
        raise NotReady(
            f"job {job_id} is {state.lower()}: there is nothing to resume. Had its process died, "
            "the platform would notice within a minute."
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
