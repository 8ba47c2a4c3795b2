"""Learning from a fidelity that a user knows: a device is opened for it, which workers do."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import Artifact
from pydantic import BaseModel

from qcpaas.calibration_artifacts import slug
from qcpaas.prefect_api import ANSWER
from qcpaas.settings import Settings
from store.database import open_store
from tasks.feedback import observe_fidelity


class Observed(BaseModel):
    """A fidelity that a user knows of a finished job."""

    job_id: str
    fidelity: float
    std_error: float


@flow(name="feedback")
def feedback(observed: Observed, device: str | None = None) -> None:
    """Publish what is known of a device after a user's observation.

    Args:
        device: Where the job is believed to have run; left out, wherever it did.
    """
    with open_store(Settings().resolved_store_url) as store:
        report = observe_fidelity(
            store, observed.job_id, observed.fidelity, observed.std_error, device
        )
    Artifact(
        type=ANSWER, key=f"feedback-{slug(report.device)}", data=report.model_dump(mode="json")
    ).create()
