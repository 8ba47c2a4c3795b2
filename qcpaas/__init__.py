"""QCPaaS: the open runtime platform for hybrid quantum-classical jobs, seen from its users.

The names below are imported when they are first used, so that ``import qcpaas`` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcpaas.binding import BindingPolicy
    from qcpaas.devices import DeviceRegistration
    from qcpaas.errors import (
        AcceptanceUnknown,
        AdapterError,
        CalibrationError,
        CircuitError,
        Conflict,
        CredentialsRefused,
        DeviceUnavailable,
        ExecutionFailed,
        Forbidden,
        InputError,
        JobCancelled,
        JobError,
        JobFailed,
        JobHeld,
        LimitReached,
        MalformedReply,
        MitigationError,
        NotLetIn,
        NotReady,
        NoWorker,
        ObservableError,
        OptionError,
        PackingError,
        PlatformError,
        PlatformUnavailable,
        ProtocolFailed,
        QCPaaSError,
        ReplayDiverged,
        ResultPending,
        SessionClosed,
        ShotsError,
        StaleCalibration,
        StoreFull,
        SubmissionRefused,
        Superseded,
        TooMuch,
        UnknownDevice,
        UnknownDeviceJob,
        UnknownJob,
        UnknownSnapshot,
        WorkloadError,
    )
    from qcpaas.execution import (
        Cost,
        Counts,
        Distribution,
        EnrichedExecutionBackend,
        ExecutionBackend,
        ExpectationValues,
        Experiment,
        OptionSettings,
        PlanContext,
        PlanningServices,
    )
    from qcpaas.jobs import RuntimeJob
    from qcpaas.manifest import Diagnostic, Manifest, Plot, Series
    from qcpaas.partial import PartialResult
    from qcpaas.parts import next_part
    from qcpaas.primitives import Estimator, Sampler
    from qcpaas.provider import RuntimeProvider
    from qcpaas.scheduling import Priority, Reservation, Scheduling
    from qcpaas.schemas import JobState, OptionSpec, Progress, Recovery
    from qcpaas.settings import Settings
    from qcpaas.worker import RuntimeWorkerBase

__all__ = [
    "AcceptanceUnknown",
    "AdapterError",
    "BindingPolicy",
    "CalibrationError",
    "CircuitError",
    "Conflict",
    "Cost",
    "Counts",
    "CredentialsRefused",
    "DeviceRegistration",
    "DeviceUnavailable",
    "Diagnostic",
    "Distribution",
    "EnrichedExecutionBackend",
    "Estimator",
    "ExecutionBackend",
    "ExecutionFailed",
    "ExpectationValues",
    "Experiment",
    "Forbidden",
    "InputError",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobHeld",
    "JobState",
    "LimitReached",
    "MalformedReply",
    "Manifest",
    "MitigationError",
    "NoWorker",
    "NotLetIn",
    "NotReady",
    "ObservableError",
    "OptionError",
    "OptionSettings",
    "OptionSpec",
    "PackingError",
    "PartialResult",
    "PlanContext",
    "PlanningServices",
    "PlatformError",
    "PlatformUnavailable",
    "Plot",
    "Priority",
    "Progress",
    "ProtocolFailed",
    "QCPaaSError",
    "Recovery",
    "ReplayDiverged",
    "Reservation",
    "ResultPending",
    "RuntimeJob",
    "RuntimeProvider",
    "RuntimeWorkerBase",
    "Sampler",
    "Scheduling",
    "Series",
    "SessionClosed",
    "Settings",
    "ShotsError",
    "StaleCalibration",
    "StoreFull",
    "SubmissionRefused",
    "Superseded",
    "TooMuch",
    "UnknownDevice",
    "UnknownDeviceJob",
    "UnknownJob",
    "UnknownSnapshot",
    "WorkloadError",
    "__version__",
    "next_part",
]

# Where each name lives; the others are errors.
_HOMES = {
    "BindingPolicy": "binding",
    "Cost": "execution",
    "Counts": "execution",
    "DeviceRegistration": "devices",
    "Diagnostic": "manifest",
    "Distribution": "execution",
    "EnrichedExecutionBackend": "execution",
    "Estimator": "primitives",
    "ExecutionBackend": "execution",
    "ExpectationValues": "execution",
    "Experiment": "execution",
    "JobState": "schemas",
    "Manifest": "manifest",
    "OptionSettings": "execution",
    "OptionSpec": "schemas",
    "PartialResult": "partial",
    "PlanContext": "execution",
    "PlanningServices": "execution",
    "Plot": "manifest",
    "Priority": "scheduling",
    "Progress": "schemas",
    "Recovery": "schemas",
    "Reservation": "scheduling",
    "RuntimeJob": "jobs",
    "RuntimeProvider": "provider",
    "RuntimeWorkerBase": "worker",
    "Sampler": "primitives",
    "Scheduling": "scheduling",
    "Series": "manifest",
    "Settings": "settings",
    "next_part": "parts",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("qcpaas")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
