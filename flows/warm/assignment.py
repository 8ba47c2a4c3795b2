"""What a worker tells a fork to become."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Task(StrEnum):
    RUN = "run"  # run the flow
    HOOKS = "hooks"  # run the flow's hooks for a state that it has entered without being there
    FAIL = "fail"  # say that the run went over one of its limits


@dataclass(frozen=True)
class Assignment:
    """Attributes:
    env: The whole environment, not what is added to it.
    folder: The working directory.
    flow_run: Prefect's record of the run, as JSON values.
    entrypoint: Path of the flow's module, and its name in it.
    state: That the hooks are for, as JSON values.
    message: Why the run has failed.
    memory_mib: The most that the run may take.
    time_limit_s: Seconds after which the run is told to end.
    """

    task: Task
    env: dict[str, str] = field(repr=False)
    folder: str
    flow_run: dict[str, Any] = field(repr=False)
    entrypoint: str
    state: dict[str, Any] | None = None
    message: str = ""
    memory_mib: int | None = None
    time_limit_s: float | None = None

    @property
    def run_id(self) -> str:
        return str(self.flow_run["id"])

    def encoded(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, payload: bytes) -> Assignment:
        fields = json.loads(payload)
        return cls(**{**fields, "task": Task(fields["task"])})
