"""What IQM's server and client say, in the terms of the platform's errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from adapters.iqm.wire import QUOTED, Authorization, Stage, WireError
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CredentialsRefused,
    DeviceUnavailable,
    MalformedReply,
    QCPaaSError,
    SubmissionRefused,
    UnknownDevice,
    UnknownDeviceJob,
)

# Nothing was taken, and it may be asked again: time-out of the request itself, too many
# requests, maintenance. A bad gateway (502) may have lost the way after the job was taken.
_AWAY = frozenset({408, 425, 429, 503})
_UNREADABLE = (
    ValueError,  # JSON, pydantic's and the client's checks, a status that HTTP does not know
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class Translator:
    """Turns whatever leaves the client into the platform's errors, without secrets.

    Args:
        device: As the platform calls it.
        alias: As the server calls it.
    """

    def __init__(self, device: str, alias: str, url: str, authorization: Authorization) -> None:
        self._device = device
        self._alias = alias
        self._url = url
        self._authorization = authorization

    @contextlib.contextmanager
    def asking(self, what: str, job_id: str | None = None) -> Iterator[None]:
        """Around requests that may be repeated without harm, and the reading of their answers.

        Args:
            what: For messages, such as ``its calibration set``.
        """
        try:
            yield
        except QCPaaSError:
            raise
        except WireError as error:
            raise self._asked(error, what, job_id) from error
        except Exception as error:  # noqa: BLE001  whatever the client raises is told in our terms
            raise self._client_error(error, what) from self._cause(error)

    @contextlib.contextmanager
    def submitting(self, token: str) -> Iterator[None]:
        """Around the one request that must not be repeated blindly."""
        try:
            yield
        except WireError as error:
            raise self._submitted(error, token) from error
        except Exception as error:  # noqa: BLE001
            known = self._client_error(error, "a job")
            if isinstance(known, CredentialsRefused):  # before anything was sent
                raise known from self._cause(error)
            found = f"its answer cannot be read: {self._quoted(error)}"
            raise self._unknown(token, found) from self._cause(error)

    @contextlib.contextmanager
    def checking(self) -> Iterator[None]:
        """Around the client's own checks of a batch, which send nothing."""
        from exa.common.errors.iqm_error import ValidationError

        try:
            yield
        except (ValidationError, *_UNREADABLE) as error:
            raise SubmissionRefused(
                f"{self._device} cannot run the circuits: {self._quoted(error)}. Compile them for "
                "this device."
            ) from error

    def _asked(self, error: WireError, what: str, job_id: str | None) -> AdapterError:
        if error.stage is not Stage.ANSWERED:
            return self._away(error)
        if error.status in {401, 403}:
            return self._refused(error)
        if error.status == 404 and job_id is not None:
            return UnknownDeviceJob(
                f"{self._device} has no job {job_id}. It was deleted, or it belongs to another "
                f"server than {self._url}."
            )
        if error.status in _AWAY or error.status >= 500:
            return DeviceUnavailable(f"{self._device} does not answer now: {error}")
        return AdapterError(f"{self._device} was asked for {what} and refused: {error}")

    def _submitted(self, error: WireError, token: str) -> AdapterError:
        if error.stage is Stage.NOT_SENT:
            return self._away(error)
        if error.stage is Stage.NO_ANSWER or (error.status >= 500 and error.status not in _AWAY):
            return self._unknown(token, str(error))
        if error.status in {401, 403}:
            return self._refused(error)
        if error.status in _AWAY:
            return DeviceUnavailable(f"{self._device} takes nothing now: {error}")
        return SubmissionRefused(f"{self._device} refused the job: {error}")

    def _client_error(self, error: Exception, what: str) -> QCPaaSError:
        """Of what the client raises of its own."""
        from iqm.station_control.client.authentication import (
            ClientAuthenticationError,
            ClientConfigurationError,
        )

        text = self._quoted(error)
        if isinstance(error, ClientConfigurationError) and "does not exist" in text:
            return UnknownDevice(f"there is no quantum computer {self._alias!r}: {text}")
        if isinstance(error, ClientAuthenticationError | ClientConfigurationError):
            return CredentialsRefused(
                f"the credentials for {self._device} cannot be used: {text} Correct "
                "IQM_SERVER_URL, IQM_TOKEN or IQM_TOKENS_FILE."
            )
        if isinstance(error, _UNREADABLE):
            return MalformedReply(
                f"{self._device} was asked for {what}, and its answer cannot be read: {text}"
            )
        return AdapterError(f"{self._device} was asked for {what}: {text}")

    def _away(self, error: WireError) -> DeviceUnavailable:
        return DeviceUnavailable(
            f"{self._device} at {self._url} cannot be reached: {error}. Check IQM_SERVER_URL and "
            "the network, or try again later."
        )

    def _refused(self, error: WireError) -> CredentialsRefused:
        return CredentialsRefused(
            f"{self._url} does not let these credentials use {self._alias}: {error}. Renew the "
            "token, and set IQM_TOKEN or IQM_TOKENS_FILE."
        )

    def _unknown(self, token: str, found: str) -> AcceptanceUnknown:
        return AcceptanceUnknown(
            f"a job was sent to {self._device} under token {token}, and it is not known whether it "
            f"was taken: {found}. IQM cannot search for it; look at the server's list of jobs "
            "before it is sent again."
        )

    def _quoted(self, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}" if isinstance(error, _UNREADABLE) else str(error)
        return self._authorization.scrubbed(" ".join(text.split()))[:QUOTED]

    def _cause(self, error: Exception) -> Exception | None:
        """The cause to be shown, unless it would show a secret."""
        text = f"{error!r} {error}"
        return error if self._authorization.scrubbed(text) == text else None
