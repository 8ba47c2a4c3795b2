"""A running platform, reached through its gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from qcpaas.binding import FeedbackReport, ObservedFidelity
from qcpaas.calibration import (
    CalibrationReport,
    CalibrationRun,
    Characterisation,
    Fit,
    Quantity,
    ValueHistory,
)
from qcpaas.devices import DeviceInfo
from qcpaas.gateway_administration import WORKER_S, GatewayAdministration
from qcpaas.gateway_api import GatewayApi
from qcpaas.gateway_operations import GatewayOperations
from qcpaas.manifest import JobResult
from qcpaas.noise import NoiseReport
from qcpaas.partial import PartialResult
from qcpaas.scheduling import JobEstimate, JobEvent
from qcpaas.schemas import CircuitJob, Environment, JobRecord, OptionInfo, Recovery, WorkloadJob

if TYPE_CHECKING:
    from pydantic import SecretStr

_RECORDS = TypeAdapter(list[JobRecord])
_LINES = TypeAdapter(list[str])
_DEVICES = TypeAdapter(list[DeviceInfo])
_OPTIONS = TypeAdapter(list[OptionInfo])
_FITS = TypeAdapter(list[Fit])
_ESTIMATES = TypeAdapter(list[JobEstimate])
_LONG_S = 300.0  # a result may be large


class GatewayTransport:
    """`qcpaas.transport.Transport` over the gateway's HTTP interface."""

    def __init__(self, url: str, token: str | SecretStr | None = None) -> None:
        self.api = GatewayApi(url, token)

    def __repr__(self) -> str:
        return f"GatewayTransport({self.api.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def environment(self) -> Environment:
        return self.api.ask("GET", "environment", Environment)

    def submit(self, job: CircuitJob | WorkloadJob) -> JobRecord:
        """The job's own id makes a repeated submission harmless."""
        return self.api.ask("POST", "jobs", JobRecord, body=job, repeatable=True, timeout_s=_LONG_S)

    def estimates(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[str] = (),
        *,
        fault_tolerant: bool = False,
    ) -> Sequence[JobEstimate]:
        body = {
            "job": job.model_dump(mode="json"),
            "devices": list(devices),
            "fault_tolerant": fault_tolerant,
        }
        return self.api.ask(
            "POST", "estimates", _ESTIMATES, body=body, repeatable=True, timeout_s=_LONG_S
        )

    def job(self, job_id: str) -> JobRecord:
        return self.api.ask("GET", _job(job_id), JobRecord)

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        return self.api.ask("GET", "jobs", _RECORDS, query={"limit": limit})

    def result(self, job_id: str) -> JobResult:
        return self.api.ask("GET", f"{_job(job_id)}/result", JobResult, timeout_s=_LONG_S)

    def partial(self, job_id: str) -> PartialResult:
        return self.api.ask("GET", f"{_job(job_id)}/partial", PartialResult)

    def logs(self, job_id: str) -> Sequence[str]:
        return self.api.ask("GET", f"{_job(job_id)}/logs", _LINES)

    def cancel(self, job_id: str) -> None:
        self.api.ask("POST", f"{_job(job_id)}/cancel", JobRecord, repeatable=True)

    def resume(self, job_id: str, recovery: Recovery | None = None) -> JobRecord:
        decided = None if recovery is None else recovery.model_dump(mode="json", exclude_unset=True)
        return self.api.ask("POST", f"{_job(job_id)}/resume", JobRecord, body=decided)

    def follow(self, job_id: str) -> Iterator[JobRecord]:
        """The job's record whenever it changes, and every few seconds, until it has ended.

        Ends too where the stream does.
        """
        record = self.job(job_id)
        yield record
        with self.api.stream(f"{_job(job_id)}/events") as lines:
            for event in _events(lines):
                record = record if event is None else _changed(record, event)
                yield record

    def devices(self) -> Sequence[DeviceInfo]:
        return self.api.ask("GET", "devices", _DEVICES)

    def options(self) -> Sequence[OptionInfo]:
        return self.api.ask("GET", "options", _OPTIONS)

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        path = f"{_device(device)}/calibration"
        return self.api.ask("GET", path, CalibrationReport, query={"at": _moment(at)})

    def calibration_history(
        self,
        device: str,
        quantity: Quantity,
        qubits: Sequence[int],
        gate: str = "",
        since: datetime | None = None,
    ) -> ValueHistory:
        query = {
            "quantity": quantity.value,
            "qubits": ",".join(map(str, qubits)),
            "gate": gate,
            "since": _moment(since),
        }
        path = f"{_device(device)}/calibration/history"
        return self.api.ask("GET", path, ValueHistory, query=query)

    def fits(self, device: str, limit: int = 50) -> Sequence[Fit]:
        return self.api.ask("GET", f"{_device(device)}/fits", _FITS, query={"limit": limit})

    def calibrate(self, device: str, measured: Characterisation | None = None) -> CalibrationRun:
        return self.api.ask("POST", f"{_device(device)}/calibrate", CalibrationRun, body=measured)

    def calibration_run(self, run_id: str) -> CalibrationRun:
        return self.api.ask("GET", f"calibration-runs/{quote(run_id, safe='')}", CalibrationRun)

    def feedback(self, device: str) -> FeedbackReport:
        return self.api.ask("GET", f"{_device(device)}/feedback", FeedbackReport)

    def observe_fidelity(
        self, job_id: str, fidelity: float, std_error: float, device: str | None = None
    ) -> FeedbackReport:
        seen = ObservedFidelity(fidelity=fidelity, std_error=std_error, device=device)
        path = f"{_job(job_id)}/fidelity"
        return self.api.ask("POST", path, FeedbackReport, body=seen, timeout_s=WORKER_S)

    def reset_feedback(self, device: str) -> FeedbackReport:
        return self.api.ask("DELETE", f"{_device(device)}/feedback", FeedbackReport)

    def learnt_noise(self, device: str) -> NoiseReport:
        return self.api.ask("GET", f"{_device(device)}/noise", NoiseReport)

    def administration(self) -> GatewayAdministration:
        return GatewayAdministration(self.api)

    def operations(self) -> GatewayOperations:
        return GatewayOperations(self.api)

    def address(self, job_id: str) -> str | None:
        return f"{self.api.url}/v1/{_job(job_id)}"

    def close(self) -> None:
        self.api.close()


def _job(job_id: str) -> str:
    return f"jobs/{quote(job_id, safe='')}"


def _device(name: str) -> str:
    return f"devices/{quote(name, safe='')}"


def _moment(at: datetime | None) -> str | None:
    if at is None:
        return None
    return (at if at.tzinfo is not None else at.astimezone()).isoformat()


def _events(lines: Iterator[str]) -> Iterator[JobEvent | None]:
    """Events of a stream of Server-Sent Events, one JSON object each; ``None`` at a sign of life.

    Those of a later version, which this one cannot read, count as signs of life.
    """
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield _event("\n".join(data))
            data = []
        elif line.startswith(":"):
            yield None


def _event(text: str) -> JobEvent | None:
    try:
        return JobEvent.model_validate_json(text)
    except ValidationError:
        return None


def _changed(record: JobRecord, event: JobEvent) -> JobRecord:
    names = {"progress": "progress", "schedule": "schedule", "problem": "error"}
    change: dict[str, Any] = (
        event.data if event.kind == "state" else {names[event.kind]: event.data or None}
    )
    return JobRecord.model_validate({**record.model_dump(), **change})
