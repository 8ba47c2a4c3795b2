"""The seam between a client and the platform that runs its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from qcpaas.errors import PlatformUnavailable
from qcpaas.schemas import (
    CircuitJob,
    DeviceInfo,
    Environment,
    JobRecord,
    JobResult,
    OptionInfo,
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

    def job(self, job_id: str) -> JobRecord: ...

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        """The newest first."""
        ...

    def result(self, job_id: str) -> JobResult:
        """Raises `NotReady` while the job is unfinished, and its own error where it failed."""
        ...

    def logs(self, job_id: str) -> Sequence[str]: ...

    def cancel(self, job_id: str) -> None: ...

    def devices(self) -> Sequence[DeviceInfo]: ...

    def options(self) -> Sequence[OptionInfo]: ...

    def address(self, job_id: str) -> str | None:
        """Where a person can watch the job."""
        ...

    def close(self) -> None: ...


def embedded_transport(settings: Settings) -> Transport:
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
    transport: Transport = factory(settings)
    return transport
