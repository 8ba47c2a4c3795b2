"""What observed fidelities say about a device: for clients that have no store within reach."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import Artifact
from pydantic import BaseModel

from qcpaas.binding import FeedbackReport
from qcpaas.calibration_artifacts import slug
from qcpaas.errors import InputError
from qcpaas.prefect_questions import ANSWER
from qcpaas.settings import Settings
from store.database import Store, open_store
from tasks.feedback import feedback_report, observe_fidelity, reset_feedback


class Observed(BaseModel):
    """A fidelity that a user knows of a finished job."""

    job_id: str
    fidelity: float
    std_error: float


@flow(name="feedback")
def feedback(
    device: str | None = None, observed: Observed | None = None, reset: bool = False
) -> None:
    """Publish what was learnt of a device, after a user's observation or a reset where asked.

    Args:
        device: Not needed with ``observed``, which names a job.
        reset: Forget what was learnt.
    """
    with open_store(Settings().resolved_store_url) as store:
        report = _carry_out(store, device, observed, reset=reset)
    Artifact(
        type=ANSWER, key=f"feedback-{slug(report.device)}", data=report.model_dump(mode="json")
    ).create()


def _carry_out(
    store: Store, device: str | None, observed: Observed | None, *, reset: bool
) -> FeedbackReport:
    if observed is not None:
        return observe_fidelity(
            store, observed.job_id, observed.fidelity, observed.std_error, device
        )
    if device is None:
        raise InputError("name a device, or a job whose fidelity was observed.")
    return reset_feedback(store, device) if reset else feedback_report(store, device)
