"""Every error that the platform raises on purpose.

::

    QCPaaSError
    ├── InputError                  the request is wrong; nothing was spent
    │   ├── CircuitError            broken text, unbound parameters, no measurement, too wide
    │   ├── ObservableError
    │   ├── ShotsError
    │   ├── OptionError             unknown, misplaced, misconfigured or not installed
    │   ├── UnknownDevice
    │   ├── UnknownJob
    │   ├── UnknownSnapshot
    │   ├── Conflict                the same key was used for another job, or the name is taken
    │   └── PackingError            a workload that cannot travel to a worker
    ├── JobError                    the job ran, and did not end well
    │   ├── WorkloadError           the user's own code raised
    │   ├── JobFailed
    │   ├── JobCancelled
    │   ├── JobHeld                 waits for a person: it may have sent what it cannot find
    │   └── ReplayDiverged          the code asks for something else than before the crash
    ├── MitigationError             the data does not support the correction that was asked
    ├── CalibrationError
    │   ├── ProtocolFailed          a characterisation routine crashed, hung or raised
    │   └── StaleCalibration        it moved after the binding, and the job wants to end then
    ├── AdapterError                a device, or the way to it
    │   ├── CredentialsRefused      wrong, expired or missing
    │   ├── DeviceUnavailable       (retryable) not reached or in maintenance, nothing was sent
    │   ├── MalformedReply          it answered what its interface does not allow
    │   ├── AcceptanceUnknown       sent, and no answer came
    │   ├── ResultPending           (retryable) the device job is not done yet
    │   ├── SessionClosed           (retryable) the device's session has ended
    │   ├── SubmissionRefused
    │   ├── ExecutionFailed
    │   └── UnknownDeviceJob
    └── PlatformError               the platform itself
        ├── PlatformUnavailable     (retryable)
        ├── StoreFull               no space left for the database
        ├── Superseded              another process has taken over the job or its device
        ├── NotReady                asked for too early
        ├── NotLetIn                nobody that the platform knows
        ├── Forbidden               somebody that may not do this
        ├── TooMuch                 (retryable) more requests, or data, than anybody may send
        ├── LimitReached            as much of the platform as the user's limits allow
        └── NoWorker                no worker has what the job needs

``retryable`` says whether the same request can succeed later; the flows' retry condition reads it.
``exit_code`` is what the ``qcpaas`` command ends with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class QCPaaSError(Exception):
    """The root of the tree."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1


class InputError(QCPaaSError):
    exit_code = 2


class CircuitError(InputError):
    pass


class ObservableError(InputError):
    pass


class ShotsError(InputError):
    pass


class OptionError(InputError):
    pass


class UnknownDevice(InputError):
    pass


class UnknownJob(InputError):
    pass


class UnknownSnapshot(InputError):
    pass


class Conflict(InputError):
    pass


class PackingError(InputError):
    pass


class JobError(QCPaaSError):
    pass


class WorkloadError(JobError):
    """The user's code raised; ``traceback_text`` starts at the user's own lines."""

    def __init__(self, message: str, traceback_text: str = "") -> None:
        super().__init__(message)
        self.traceback_text = traceback_text


class JobFailed(JobError):
    pass


class JobCancelled(JobError):
    exit_code = 130


class JobHeld(JobError):
    exit_code = 5


class ReplayDiverged(JobError):
    pass


class MitigationError(QCPaaSError):
    pass


class CalibrationError(QCPaaSError):
    pass


class ProtocolFailed(CalibrationError):
    """A characterisation routine gave no data; ``log_tail`` is the end of what it wrote."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail


class StaleCalibration(CalibrationError):
    pass


class AdapterError(QCPaaSError):
    exit_code = 4


class CredentialsRefused(AdapterError):
    pass


class MalformedReply(AdapterError):
    pass


class DeviceUnavailable(AdapterError):
    retryable = True


class AcceptanceUnknown(AdapterError):
    pass


class ResultPending(AdapterError):
    retryable = True


class SessionClosed(AdapterError):
    retryable = True


class SubmissionRefused(AdapterError):
    pass


class ExecutionFailed(AdapterError):
    pass


class UnknownDeviceJob(AdapterError):
    pass


class PlatformError(QCPaaSError):
    exit_code = 3


class PlatformUnavailable(PlatformError):
    retryable = True


class StoreFull(PlatformError):
    pass


class Superseded(PlatformError):
    pass


class NotReady(PlatformError):
    pass


class NotLetIn(PlatformError):
    """The message never repeats what was shown."""


class Forbidden(PlatformError):
    pass


class TooMuch(PlatformError):
    """``retry_after_s`` says when to ask again, where that helps."""

    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LimitReached(PlatformError):
    pass


class NoWorker(PlatformError):
    pass


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names what the caller may have meant, or what there is.

    Matching ignores case, so that ``fakekolkata`` finds ``FakeKolkata``.
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(by_folded[match] for match in close)}?"
    if not by_folded:
        return "There is none."
    listed = sorted(by_folded.values())
    shown = ", ".join(listed[:8])
    return f"There is {shown}{' and others' if len(listed) > 8 else ''}."
