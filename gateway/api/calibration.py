"""Calibrations: as they are known, as they were, and asking for new ones."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import AwareDatetime

from gateway.answers import TheAnswers
from gateway.api.names import DeviceName
from gateway.engine.calibrations import with_outcome
from gateway.exact_json import exact
from gateway.platform import Needs, ThePlatform
from qcpaas.binding import FeedbackReport
from qcpaas.calibration import (
    CalibrationReport,
    CalibrationRun,
    Characterisation,
    Fit,
    Quantity,
    ValueHistory,
)
from qcpaas.noise import NoiseReport
from qcpaas.scheduling import Role

OWNER = [Depends(Needs(Role.OWNER))]
Qubits = Annotated[str, Query(pattern=r"^\d{1,6}(,\d{1,6}){0,15}$", examples=["0,1"])]

router = APIRouter(prefix="/v1", tags=["calibration"])


@router.get(
    "/devices/{name:path}/calibration",
    name="calibration.read",
    response_model=CalibrationReport,
)
def calibration(name: DeviceName, answers: TheAnswers, at: AwareDatetime | None = None) -> Response:
    """What is known of a device, or was known at a moment."""
    return exact(answers.calibration(name, at))


@router.get(
    "/devices/{name:path}/calibration/history",
    name="calibration.history",
    response_model=ValueHistory,
)
def history(  # noqa: PLR0917 - one a query parameter
    name: DeviceName,
    answers: TheAnswers,
    quantity: Quantity,
    qubits: Qubits,
    gate: Annotated[str, Query(max_length=100)] = "",
    since: AwareDatetime | None = None,
) -> Response:
    """One value over time with its drift marks; empty where it was never reported."""
    element = [int(qubit) for qubit in qubits.split(",")]
    device = answers.spelt(name)
    return exact(answers.calibration_history(device, quantity, element, gate, since))


@router.get("/devices/{name:path}/fits", name="calibration.fits", response_model=list[Fit])
def fits(
    name: DeviceName, answers: TheAnswers, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
) -> Response:
    """What protocols found, promoted or rejected, the newest first."""
    found: Sequence[Fit] = answers.fits(answers.spelt(name), limit)
    return exact(found)


@router.post(
    "/devices/{name:path}/calibrate",
    name="calibration.renew",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=OWNER,
)
def calibrate(
    name: DeviceName,
    platform: ThePlatform,
    answers: TheAnswers,
    measured: Annotated[Characterisation | None, Body()] = None,
) -> CalibrationRun:
    """Ask the device for what its vendor knows, or measure it, and return at once."""
    return platform.engine.calibrations.start(answers.spelt(name), measured)


@router.get("/calibration-runs/{run_id}", name="calibration.run")
def calibration_run(run_id: UUID, platform: ThePlatform) -> CalibrationRun:
    """How it goes."""
    return with_outcome(platform.engine.calibrations.progress(str(run_id)), platform.store)


@router.get("/devices/{name:path}/feedback", name="feedback.read", response_model=FeedbackReport)
def feedback(name: DeviceName, answers: TheAnswers) -> Response:
    """What observed fidelities say about a device's calibration."""
    return exact(answers.feedback(answers.spelt(name)))


@router.delete(
    "/devices/{name:path}/feedback",
    name="feedback.reset",
    response_model=FeedbackReport,
    dependencies=OWNER,
)
def reset_feedback(name: DeviceName, answers: TheAnswers) -> Response:
    """Forget what was observed and learnt of a device."""
    return exact(answers.reset_feedback(answers.spelt(name)))


@router.get("/devices/{name:path}/noise", name="noise.read", response_model=NoiseReport)
def noise(name: DeviceName, answers: TheAnswers) -> Response:
    """Noise of gate layers that jobs have learnt on a device."""
    return exact(answers.learnt_noise(answers.spelt(name)))
