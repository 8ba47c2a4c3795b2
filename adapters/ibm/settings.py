"""How an IBM device is used."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.vendor import DeviceSettings


class IbmSettings(DeviceSettings):
    """A registration's settings.

    Attributes:
        instance: CRN or name of the service instance, in place of the credentials' one.
        mode: What a session of the platform is at IBM: a ``batch``, whose jobs are run close to
            each other, or a dedicated ``session``, which every plan but the open one has and which
            is charged from its first job to its end, idle or not; ``job`` sends every job on its
            own.
        max_time_s: Longest time that a session or batch is open, seconds; IBM's limit of the
            account's plan where none is given.
        resilience_level: Of the estimator; 0 corrects nothing.
    """

    instance: str | None = None
    mode: Literal["job", "session", "batch"] = "batch"
    max_time_s: int | None = Field(None, ge=1)
    resilience_level: int = Field(0, ge=0, le=2)
