"""Noise that jobs have learnt on a device: for clients that have no store within reach."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import Artifact

from qcpaas.calibration_artifacts import slug
from qcpaas.prefect_questions import ANSWER
from qcpaas.settings import Settings
from store.database import open_store
from tasks.learn_noise import noise_report


@flow(name="learnt-noise")
def learnt_noise(device: str) -> None:
    """Publish what is known of the noise of a device's gate layers."""
    with open_store(Settings().resolved_store_url) as store:
        report = noise_report(store, device)
    Artifact(
        type=ANSWER, key=f"learnt-noise-{slug(report.device)}", data=report.model_dump(mode="json")
    ).create()
