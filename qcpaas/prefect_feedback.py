"""What a running platform has learnt of its devices: told, renewed and forgotten by its flow."""

from __future__ import annotations

import re
import time
from typing import Any

from qcpaas.binding import FeedbackReport
from qcpaas.errors import PlatformError, PlatformUnavailable
from qcpaas.prefect_api import PrefectApi, read_artifact
from qcpaas.reports import rebuild
from qcpaas.schemas import ErrorReport

FEEDBACK = "feedback/feedback"  # the deployment
ARTIFACT = "feedback"  # the artifact's type
WAIT_S = 180.0
POLL_S = 0.5
_RAISED = re.compile(r"^Flow run encountered an exception: (?:(\w+): )?", re.DOTALL)
_OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class PrefectFeedback:
    """Asks by a run of the platform's feedback flow, and waits for its report."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def ask(self, **parameters: Any) -> FeedbackReport:
        """Of `flows.feedback.feedback`.

        Raises:
            QCPaaSError: What the flow raised.
            PlatformUnavailable: No worker took it up in time.
        """
        deployment = self._api.get(f"deployments/name/{FEEDBACK}")
        if deployment is None:
            raise PlatformUnavailable(
                f"the platform at {self._api.url} has no deployment {FEEDBACK}. `make up` creates "
                "it."
            )
        body = {"parameters": parameters, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
        run_id = self._api.create_run(deployment["id"], body)["id"]
        run = self._wait(run_id)
        if run["state_type"] != "COMPLETED":
            raise _error(run)
        return self._report(run_id)

    def _wait(self, run_id: str) -> dict[str, Any]:
        give_up = time.monotonic() + WAIT_S
        while time.monotonic() < give_up:
            run: dict[str, Any] | None = self._api.get(f"flow_runs/{run_id}")
            if run is not None and run["state_type"] in _OVER:
                return run
            time.sleep(POLL_S)
        raise PlatformUnavailable(
            f"no worker of the platform at {self._api.url} has answered within {WAIT_S:.0f} s. Its "
            f"run {run_id} goes on; ask again later."
        )

    def _report(self, run_id: str) -> FeedbackReport:
        body = {
            "artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": [ARTIFACT]}},
            "limit": 1,
        }
        found = self._api.post("artifacts/filter", body)
        if not found:
            raise PlatformError(f"run {run_id} at {self._api.url} ended without a report.")
        return read_artifact(FeedbackReport, found[0])


def _error(run: dict[str, Any]) -> Exception:
    message = (run.get("state") or {}).get("message") or "it ended without a reason"
    raised = _RAISED.match(message)
    kind = (raised and raised[1]) or PlatformError.__name__
    return rebuild(ErrorReport(type=kind, message=_RAISED.sub("", message)))
