"""The HTTP status of every error that the platform raises."""

from __future__ import annotations

from http import HTTPStatus

from qcpaas.errors import (
    AdapterError,
    CalibrationError,
    Conflict,
    Forbidden,
    InputError,
    JobError,
    LimitReached,
    MitigationError,
    NotLetIn,
    NotReady,
    NoWorker,
    PlatformUnavailable,
    QCPaaSError,
    TooMuch,
    UnknownDevice,
    UnknownJob,
    UnknownSnapshot,
)

# The first that fits; subclasses before their bases.
_STATUS: tuple[tuple[type[QCPaaSError], HTTPStatus], ...] = (
    (NotLetIn, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (TooMuch, HTTPStatus.TOO_MANY_REQUESTS),
    (LimitReached, HTTPStatus.TOO_MANY_REQUESTS),
    (NoWorker, HTTPStatus.CONFLICT),
    (UnknownJob, HTTPStatus.NOT_FOUND),
    (UnknownDevice, HTTPStatus.NOT_FOUND),
    (UnknownSnapshot, HTTPStatus.NOT_FOUND),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotReady, HTTPStatus.CONFLICT),
    (CalibrationError, HTTPStatus.CONFLICT),
    (JobError, HTTPStatus.CONFLICT),
    (MitigationError, HTTPStatus.CONFLICT),
    (AdapterError, HTTPStatus.BAD_GATEWAY),
    (PlatformUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (QCPaaSError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def status_of(error: QCPaaSError) -> HTTPStatus:
    return next(status for kind, status in _STATUS if isinstance(error, kind))
