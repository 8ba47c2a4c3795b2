"""Questions that only a worker can answer, asked by a run of one of its flows."""

from __future__ import annotations

import re
import time
from typing import Any, TypeVar

from qcpaas.errors import PlatformError, PlatformUnavailable
from qcpaas.prefect_api import ANSWER, PrefectApi, read_artifact
from qcpaas.reports import rebuild
from qcpaas.schemas import ErrorReport
from qcpaas.wire import Wire

WAIT_S = 180.0
POLL_S = 0.5
_RAISED = re.compile(r"^Flow run encountered an exception: (?:(\w+): )?", re.DOTALL)
_OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

Answer = TypeVar("Answer", bound=Wire)


class PrefectQuestions:
    """Asks by a run of a deployment, and waits for the artifact that answers."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def ask(self, deployment: str, kind: type[Answer], **parameters: Any) -> Answer:
        """What the deployment's flow answers to these parameters.

        Args:
            deployment: As ``flow/deployment``.

        Raises:
            QCPaaSError: What the flow raised.
            PlatformUnavailable: No worker took it up in time.
        """
        found = self._api.get(f"deployments/name/{deployment}")
        if found is None:
            raise PlatformUnavailable(
                f"{self._api.name} has no deployment {deployment}. `make up` creates it."
            )
        body = {"parameters": parameters, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
        run_id = self._api.create_run(found["id"], body)["id"]
        run = self._wait(run_id)
        if run["state_type"] != "COMPLETED":
            raise _error(run)
        return self._answer(run_id, kind)

    def _wait(self, run_id: str) -> dict[str, Any]:
        give_up = time.monotonic() + WAIT_S
        while time.monotonic() < give_up:
            run: dict[str, Any] | None = self._api.get(f"flow_runs/{run_id}")
            if run is not None and run["state_type"] in _OVER:
                return run
            time.sleep(POLL_S)
        raise PlatformUnavailable(
            f"no worker of the platform has answered within {WAIT_S:.0f} s. Its run {run_id} goes "
            "on; ask again later."
        )

    def _answer(self, run_id: str, kind: type[Answer]) -> Answer:
        body = {
            "artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": [ANSWER]}},
            "limit": 1,
        }
        found = self._api.post("artifacts/filter", body)
        if not found:
            raise PlatformError(f"run {run_id} ended without an answer.")
        return read_artifact(kind, found[0])


def _error(run: dict[str, Any]) -> Exception:
    message = (run.get("state") or {}).get("message") or "it ended without a reason"
    raised = _RAISED.match(message)
    kind = (raised and raised[1]) or PlatformError.__name__
    return rebuild(ErrorReport(type=kind, message=_RAISED.sub("", message)))
