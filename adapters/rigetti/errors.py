"""What the errors of Rigetti's client mean; they tell everything in their text alone."""

from __future__ import annotations

import re
from collections.abc import Callable

from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    MalformedReply,
    SubmissionRefused,
    UnknownDeviceJob,
)

_GRPC = re.compile(r'status: (\w+), message: "(.*?)", details', re.DOTALL)
_HTTP = re.compile(r"status code (\d{3})")
_FAILED = re.compile(r"failed with status: (\w+)\. (.*)", re.DOTALL)
_REFUSED = frozenset({"Unauthenticated", "PermissionDenied"})
_WRONG = frozenset(
    {"InvalidArgument", "FailedPrecondition", "ResourceExhausted", "OutOfRange", "Unimplemented"}
)
_LET_IN = "access token"  # of a failed refresh
_CLIENT_ERROR = re.compile(r"client error \(4\d\d|\(4\d\d ")
CANCELLED = "USER_CANCELLATION"


class Trouble:
    """One failed call of Rigetti's client.

    Attributes:
        code: gRPC's status, such as ``NotFound``; empty where the text has none.
        message: The vendor's own words, without secrets.
    """

    def __init__(self, error: BaseException, scrubbed: Callable[[str], str]) -> None:
        self.text = scrubbed(str(error) or type(error).__name__)[:500]
        found = _GRPC.search(self.text)
        self.code, self.message = (found[1], found[2]) if found else ("", self.text)
        self.late = isinstance(error, TimeoutError) or "Timeout expired" in self.text

    @property
    def refused(self) -> bool:
        """Whether the credentials are."""
        if _LET_IN in self.text and _CLIENT_ERROR.search(self.text):
            return True
        status = _HTTP.search(self.text)
        return self.code in _REFUSED or (status is not None and status[1] in {"401", "403"})

    @property
    def unreadable(self) -> bool:
        return "decod" in self.text or "missing data" in self.text

    @property
    def wrong(self) -> bool:
        """Whether the request is."""
        return self.code in _WRONG

    @property
    def job(self) -> tuple[str, str] | None:
        """Status and message of a job that did not succeed."""
        found = _FAILED.search(self.text)
        return None if found is None else (found[1], found[2])

    def asking(self, what: str, missing: type[AdapterError] = UnknownDeviceJob) -> AdapterError:
        """The error of a call that changes nothing.

        Args:
            missing: Of what was asked about and is not there.
        """
        kind, told = self._kind(missing)
        return kind(f"{what}: {told}")

    def _kind(self, missing: type[AdapterError]) -> tuple[type[AdapterError], str]:
        unknown = not self.code and not _HTTP.search(self.text) and _LET_IN not in self.text
        rules: list[tuple[bool, type[AdapterError], str]] = [
            (self.refused, CredentialsRefused, f"{self.message}. Sign in with `qcs auth login`."),
            (self.late, DeviceUnavailable, "no answer came in time. Ask again later."),
            (self.code == "NotFound", missing, self.message),
            (self.job is not None, ExecutionFailed, ": ".join(self.job or ())),
            (self.wrong, SubmissionRefused, self.message),
            (self.unreadable or unknown, MalformedReply, self.message[:200]),
        ]
        kinds = ((kind, told) for holds, kind, told in rules if holds)
        return next(kinds, (DeviceUnavailable, self.message))

    def submitting(self, what: str, token: str) -> AdapterError:
        """The error of a call that may have been accepted."""
        if self.refused:
            return CredentialsRefused(f"{what}: {self.message}. Sign in with `qcs auth login`.")
        if self.wrong or self.code == "NotFound":
            return SubmissionRefused(f"{what}: {self.message}")
        if self.code == "Unavailable" or _LET_IN in self.text:
            return DeviceUnavailable(f"{what}: {self.message}")
        found = "none in time" if self.late else self.message
        return AcceptanceUnknown(
            f"{what}: sent under token {token}, and no answer came that can be read: {found}. "
            "Rigetti cannot be searched for it."
        )
