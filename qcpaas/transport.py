"""The seam between a client and the platform that runs its jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from qcpaas.administration import Administration
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
from qcpaas.errors import PlatformUnavailable
from qcpaas.manifest import JobResult
from qcpaas.noise import NoiseReport
from qcpaas.operations import Operations
from qcpaas.partial import PartialResult
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import (
    CircuitJob,
    Environment,
    JobRecord,
    OptionInfo,
    PrunedJob,
    Recovery,
    WorkloadJob,
)

if TYPE_CHECKING:
    from qcpaas.settings import Settings


class Transport(Protocol):
    """What a platform answers, wherever it runs.

    Every method raises `PlatformUnavailable` when the platform cannot be reached, and
    `UnknownJob` for a job id that it does not have.
    """

    def environment(self) -> Environment:
        """What the workers offer, for refusing a job before it is scheduled."""
        ...

    def submit(self, job: CircuitJob | WorkloadJob) -> JobRecord:
        """Schedule a job and return at once."""
        ...

    def estimates(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[str] = (),
        *,
        fault_tolerant: bool = False,
    ) -> Sequence[JobEstimate]:
        """What a job would take on each device; nothing is submitted, and nothing of it is run.

        What is wrong with the job, or with a device, is in ``problems``.

        Args:
            devices: Every one that can run it where empty, without ideal simulators.
            fault_tolerant: Also on an error-corrected machine.
        """
        ...

    def job(self, job_id: str) -> JobRecord: ...

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        """The newest first."""
        ...

    def result(self, job_id: str) -> JobResult:
        """Raises `NotReady` while the job is unfinished, and its own error where it failed."""
        ...

    def partial(self, job_id: str) -> PartialResult:
        """What a job has finished so far, whatever its state; the newest calls of a long one."""
        ...

    def logs(self, job_id: str) -> Sequence[str]: ...

    def cancel(self, job_id: str) -> None:
        """End a job and its device jobs; its record says which of these could not be stopped."""
        ...

    def resume(self, job_id: str, recovery: Recovery | None = None) -> JobRecord:
        """Let a job that ended without a result go on from where it was, and return at once.

        Args:
            recovery: Decisions for going on; the fields that were set replace the job's own.

        Raises:
            InputError: It has completed.
            NotReady: It runs, or is about to.
        """
        ...

    def devices(self) -> Sequence[DeviceInfo]: ...

    def options(self) -> Sequence[OptionInfo]: ...

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        """What is known of a device, or was known at a moment.

        Raises:
            UnknownDevice: The platform has no such device.
            CalibrationError: It has no calibration, or had none by then.
        """
        ...

    def calibration_history(
        self,
        device: str,
        quantity: Quantity,
        qubits: Sequence[int],
        gate: str = "",
        since: datetime | None = None,
    ) -> ValueHistory:
        """One value over time, with its drift marks; empty where it was never reported."""
        ...

    def fits(self, device: str, limit: int = 50) -> Sequence[Fit]:
        """What protocols found, promoted or rejected, the newest first."""
        ...

    def calibrate(self, device: str, measured: Characterisation | None = None) -> CalibrationRun:
        """Renew a device's calibration, and return at once.

        Args:
            measured: What to measure with protocols, instead of asking the device for what its
                vendor knows.
        """
        ...

    def calibration_run(self, run_id: str) -> CalibrationRun:
        """How it goes; `UnknownJob` where the platform has no such run."""
        ...

    def feedback(self, device: str) -> FeedbackReport:
        """What observed fidelities say about a device's calibration."""
        ...

    def observe_fidelity(
        self, job_id: str, fidelity: float, std_error: float, device: str | None = None
    ) -> FeedbackReport:
        """Learn from a fidelity that a user knows of a finished job's circuit.

        Args:
            device: Where the job is believed to have run; left out, wherever it did.

        Raises:
            InputError: The figures make no sense, the job ran several circuits, or elsewhere.
            NotReady: It is unfinished.
            CalibrationError: It ran without a calibration.
        """
        ...

    def reset_feedback(self, device: str) -> FeedbackReport:
        """Forget what was observed and learnt of a device."""
        ...

    def learnt_noise(self, device: str) -> NoiseReport:
        """Noise of gate layers that jobs have learnt on a device."""
        ...

    def administration(self) -> Administration:
        """What the platform's owner does."""
        ...

    def operations(self) -> Operations:
        """What only a platform of many people has.

        Raises:
            PlatformUnavailable: This is the platform of one process.
        """
        ...

    def address(self, job_id: str) -> str | None:
        """Where a person can watch the job."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class FollowingTransport(Protocol):
    """A platform that tells of a job's changes as they happen."""

    def follow(self, job_id: str) -> Iterator[JobRecord]:
        """The job's record whenever it changes, and every few seconds, until it has ended.

        May end before: then it is to be asked for.
        """
        ...


class LocalTransport(Transport, Protocol):
    """A platform whose database is within reach."""

    def prune(self, older_than: timedelta, *, dry_run: bool) -> Sequence[PrunedJob]:
        """Remove the results of jobs that ended longer ago than ``older_than``.

        Args:
            dry_run: Remove nothing, and answer what would go.
        """
        ...

    def import_calibration(self, report: CalibrationReport, person: str) -> CalibrationReport:
        """Take over what a file says, and answer the calibration that results.

        A report with its own id is somebody's unchanged export: it goes to its place in the
        history, with its sources. In one without, the values that differ from what is known are
        ``person``'s, known from now on.

        Raises:
            UnknownDevice: No adapter has the device, and it was never calibrated.
            CalibrationError: Values are impossible, or are not those that the id stands for.
        """
        ...


def embedded_transport(settings: Settings) -> LocalTransport:
    """The platform inside this process.

    Raises:
        PlatformUnavailable: Only the client is installed here.
    """
    found = entry_points(group="qcpaas.transports", name="embedded")
    try:
        (factory,) = (entry.load() for entry in found)
    except (ModuleNotFoundError, ValueError) as error:
        raise PlatformUnavailable(
            "the embedded platform is not installed here, only the client. Run from a checkout "
            "of the project, or name a running platform (--remote, QCPAAS_API_URL)."
        ) from error
    transport: LocalTransport = factory(settings)
    return transport
