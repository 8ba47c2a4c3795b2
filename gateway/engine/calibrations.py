"""Runs that renew a device's calibration; what they found is in the store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from qcpaas.calibration import CalibrationRun, Characterisation
from qcpaas.errors import PlatformUnavailable, UnknownJob
from qcpaas.prefect_api import PrefectApi
from store.calibrations import Calibrations
from store.database import Store
from store.devices import Devices

REFRESH = "refresh-calibration/refresh-calibration"
CHARACTERISE = "characterise/characterise"
_RAISED = re.compile(r"^Flow run encountered an exception: (\w+: )?")  # what Prefect puts before
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_TAKEN_UP_WITHIN = timedelta(seconds=60)  # a run whose process died


class CalibrationRuns:
    """Asks for calibrations, and says how they go."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def start(self, device: str, measured: Characterisation | None) -> CalibrationRun:
        """Schedule a run, and return at once.

        Args:
            device: As the platform spells it.
        """
        name = REFRESH if measured is None else CHARACTERISE
        deployment = self._api.get(f"deployments/name/{name}")
        if deployment is None:
            raise PlatformUnavailable(
                f"{self._api.name} has no deployment {name}. `make up` creates it."
            )
        parameters = calibration_parameters(device, measured)
        body = {"parameters": parameters, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
        return self.progress(self._api.create_run(deployment["id"], body)["id"])

    def progress(self, run_id: str) -> CalibrationRun:
        """From a run's state and those of its tasks.

        Raises:
            UnknownJob: There is no such run.
        """
        run = self._api.get(f"flow_runs/{run_id}")
        parameters = {} if run is None else run["parameters"]
        device = parameters.get("device") or (parameters.get("devices") or [""])[0]
        if not device:
            raise UnknownJob(f"there is no calibration run {run_id!r}.")
        finished = _is_over(run)
        return CalibrationRun(
            run_id=run_id,
            device=device,
            finished=finished,
            failed=finished and run["state_type"] != "COMPLETED",
            message=_RAISED.sub("", (run.get("state") or {}).get("message") or ""),
            nodes=tuple((finished and self._outcomes(run_id)) or self._tasks(run_id)),
        )

    def _tasks(self, run_id: str) -> Iterator[str]:
        body = {
            "task_runs": {"flow_run_id": {"any_": [run_id]}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 200,
        }
        for task in self._api.post("task_runs/filter", body) or []:
            state = task.get("state") or {}
            yield f"{task['name']}: {_state_text(state)}"

    def _outcomes(self, run_id: str) -> list[str]:
        """What became of each node of the calibration graph; nothing of a pull."""
        body = {
            "artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["table"]}},
            "limit": 20,
        }
        for artifact in self._api.post("artifacts/filter", body) or []:
            rows = artifact["data"]
            rows = json.loads(rows) if isinstance(rows, str) else rows
            if rows and "node" in rows[0]:
                return [f"{row['node']} on {row['target']}: {row['outcome']}" for row in rows]
        return []


def with_outcome(run: CalibrationRun, store: Store) -> CalibrationRun:
    """What the store has since a run has ended well.

    A pull ends well also where the device did not answer: its problem tells.
    """
    if not run.finished or run.failed:
        return run
    info = Devices(store).get(run.device)
    change: dict[str, Any] = {"snapshot_id": Calibrations(store).latest_id(run.device)}
    if info is not None and info.problem:
        change |= {"failed": True, "message": info.problem}
    return run.model_copy(update=change)


def calibration_parameters(device: str, measured: Characterisation | None) -> dict[str, Any]:
    """Of a run of `CHARACTERISE` or `REFRESH`."""
    if measured is None:
        return {"devices": [device]}
    return {
        "device": device,
        "qubits": list(measured.qubits) or None,
        "nodes": list(measured.nodes) or None,
        "emulated": measured.emulated,
    }


def _is_over(run: dict[str, Any]) -> bool:
    """Not yet where its process died a moment ago: the platform takes such a run up again."""
    if run["state_type"] != "CRASHED":
        return run["state_type"] in _FINAL
    crashed_at = datetime.fromisoformat(run["state"]["timestamp"])
    return datetime.now(UTC) - crashed_at > _TAKEN_UP_WITHIN


def _state_text(state: dict[str, Any]) -> str:
    name = str(state.get("name") or "Pending")
    message = state.get("message") or ""
    return f"{name}, {message}" if message and state.get("type") != "COMPLETED" else name
