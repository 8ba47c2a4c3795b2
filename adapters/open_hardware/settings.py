"""What a device behind the open hardware API can be configured with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.vendor import DeviceSettings


class OpenHardwareSettings(DeviceSettings):
    """Attributes:
    ca_bundle: File with the certificates that are trusted; left out, the system's.
    circuits: ``best`` sends QPY where the device reads it, and OpenQASM 3 elsewhere.
    connect_s: How long a connection may take.
    reply_s: How long an answer may take, besides the time that was asked to wait.
    clear_text: Whether a token may go over plain HTTP to another machine.
    max_reply_mib: Larger replies are not read.
    """

    ca_bundle: str = ""
    circuits: Literal["best", "openqasm3"] = "best"
    connect_s: float = Field(default=5.0, gt=0, le=600)
    reply_s: float = Field(default=30.0, gt=0, le=3600)
    clear_text: bool = False
    max_reply_mib: int = Field(default=512, ge=1)
