"""How an IBM device is used."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.vendor import DeviceSettings


class IbmSettings(DeviceSettings):
    """A registration's settings.

    Attributes:
        instance: CRN or name of the service instance, in place of the credentials' one.
        mode: What a session of the platform is at IBM: a dedicated ``session``, or a ``batch``
            whose jobs are run together; ``job`` sends every job on its own.
        max_time_s: Longest time that a session or batch is open, seconds; IBM's limit of the
            account's plan where none is given.
        resilience_level: Of the estimator; 0 corrects nothing.
    """

    instance: str | None = None
    mode: Literal["job", "session", "batch"] = "session"
    max_time_s: int | None = Field(None, ge=1)
    resilience_level: int = Field(0, ge=0, le=2)
