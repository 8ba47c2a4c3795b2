"""The seam to what the command starts and only a platform's installation has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from qcpaas.errors import PlatformUnavailable
from qcpaas.scheduling import NewToken, TokenInfo, UserInfo
from qcpaas.wire import Wire

GROUP = "qcpaas.services"


class DeviceService(Wire):
    """How a device is served over HTTP.

    Attributes:
        device: Name, ``ADAPTER:ADDRESS``, ``path/to/lab.py:Class`` or ``package.module:Class``.
        port: 0 takes a free one.
        state: File of its jobs, made if new.
        token_file: Hashes of the tokens that open it; none lets everybody on this machine in.
        tls_cert: File of the certificate chain; ``tls_key`` of its key.
        prefix: Of every path, such as ``/emu``.
        max_body_mib: Of one request.
        keep_results_days: After a job's end; without it for good.
        with_parent: End when standard input is closed.
    """

    device: str
    host: str = "127.0.0.1"
    port: int = Field(default=8400, ge=0, le=65535)
    state: Path
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    prefix: str = Field(default="", pattern=r"^(/[\w.-]+)*$")
    max_body_mib: int = Field(default=64, ge=1, le=1024)
    keep_results_days: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    with_parent: bool = False


class ServeDevice(Protocol):
    def __call__(self, service: DeviceService) -> None:
        """Serve until the process is ended."""
        ...


class AddToken(Protocol):
    def __call__(self, file: Path, name: str) -> str:
        """A new token, told once; the file gets its hash."""
        ...


class PeopleService(Protocol):
    """Users and tokens of the platform whose store this machine reaches."""

    def close(self) -> None: ...

    def users(self) -> Sequence[UserInfo]: ...

    def keep_user(self, user: UserInfo) -> UserInfo:
        """Make a user, or change one."""
        ...

    def tokens(self, user: str = "") -> Sequence[TokenInfo]:
        """Of a user, or of everybody."""
        ...

    def create_token(
        self, user: str, label: str = "", expires_at: datetime | None = None
    ) -> NewToken: ...

    def revoke_token(self, token_id: str) -> None: ...


def open_people(store_url: str) -> PeopleService:
    """Raises `PlatformUnavailable` where only the client is installed."""
    found: PeopleService = _service("people")(store_url)
    return found


def serve_device() -> ServeDevice:
    """Raises `PlatformUnavailable` where only the client is installed."""
    found: ServeDevice = _service("device")
    return found


def add_token() -> AddToken:
    """Raises `PlatformUnavailable` where only the client is installed."""
    found: AddToken = _service("device_token")
    return found


def _service(name: str) -> Any:
    try:
        (found,) = (entry.load() for entry in entry_points(group=GROUP, name=name))
    except (ModuleNotFoundError, ValueError) as error:
        raise PlatformUnavailable(
            f"this command needs the platform's packages, and here is only the client: {error}. "
            "Run it from a checkout of the project."
        ) from error
    return found
