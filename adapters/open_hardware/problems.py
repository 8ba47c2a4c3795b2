"""Errors on their way over the open hardware API: their kind, and the HTTP status beside it."""

from __future__ import annotations

from adapters.contract import Unsupported
from adapters.open_hardware.messages import Problem
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CalibrationError,
    CircuitError,
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    InputError,
    MalformedReply,
    QCPaaSError,
    ResultPending,
    SessionClosed,
    SubmissionRefused,
    UnknownDeviceJob,
)

UNSUPPORTED = "Unsupported"
STATUS: dict[type[QCPaaSError], int] = {
    CredentialsRefused: 401,
    UnknownDeviceJob: 404,
    ExecutionFailed: 409,
    SessionClosed: 410,
    CircuitError: 422,
    SubmissionRefused: 422,
    CalibrationError: 500,
    DeviceUnavailable: 503,
}
_KINDS: dict[str, type[QCPaaSError]] = {
    kind.__name__: kind
    for kind in (
        AdapterError,
        AcceptanceUnknown,
        CalibrationError,
        CircuitError,
        CredentialsRefused,
        DeviceUnavailable,
        ExecutionFailed,
        MalformedReply,
        ResultPending,
        SessionClosed,
        SubmissionRefused,
        UnknownDeviceJob,
    )
}


def problem_of(error: QCPaaSError) -> tuple[int, Problem]:
    """Status and body; a kind that the interface does not have goes as its nearest parent.

    What is wrong between the server and a vendor behind it is not the client's business: to a
    client such a device is out of service.
    """
    kind = _nearest(type(error))
    if kind in {CredentialsRefused, MalformedReply, AcceptanceUnknown}:
        kind = DeviceUnavailable
    if kind is InputError:
        kind = SubmissionRefused
    problem = Problem(error=kind.__name__, message=str(error), retryable=kind.retryable)
    return STATUS.get(kind, 500), problem


def unsupported_problem(answer: Unsupported) -> Problem:
    """With status 501."""
    return Problem(error=UNSUPPORTED, message=answer.reason, operation=answer.operation)


def kind_named(name: str) -> type[QCPaaSError] | None:
    """The error that a problem stands for; ``None`` where it is none of the interface's."""
    return _KINDS.get(name)


def _nearest(kind: type[QCPaaSError]) -> type[QCPaaSError]:
    for parent in kind.__mro__:
        if parent.__name__ in _KINDS or parent is InputError:
            return parent
    return AdapterError
