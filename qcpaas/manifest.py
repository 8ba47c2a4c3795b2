"""What a finished job tells: its answer, and everything needed to repeat or to question it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from qcpaas.binding import CalibrationChange
from qcpaas.schemas import CircuitPayload, Estimate, Job
from qcpaas.wire import Wire


class Diagnostic(Wire):
    """What an option found out about its own work: fits, norms, factors.

    Attributes:
        warning: Why the option has probably made things worse, or is not to be trusted here.
    """

    option: str
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    warning: str = ""


class Series(Wire):
    """Points of one kind in a plot; ``errors`` are standard errors of ``y``."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    errors: tuple[float, ...] = ()
    style: Literal["points", "line", "bars"] = "points"


class Plot(Wire):
    """A plot of an option's diagnostics: series over one axis, or a matrix.

    Attributes:
        matrix: Rows from top to bottom, in place of series.
        labels: Of the matrix's columns, or of the places on the x axis.
    """

    title: str
    x_label: str = ""
    y_label: str = ""
    series: tuple[Series, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    labels: tuple[str, ...] = ()


class CalibrationUse(Wire):
    """The calibration that a circuit was bound with, and the qubits that it chose.

    Attributes:
        compiled_snapshot_id: The calibration whose topology the circuit was compiled for.
        reason: Why these qubits.
    """

    device: str
    snapshot_id: str
    taken_at: datetime
    age_s: float
    physical_qubits: tuple[int, ...]
    log_fidelity: float | None = None
    reason: str = ""
    compiled_snapshot_id: str = ""


class ExecutionRecord(Wire):
    """One submission: what was sent, and what came back before any correction.

    Attributes:
        circuits: Keys into the manifest's ``circuits``, one a circuit of the submission.
        parameter_values: For each circuit one row a parameter point.
        shots: For each circuit; ``None`` where exact probabilities were asked.
        counts: For each circuit and point, bit string (clbit 0 rightmost) to count or probability.
        observables: For each circuit, the Pauli strings and coefficients of each observable that
            the device itself was asked for; empty where it counted.
        estimates: For each circuit, point and observable the device's value and its standard
            error, in place of counts.
        calibration: Index into the manifest's ``calibrations``.
        index: Of the call that it served; a large call has several ``part``s.
        attempt: Counts what was sent for this part before and came to nothing.
        token: Its name for ever, known to the device where that takes one.
        session_id: The device's session that it ran in.
        snapshot_id: The device's newest calibration when the answer came.
    """

    index: int
    part: int = 0
    attempt: int = 0
    token: str = ""
    session_id: str | None = None
    snapshot_id: str | None = None
    circuits: tuple[str, ...]
    parameter_values: tuple[tuple[tuple[float, ...], ...], ...] = ()
    shots: tuple[int | None, ...]
    counts: tuple[tuple[dict[str, float], ...], ...]
    observables: tuple[tuple[tuple[tuple[str, float], ...], ...], ...] = ()
    estimates: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = ()
    calibration: int | None = None
    device_job_id: str
    seed: int
    submitted_at: datetime
    seconds: float
    qpu_s: float


class SharedRun(Wire):
    """That a job ran beside others, and what that was expected to cost it; never whose they are.

    Attributes:
        submission: The platform's name for all of it.
        partners: How many other jobs there were.
        log_fidelity_loss: Nats of the worst circuit's expected success probability that a place
            beside the others cost, by the calibration that it was placed with.
        qpu_s: Device seconds of the whole submission; the job's own part is ``spent_qpu_s``.
    """

    submission: str
    partners: int
    log_fidelity_loss: float = 0.0
    qpu_s: float = 0.0


class Manifest(Wire):
    """Everything that is needed to repeat or to question a result.

    ``job`` holds the circuits as submitted, ``circuits`` each distinct one as executed;
    ``changes`` where the calibration moved between binding and execution; ``shared`` that other
    jobs ran beside it.
    """

    job: Job
    circuits: dict[str, CircuitPayload] = Field(default_factory=dict)
    executions: tuple[ExecutionRecord, ...] = ()
    execution_count: int = 0
    calibrations: tuple[CalibrationUse, ...] = ()
    changes: tuple[CalibrationChange, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    stage_seconds: dict[str, float] = Field(default_factory=dict)
    estimate: Estimate | None = None
    spent_qpu_s: float = 0.0
    shared: SharedRun | None = None


class JobResult(Wire):
    """A finished job's answer: ``value`` is what `qcpaas.values.decode` reads."""

    job_id: str
    value: JsonValue
    manifest: Manifest
