"""AWS's errors in our tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.braket.credentials import BraketCredentials
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CredentialsRefused,
    DeviceUnavailable,
    MalformedReply,
    QCPaaSError,
    SubmissionRefused,
)

QUOTED = 200  # characters of a reply that does not fit

_REFUSED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_LATER = {
    "DeviceOfflineException",
    "RequestLimitExceeded",
    "ServiceQuotaExceededException",  # of tasks at once: some will end
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_AWAY = {429, 502, 503}
_WRONG_REQUEST = {"DeviceRetiredException", "ValidationException"}
_NOT_FOUND = {"ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "404"}


class NotFound(AdapterError):
    """AWS knows no such thing; whoever asked says what."""


class Conflict(AdapterError):
    """AWS says that it is too late for this."""


class Malformed(MalformedReply):
    """A reply of AWS that does not fit its interface."""

    @classmethod
    def of(cls, what: str, found: object) -> Malformed:
        return cls(f"AWS answered {what} with what its interface does not allow: {_short(found)}")


def translated(
    error: Exception, device: str, what: str, credentials: BraketCredentials, *, submits: bool
) -> QCPaaSError:
    """What boto3 raised, as one of ours, without any secret.

    Args:
        what: Was asked, such as ``GetDevice``.
        submits: Whether the request, if it arrived, has made a task.
    """
    from botocore import exceptions as boto

    text = credentials.scrubbed(str(error))
    not_let_in = (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.TokenRetrievalError,
        boto.SSOError,
        boto.NoRegionError,
    )
    not_sent = (
        boto.EndpointConnectionError,
        boto.ConnectTimeoutError,
        boto.ProxyConnectionError,
        boto.SSLError,
    )
    match error:
        case boto.ClientError():
            told = _answered(error.response, device, text, submits=submits)
        case _ if isinstance(error, not_let_in):
            told = CredentialsRefused(f"{device}: {what} was not sent: {text} {_KEYS}")
        case _ if isinstance(error, not_sent):
            told = DeviceUnavailable(f"{device} cannot be reached: {text}")
        case boto.ParamValidationError():
            told = SubmissionRefused(f"{device}: {what} was not sent: {text}")
        case _ if submits:
            told = _unknown(device, text)
        case boto.HTTPClientError():
            told = DeviceUnavailable(f"{device}: the connection broke during {what}: {text}")
        case _:
            told = Malformed.of(f"{what} of {device}", text)
    return told


_KEYS = "Give AWS keys, a profile or a role: see boto3's documentation of credentials."


def _answered(reply: Mapping[str, Any], device: str, text: str, *, submits: bool) -> QCPaaSError:
    code = str(reply.get("Error", {}).get("Code", ""))
    status = reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{device}: {text}{_failures(reply)}"
    if submits and status >= 500 and code not in _LATER and status not in _AWAY:
        return _unknown(device, text)
    kind = _kind(code, status, submits=submits)
    return kind(f"{said} {_KEYS}" if kind is CredentialsRefused else said)


def _kind(code: str, status: int, *, submits: bool) -> type[AdapterError]:
    kinds: tuple[tuple[bool, type[AdapterError]], ...] = (
        (code in _LATER or status in _AWAY, DeviceUnavailable),
        (code in _REFUSED or status in {401, 403}, CredentialsRefused),
        (submits and status < 500, SubmissionRefused),
        (code in _NOT_FOUND, NotFound),
        (code == "ConflictException", Conflict),
        (status >= 500, DeviceUnavailable),
        (code in _WRONG_REQUEST, SubmissionRefused),
    )
    return next((kind for holds, kind in kinds if holds), AdapterError)


def _failures(reply: Mapping[str, Any]) -> str:
    """What Braket says of single programs of a set."""
    failures = reply.get("programSetValidationFailures")
    return f" {_short(failures)}" if failures else ""


def _unknown(device: str, found: str) -> AcceptanceUnknown:
    return AcceptanceUnknown(
        f"a task was sent to {device}, and no answer came that says whether it was accepted: "
        f"{found}. Look for its token before it is sent again."
    )


def _short(found: object) -> str:
    text = " ".join(str(found).split())
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."
