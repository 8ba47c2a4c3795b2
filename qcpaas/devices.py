"""Devices as they travel: what they are, how they are reached, and what opens them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field, JsonValue

from qcpaas.wire import Wire


class DeviceRegistration(Wire):
    """How the platform reaches a device.

    Attributes:
        name: On this platform.
        adapter: Name of its adapter, such as ``ibm``.
        address: What the vendor calls it: a backend name, an ARN, a URL.
        credentials: Name of the Prefect block that opens it; empty for the environment's own.
        settings: The adapter's own, such as the vendor's session mode.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.:/+@-]*$", max_length=200)
    adapter: str
    address: str
    credentials: str = ""
    settings: dict[str, JsonValue] = Field(default_factory=dict)


class CredentialsKind(Wire):
    """What an adapter's credentials consist of.

    Attributes:
        fields: JSON schema of each, by name; ``environment`` names the variables that hold it
            usually, and ``format: password`` marks secrets.
    """

    adapter: str
    fields: dict[str, Any]


class CredentialsInfo(Wire):
    """Credentials that the platform keeps, without what they hold."""

    name: str
    adapter: str


class DeviceInfo(Wire):
    """A device as it is listed.

    Attributes:
        calibrated_at: When its newest calibration became known.
        asked_at: When it was last asked for its calibration.
        answered_at: When it last answered.
        problem: Why it did not answer then; empty where it did.
        address: What its vendor calls it; empty where the platform has it without registration.
        credentials: Name of those that open it; empty for the environment's.
        concurrent_jobs: Submissions that it takes side by side.
    """

    name: str
    adapter: str
    num_qubits: int
    simulator: bool = False
    address: str = ""
    credentials: str = ""
    snapshot_id: str | None = None
    calibrated_at: datetime | None = None
    description: str = ""
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    problem: str = ""
    concurrent_jobs: int = Field(default=1, ge=1)
