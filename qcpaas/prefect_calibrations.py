"""The calibrations of a running platform, from what its flows publish on its Prefect server.

Every version of an artifact is kept under its key, so that a device's history is the versions of
``calibration-<device>``, the newest first. Runs of two deployments renew them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from qcpaas.calibration import (
    CalibrationReport,
    CalibrationRun,
    Characterisation,
    Fit,
    HistoryPoint,
    Quantity,
    ValueHistory,
)
from qcpaas.calibration_artifacts import (
    DEVICES_KEY,
    Findings,
    KnownDevices,
    PackedCalibration,
    calibration_key,
    findings_key,
    unpack_report,
)
from qcpaas.calibration_changes import by_key
from qcpaas.checks import check_device
from qcpaas.devices import DeviceInfo
from qcpaas.errors import (
    CalibrationError,
    PlatformUnavailable,
    UnknownJob,
)
from qcpaas.prefect_api import PrefectApi, read_artifact

REFRESH = "refresh-calibration/refresh-calibration"
CHARACTERISE = "characterise/characterise"
HISTORY_VERSIONS = 200  # read for the history of a value; each is some 30 kB for 127 qubits
_PAGE = 25
_RAISED = re.compile(r"^Flow run encountered an exception: (\w+: )?")  # what Prefect puts before
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_TAKEN_UP_WITHIN = timedelta(seconds=60)  # a run whose process died


class PrefectCalibrations:
    """What `qcpaas.prefect_transport.PrefectTransport` answers about calibrations."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def device_infos(self) -> dict[str, DeviceInfo]:
        """What the platform's store says of the devices that it has used, by name."""
        artifact = self._api.get(f"artifacts/{DEVICES_KEY}/latest")
        if artifact is None:
            return {}
        known = read_artifact(KnownDevices, artifact)
        return {info.name: info for info in known.devices}

    def report(self, device: str, at: datetime | None = None) -> CalibrationReport:
        """Raises `CalibrationError` where none had been published by then."""
        place = 0 if at is None else self._place_at(device, at)
        versions = self._versions(device, offset=place, limit=1)
        if not versions:
            raise CalibrationError(self._missing(device, at))
        report = unpack_report(versions[0])
        info = self.device_infos().get(report.device) if at is None else None
        if info is None:
            return report
        return report.model_copy(update={"asked_at": info.asked_at, "problem": info.problem})

    def history(
        self,
        device: str,
        quantity: Quantity,
        qubits: Sequence[int],
        gate: str,
        since: datetime | None,
    ) -> ValueHistory:
        """Of the newest `HISTORY_VERSIONS` calibrations; a longer one is in the store."""
        element = tuple(qubits)
        newest_first: list[HistoryPoint] = []
        name = device
        for report in self._reports(device):
            name = report.device
            point = _point(report, quantity, element, gate)
            if point is not None:
                newest_first.append(point)
            if since is not None and report.taken_at < since:
                break
        points = [point for point in _changes(newest_first[::-1]) if _after(point, since)]
        return ValueHistory(
            device=name,
            quantity=quantity,
            qubits=element,
            gate=gate,
            points=tuple(points),
            marks=tuple(
                mark
                for mark in self._findings(name).marks
                if (mark.quantity, mark.gate, mark.qubits) == (quantity, gate, element)
                and (since is None or mark.measured_at >= since)
            ),
        )

    def fits(self, device: str, limit: int) -> Sequence[Fit]:
        return self._findings(device).fits[:limit]

    def calibrate(self, device: str, measured: Characterisation | None) -> CalibrationRun:
        name = REFRESH if measured is None else CHARACTERISE
        deployment = self._api.get(f"deployments/name/{name}")
        if deployment is None:
            raise PlatformUnavailable(
                f"the platform at {self._api.url} has no deployment {name}. `make up` creates it."
            )
        parameters = calibration_parameters(device, measured)
        body = {"parameters": parameters, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
        return self.run(self._api.create_run(deployment["id"], body)["id"])

    def run(self, run_id: str) -> CalibrationRun:
        """How a run goes; of one that is over, what the platform published since."""
        run = self.progress(run_id)
        if not run.finished or run.failed:
            return run
        info = self.device_infos().get(run.device)
        newest = self._versions(run.device, offset=0, limit=1)
        snapshot_id = newest[0].snapshot_id if newest else None
        return with_outcome(run, snapshot_id, info.problem if info else "")

    def progress(self, run_id: str) -> CalibrationRun:
        """From a run's state and those of its tasks.

        Raises:
            UnknownJob: The platform has no such run.
        """
        run = self._api.get(f"flow_runs/{run_id}")
        if run is None:
            raise UnknownJob(f"the platform at {self._api.url} has no run {run_id!r}.")
        parameters = run["parameters"]
        device = parameters.get("device") or (parameters.get("devices") or [""])[0]
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

    def _findings(self, device: str) -> Findings:
        artifact = self._api.get(f"artifacts/{findings_key(device)}/latest")
        return Findings() if artifact is None else read_artifact(Findings, artifact)

    def _reports(self, device: str) -> Iterator[CalibrationReport]:
        for offset in range(0, HISTORY_VERSIONS, _PAGE):
            page = self._versions(device, offset=offset, limit=_PAGE)
            yield from (unpack_report(version) for version in page)
            if len(page) < _PAGE:
                return

    def _versions(self, device: str, *, offset: int, limit: int) -> list[PackedCalibration]:
        """The newest first."""
        body = {
            "artifacts": {"key": {"any_": [calibration_key(device)]}},
            "sort": "CREATED_DESC",
            "offset": offset,
            "limit": limit,
        }
        found = self._api.post("artifacts/filter", body)
        return [read_artifact(PackedCalibration, artifact) for artifact in found]

    def _place_at(self, device: str, at: datetime) -> int:
        """Place of the newest version that is not newer than ``at``, by bisection."""
        body = {"artifacts": {"key": {"any_": [calibration_key(device)]}}}
        low, high = 0, int(self._api.post("artifacts/count", body))
        while low < high:
            middle = (low + high) // 2
            (version,) = self._versions(device, offset=middle, limit=1)
            if version.taken_at <= at:
                high = middle
            else:
                low = middle + 1
        return low

    def _missing(self, device: str, at: datetime | None) -> str:
        if at is not None and self._versions(device, offset=0, limit=1):
            return f"nothing was published of {device} by {at:%Y-%m-%d %H:%M} UTC."
        return (
            f"the platform at {self._api.url} has published no calibration of {device}. `qcpaas "
            f"calibrate {device} --remote` asks for one."
        )


def with_outcome(run: CalibrationRun, snapshot_id: str | None, problem: str) -> CalibrationRun:
    """A run that has ended; a pull ends well also where the device did not answer."""
    change: dict[str, Any] = {"snapshot_id": snapshot_id}
    if problem:
        change |= {"failed": True, "message": problem}
    return run.model_copy(update=change)


def _is_over(run: dict[str, Any]) -> bool:
    """Not yet where its process died a moment ago: the platform takes such a run up again."""
    if run["state_type"] != "CRASHED":
        return run["state_type"] in _FINAL
    crashed_at = datetime.fromisoformat(run["state"]["timestamp"])
    return datetime.now(UTC) - crashed_at > _TAKEN_UP_WITHIN


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


def spelt(name: str, devices: Sequence[DeviceInfo]) -> str:
    """The name of a device as the platform spells it.

    Raises:
        UnknownDevice: It has none of that name.
    """
    names = {info.name.casefold(): info.name for info in devices}
    return check_device(names.get(name.casefold(), name), devices).name


def _point(
    report: CalibrationReport, quantity: Quantity, qubits: tuple[int, ...], gate: str
) -> HistoryPoint | None:
    value = by_key(report).get((quantity.value, gate, qubits))
    if value is None:
        return None
    return HistoryPoint(
        pulled_at=report.taken_at,
        measured_at=value.measured_at,
        value=value.value,
        std_error=value.std_error,
    )


def _changes(points: Sequence[HistoryPoint]) -> Iterator[HistoryPoint]:
    """Each point that differs from the one before in more than when it was pulled."""
    held = None
    for point in points:
        content = (point.measured_at, point.value, point.std_error)
        if content != held:
            yield point
        held = content


def _after(point: HistoryPoint, since: datetime | None) -> bool:
    return since is None or point.pulled_at >= since


def _state_text(state: dict[str, Any]) -> str:
    name = str(state.get("name") or "Pending")
    message = state.get("message") or ""
    return f"{name}, {message}" if message and state.get("type") != "COMPLETED" else name
