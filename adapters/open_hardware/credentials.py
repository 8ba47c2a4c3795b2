"""What opens a device behind the open hardware API."""

from __future__ import annotations

from pydantic import Field, SecretStr

from adapters.credentials import Credentials


class OpenHardwareCredentials(Credentials):
    """A token of the device's owner.

    Attributes:
        token: Sent as ``Authorization: Bearer TOKEN``; none where the device lets everybody in.
    """

    token: SecretStr | None = Field(None, json_schema_extra={"environment": ["QCPAAS_QPU_TOKEN"]})
