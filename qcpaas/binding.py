"""How late a circuit's place on a device is decided, and what became of the decision."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from qcpaas.wire import Wire


class BindingPolicy(Wire):
    """When a circuit's place on the device is given up for what a newer calibration says.

    Changes are in nats: what the natural logarithm of the expected success probability loses.

    Attributes:
        stale: Where the calibration moved between binding and submission: bind again, submit as
            bound and say so, or end with an error.
        after: Where it moved while the device had the job: say so, or run once more.
        max_element_change: One used element may lose so much before the binding is stale.
        min_gain: Another placement may be better by so much before the binding is stale.
        decouple: Fill idle time with dynamical decoupling where the calibration says it helps.
        learn: Let the fidelities that earlier jobs observed correct the calibrated errors.
        echo_rate: Share of the calls that carry an echo circuit along, to observe a fidelity.
    """

    stale: Literal["rebind", "flag", "fail"] = "rebind"
    after: Literal["record", "retry"] = "record"
    max_element_change: float = Field(default=0.02, ge=0)
    min_gain: float = Field(default=0.01, ge=0)
    decouple: bool = True
    learn: bool = True
    echo_rate: float = Field(default=0.0, ge=0, le=1)


class CalibrationChange(Wire):
    """A calibration that was no longer the one that a circuit was bound with.

    Attributes:
        call: Index of the call whose circuits it concerned.
        when: It was noticed just before the submission, or once the answer was there.
        done: What followed.
        reason: Which elements moved, and what the best placement would be worth.
        element_change: Largest loss of a used element, nats.
        gain: What the best placement now promises above this one, nats.
    """

    call: int
    when: Literal["before submission", "after execution"]
    done: Literal["bound again", "submitted as bound", "recorded", "run once more", "ended"]
    bound_snapshot_id: str
    newest_snapshot_id: str
    reason: str
    element_change: float
    gain: float
    noticed_at: datetime


class Observation(Wire):
    """A fidelity that was seen, beside the one that the calibration promised.

    Attributes:
        log_fidelity: Natural logarithm of what was seen; ``std_error`` is its own.
        predicted: What calibration and earlier observations promised.
        source: An echo circuit, or a fidelity that a user gave.
    """

    job_id: str
    observed_at: datetime
    log_fidelity: float
    std_error: float
    predicted: float
    source: Literal["echo", "user"]


class LearntFactor(Wire):
    """How much worse than calibrated an element is: true error over calibrated error.

    Attributes:
        log_std_error: Standard error of the factor's natural logarithm.
    """

    kind: str
    qubits: tuple[int, ...]
    factor: float
    log_std_error: float


class FeedbackReport(Wire):
    """What observed fidelities say about a device's calibration; most surprising factor first."""

    device: str
    observations: int = 0
    updated_at: datetime | None = None
    factors: tuple[LearntFactor, ...] = ()
    newest: tuple[Observation, ...] = ()


class ObservedFidelity(Wire):
    """A fidelity that a user knows of a finished job's circuit.

    Attributes:
        fidelity: As it was measured, readout errors included.
        std_error: Of ``fidelity``.
        device: Where the job is believed to have run; left out, wherever it did.
    """

    fidelity: float
    std_error: float
    device: str | None = None
