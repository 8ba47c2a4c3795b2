"""The contract between the platform and a quantum device.

A vendor's adapter is a `DeviceProvider`, registered in the ``qcpaas.adapters`` entry-point group;
it imports the vendor's SDK inside the functions that need it. Every operation answers a value or
an explicit `Unsupported`; errors come from ``qcpaas.errors``, keep the vendor's own message and
tell no secret. Nothing waits without a deadline.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from qcpaas.devices import DeviceInfo
from qcpaas.execution import Counts, ExpectationValues, Experiment
from store.snapshot import Snapshot

CONTROL_FLOW = frozenset({"for_loop", "if_else", "switch_case", "while_loop"})


@dataclass(frozen=True)
class Unsupported:
    """The device has no such operation, and why."""

    operation: str
    reason: str


@dataclass(frozen=True)
class Capabilities:
    """What a device can be asked for.

    Attributes:
        num_qubits: For a simulator, the widest circuit that it takes.
        basis_gates: Instructions that it executes; empty where any Qiskit gate is taken as is.
        max_shots: For one circuit and point.
        max_circuits: In one submission.
        max_points: Parameter points in one submission, all circuits together; a circuit without
            parameters counts as one.
        max_total_shots: In one submission, over all circuits and points.
        equal_shots: All circuits of a submission have the same shots.
        exact: Gives exact probabilities where no shots are asked.
        noise_models: Takes an Aer noise model with the submission.
        concurrent_jobs: Submissions that it takes side by side.
        rep_delay_s: Time between two shots of a circuit, besides its own duration.
        keeps_jobs: Its jobs outlive the process that submitted them. Of one that does not, a job
            that is not found never cost anything, and is sent again.
        token_lag_s: How long after its acceptance a job can be missing from `find_by_token`.
        control_flow: Which of Qiskit's control-flow instructions it executes.
        mid_circuit_measurement: Whether a qubit can be used, or its outcome, once it was measured.
        estimates: Takes submissions of observables, and answers expectation values.
        angle_ranges: Smallest and largest angle (rad) of gates that do not take every one, by name.
        gate_definitions: OpenQASM 3 ``gate`` statements of a device with gates of its own: what
            these do, in standard ones, and how standard gates are made of them, for compilers.
    """

    num_qubits: int
    basis_gates: tuple[str, ...] = ()
    max_shots: int = 1_000_000
    max_circuits: int = 10_000
    max_points: int | None = None
    max_total_shots: int | None = None
    equal_shots: bool = False
    simulator: bool = False
    exact: bool = False
    noise_models: bool = False
    concurrent_jobs: int = 1
    rep_delay_s: float = 0.0
    keeps_jobs: bool = True
    token_lag_s: float = 5.0
    control_flow: frozenset[str] = CONTROL_FLOW
    mid_circuit_measurement: bool = True
    estimates: bool = False
    angle_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    gate_definitions: str = ""

    @property
    def compiles(self) -> bool:
        """Whether circuits must be compiled for this device before they run."""
        return bool(self.basis_gates)


@dataclass(frozen=True)
class Window:
    """A time in which a device serves its public, or whoever has reserved it.

    Attributes:
        reservation_id: The vendor's; empty for a public window.
    """

    starts_at: datetime
    ends_at: datetime
    reservation_id: str = ""
    note: str = ""


@dataclass(frozen=True)
class Availability:
    """Whether a device takes work now.

    Attributes:
        queue_length: Jobs before the next one; ``None`` where the vendor does not say.
        next_window: When it is open, or will be; ``None`` where it is open always or does not say.
        message: The vendor's reason, where it is away.
        queue_s: How long a new job waits there, by the vendor's own estimate; ``None`` where it
            makes none.
    """

    online: bool
    queue_length: int | None = None
    message: str = ""
    next_window: Window | None = None
    queue_s: float | None = None


class JobHandle(BaseModel):
    """Names a device's own job; it can be stored and used in another process."""

    model_config = ConfigDict(frozen=True)

    device: str
    device_job_id: str
    token: str


class DeviceJobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class DeviceSession:
    """A device's promise to serve one client for a while.

    Attributes:
        expires_at: When the device closes it at the latest; ``None`` where it does not say.
        max_idle_s: It closes earlier when nothing is submitted for so long.
    """

    session_id: str
    expires_at: datetime | None = None
    max_idle_s: float | None = None


@dataclass(frozen=True, eq=False)
class Submission:
    """Bound experiments for one device job.

    All ask for counts, or all for expectation values where `Capabilities.estimates` says that the
    device takes these.

    Attributes:
        seed: Makes a simulator repeatable; a QPU ignores it.
        noise_model: Serialisable Aer noise model in place of the device's own noise.
        session: To run in, on a device that has sessions.
    """

    experiments: tuple[Experiment, ...]
    seed: int
    noise_model: dict[str, JsonValue] | None = None
    session: DeviceSession | None = None


@dataclass(frozen=True, eq=False)
class DeviceResult:
    """What was measured, in the order of the submission, and the device time that it took.

    Attributes:
        counts: One of each experiment; empty where expectation values were asked.
        values: One of each experiment; empty where counts were asked.
        details: What else the vendor tells of the job, such as its own timestamps and usage.
    """

    counts: tuple[Counts, ...]
    qpu_s: float
    values: tuple[ExpectationValues, ...] = ()
    details: Mapping[str, JsonValue] = field(default_factory=dict)


class DeviceAdapter(ABC):
    """One device."""

    name: str

    @abstractmethod
    def capabilities(self) -> Capabilities: ...

    @abstractmethod
    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        """The device's newest calibration, or the one in force at a past moment."""

    @abstractmethod
    def submit(self, submission: Submission, token: str) -> JobHandle:
        """Send one device job; ``token`` names this submission for ever.

        A device that knows the token already answers the job that it accepted under it, where
        its vendor can do that.

        Raises:
            SubmissionRefused: The device will not take it.
            SessionClosed: The submission's session has ended; the job was not taken.
            DeviceUnavailable: It was not reached, or said that it takes nothing now; the job was
                not taken.
            AcceptanceUnknown: It was sent, and no answer came.
        """

    @abstractmethod
    def status(self, handle: JobHandle) -> DeviceJobState:
        """Raises `UnknownDeviceJob` where the device has no such job."""

    @abstractmethod
    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        """Wait for a device job and read it; works in any process.

        Args:
            timeout_s: How long to wait at most; ``None`` waits as long as it takes.

        Raises:
            ResultPending: It is not done after ``timeout_s``.
            ExecutionFailed: The device job failed or was cancelled.
            SessionClosed: It was dropped with its session, without a result.
            UnknownDeviceJob: The device has no such job.
            DeviceUnavailable: It cannot be reached now.
        """

    @abstractmethod
    def cancel(self, handle: JobHandle) -> Unsupported | None:
        """Stop a device job; nothing happens to one that has ended.

        Raises:
            UnknownDeviceJob: The device has no such job.
            DeviceUnavailable: It cannot be reached now.
        """

    def availability(self) -> Availability:
        return Availability(online=True)

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        """The device job that was accepted under this token.

        ``None`` is a promise: no job was accepted under it, once `Capabilities.token_lag_s` have
        passed since it was sent; it may be sent again.
        """
        return Unsupported("find_by_token", f"{self.name} cannot search its jobs by token")

    def open_session(self) -> DeviceSession | Unsupported:
        """A session for one client's submissions, within the vendor's time limits."""
        return Unsupported("open_session", f"{self.name} has no sessions")

    def close_session(self, session: DeviceSession) -> Unsupported | None:
        """Give a session back; nothing happens to one that has ended."""
        return Unsupported("close_session", f"{self.name} has no sessions")

    def reservations(self) -> Sequence[Window] | Unsupported:
        """Whatever of the device is reserved for the holder of the credentials, from now on."""
        return Unsupported("reservations", f"{self.name} takes no reservations")


class DeviceProvider(Protocol):
    """A vendor's devices."""

    def devices(self) -> Sequence[DeviceInfo]:
        """What there is, without calling the vendor where that can be avoided."""
        ...

    def open(self, name: str, known: Snapshot | None = None) -> DeviceAdapter:
        """One of `devices`.

        Args:
            known: The newest snapshot that the store has of it, which can save a call.
        """
        ...
