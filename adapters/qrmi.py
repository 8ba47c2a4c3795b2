"""A device in the vocabulary of QRMI, the Quantum Resource Management Interface of HPC centres.

Schedulers and scripts that are written for QRMI's ``QuantumResource`` can use any adapter through
`QuantumResource` here. It is a thin façade: what a device's contract does not give is an error
that says so, never an invented answer. ``docs/adapters.md`` has the mapping.

Source: https://github.com/qiskit-community/qrmi, version 0.26.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from enum import Enum
from typing import TypeVar

from adapters.contract import (
    DeviceAdapter,
    DeviceJobState,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.qrmi_payloads import Payload, Primitive, primitive_result, read_sampler_input
from adapters.registry import open_device
from qcpaas.errors import AcceptanceUnknown, AdapterError, ResultPending
from store.snapshot import Reading

__all__ = [
    "OperationUnsupported",
    "Payload",
    "QuantumResource",
    "Target",
    "TaskResult",
    "TaskStatus",
]

Value = TypeVar("Value")

RESOURCE_TYPE = "qcpaas"  # QRMI's own types are a vendor each


class TaskStatus(Enum):
    """QRMI's, by its names."""

    Queued = 0
    Running = 1
    Completed = 2
    Failed = 3
    Cancelled = 4


_STATUS = {
    DeviceJobState.QUEUED: TaskStatus.Queued,
    DeviceJobState.RUNNING: TaskStatus.Running,
    DeviceJobState.COMPLETED: TaskStatus.Completed,
    DeviceJobState.FAILED: TaskStatus.Failed,
    DeviceJobState.CANCELLED: TaskStatus.Cancelled,
}


@dataclass(frozen=True)
class Target:
    """``value`` is JSON: ``capabilities`` of the contract, and ``calibration`` or ``null``."""

    value: str


@dataclass(frozen=True)
class TaskResult:
    """``value`` is JSON: a ``PrimitiveResult`` as ``qiskit_ibm_runtime`` reads it."""

    value: str


class OperationUnsupported(AdapterError):
    """The device has no such operation; the message says why."""


class QuantumResource:
    """QRMI's operations over one device.

    A task's id is the device's own job id, so that it serves in any process.
    """

    def __init__(self, adapter: DeviceAdapter) -> None:
        self._adapter = adapter
        self._session: DeviceSession | None = None

    @classmethod
    def open(cls, name: str) -> QuantumResource:
        """By the device's name, as `adapters.registry.open_device` takes it."""
        return cls(open_device(name))

    def resource_id(self) -> str:
        return self._adapter.name

    def resource_type(self) -> str:
        return RESOURCE_TYPE

    def is_accessible(self) -> bool:
        return self._adapter.availability().online

    def acquire(self) -> str:
        """Open a session of the device; tasks are started in it until it is released.

        Raises:
            OperationUnsupported: The device has no sessions, so that nobody can hold it.
        """
        self._session = _supported(self._adapter.open_session())
        return self._session.session_id

    def release(self, acquisition_token: str) -> None:
        """Close a session, also one that another process acquired.

        Raises:
            OperationUnsupported: The device has no sessions.
        """
        _supported(self._adapter.close_session(DeviceSession(acquisition_token)))
        if self._session is not None and self._session.session_id == acquisition_token:
            self._session = None

    def task_start(self, payload: Primitive) -> str:
        """Submit a primitive's input as one device job.

        Raises:
            InputError: It is no sampler's input, or asks for what the platform's own options do.
            AdapterError: As `DeviceAdapter.submit`; `AcceptanceUnknown` only where the device
                cannot find a job by its token.
        """
        experiments = read_sampler_input(payload)
        seed = secrets.randbelow(2**31)
        submission = Submission(experiments, seed, session=self._session)
        token = secrets.token_hex(16)
        try:
            return self._adapter.submit(submission, token).device_job_id
        except AcceptanceUnknown:
            return self._found(token)

    def task_stop(self, task_id: str) -> None:
        """Cancel a task; nothing happens to one that has ended.

        Raises:
            OperationUnsupported: The device's jobs cannot be cancelled.
        """
        _supported(self._adapter.cancel(self._handle(task_id)))

    def task_status(self, task_id: str) -> TaskStatus:
        return _STATUS[self._adapter.status(self._handle(task_id))]

    def task_result(self, task_id: str) -> TaskResult:
        """The result of a task that has ended; it does not wait.

        Raises:
            ResultPending: It has not ended yet.
            ExecutionFailed: It failed, or was cancelled.
        """
        from qiskit_ibm_runtime import RuntimeEncoder

        state = self._adapter.status(self._handle(task_id))
        if state in {DeviceJobState.QUEUED, DeviceJobState.RUNNING}:
            raise ResultPending(
                f"task {task_id} on {self._adapter.name} is {state}. Ask for its result once "
                "task_status says Completed."
            )
        result = primitive_result(self._adapter.result(self._handle(task_id)).counts)
        return TaskResult(json.dumps(result, cls=RuntimeEncoder))

    def task_logs(self, task_id: str) -> str:
        """Raises `OperationUnsupported`: the contract has no logs."""
        raise OperationUnsupported(
            f"{self._adapter.name} gives no logs of task {task_id}. Why a task failed is in the "
            "error of task_result."
        )

    def target(self) -> Target:
        """What the device can do, and its newest calibration."""
        capabilities = asdict(self._adapter.capabilities())
        capabilities["control_flow"] = sorted(capabilities["control_flow"])
        snapshot = self._adapter.calibration()
        calibration = None
        if not isinstance(snapshot, Unsupported):
            calibration = {
                "snapshot_id": snapshot.content_id,
                "taken_at": snapshot.taken_at.isoformat(),
                "values": [_told(reading) for reading in snapshot.readings()],
            }
        return Target(json.dumps({"capabilities": capabilities, "calibration": calibration}))

    def metadata(self) -> dict[str, str]:
        """What a scheduler shows of the device."""
        capabilities = self._adapter.capabilities()
        return {
            "backend_name": self._adapter.name,
            "num_qubits": str(capabilities.num_qubits),
            "simulator": str(capabilities.simulator).lower(),
        }

    def _handle(self, task_id: str) -> JobHandle:
        return JobHandle(device=self._adapter.name, device_job_id=task_id, token="")

    def _found(self, token: str) -> str:
        """The task that was accepted under a token, of which no answer came."""
        time.sleep(self._adapter.capabilities().token_lag_s)
        found = self._adapter.find_by_token(token)
        if isinstance(found, JobHandle):
            return found.device_job_id
        why = found.reason if isinstance(found, Unsupported) else "it has none; start it again"
        raise AcceptanceUnknown(
            f"a task was sent to {self._adapter.name} under token {token}, and no answer came. "
            f"The device was asked for it: {why}."
        )


def _supported(answer: Value | Unsupported) -> Value:
    if isinstance(answer, Unsupported):
        raise OperationUnsupported(f"{answer.operation}: {answer.reason}.")
    return answer


def _told(reading: Reading) -> dict[str, object]:
    return {
        "quantity": reading.quantity.value,
        "qubits": reading.qubits,
        "gate": reading.gate,
        "value": reading.value,
        "std_error": reading.std_error,
        "measured_at": reading.measured_at.isoformat(),
    }
