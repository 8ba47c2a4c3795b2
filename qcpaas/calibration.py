"""Calibration data as it travels: what is known of a device, since when, and how it changed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from qcpaas.wire import Wire

FILE_FORMAT: Literal["qcpaas-calibration/1"] = "qcpaas-calibration/1"


class Quantity(StrEnum):
    """What can be known of a qubit, a coupled pair or a gate; the unit is in the name."""

    T1_S = "t1_s"
    T2_S = "t2_s"  # of a kind that was not stated
    T2_ECHO_S = "t2_echo_s"
    T2_RAMSEY_S = "t2_ramsey_s"  # T2*
    FREQUENCY_HZ = "frequency_hz"
    ANHARMONICITY_HZ = "anharmonicity_hz"
    READOUT_P10 = "readout_p10"  # probability to read 1 where 0 was prepared
    READOUT_P01 = "readout_p01"  # probability to read 0 where 1 was prepared
    READOUT_ERROR = "readout_error"  # their mean, where only that is known
    READOUT_FREQUENCY_HZ = "readout_frequency_hz"
    READOUT_DURATION_S = "readout_duration_s"
    GATE_ERROR = "gate_error"  # 1 - average gate fidelity
    GATE_DURATION_S = "gate_duration_s"
    DRIVE_AMPLITUDE = "drive_amplitude"  # of a gate's pulse, as a share of the full scale
    OPERATIONAL = "operational"  # 1 works, 0 does not


class CalibratedValue(Wire):
    """One value of one element, with its standard error where that is known.

    Attributes:
        qubits: One qubit, or the qubits that ``gate`` acts on in its order.
        source: Adapter, protocol or person.
        method: How it was found, such as the fit.
    """

    quantity: Quantity
    qubits: tuple[int, ...]
    value: float
    measured_at: datetime
    gate: str = ""
    std_error: float | None = None
    source: str = ""
    method: str = ""


class CalibrationReport(Wire):
    """A whole calibration, as it is shown, exported and imported.

    Attributes:
        snapshot_id: Of its content; another where a value, error, date or origin differs.
        taken_at: When the platform came to know it.
        dt_s: Sampling time of the control hardware, where the vendor gives one.
        asked_at: When the device was last asked for its calibration.
        problem: Why it did not answer then; empty where it did.
    """

    format: Literal["qcpaas-calibration/1"] = FILE_FORMAT
    device: str
    num_qubits: int
    snapshot_id: str
    taken_at: datetime
    dt_s: float | None = None
    values: tuple[CalibratedValue, ...]
    asked_at: datetime | None = None
    problem: str = ""


class DriftMark(Wire):
    """That a value moved further than its own history explains.

    Attributes:
        before: What its history led to expect.
        after: What was measured.
        score: How far beyond, in standard deviations of its usual change.
    """

    device: str
    quantity: Quantity
    qubits: tuple[int, ...]
    gate: str = ""
    measured_at: datetime
    detected_at: datetime
    before: float
    after: float
    score: float


class HistoryPoint(Wire):
    """A value as it was known from ``pulled_at`` on."""

    pulled_at: datetime
    measured_at: datetime
    value: float
    std_error: float | None = None


class ValueHistory(Wire):
    """One value over time, the oldest point first, each change once."""

    device: str
    quantity: Quantity
    qubits: tuple[int, ...]
    gate: str = ""
    points: tuple[HistoryPoint, ...]
    marks: tuple[DriftMark, ...] = ()


class ChangedValue(Wire):
    """A value that differs between two calibrations; ``None`` where it is missing."""

    quantity: Quantity
    qubits: tuple[int, ...]
    gate: str = ""
    before: float | None
    after: float | None

    @property
    def relative(self) -> float | None:
        """Change as a fraction of what it was; ``None`` where that cannot be said."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return self.after / self.before - 1


class CalibrationDiff(Wire):
    """What changed between two moments, the largest relative changes first."""

    device: str
    before_id: str
    before_taken_at: datetime
    after_id: str
    after_taken_at: datetime
    changes: tuple[ChangedValue, ...]


class Verdict(StrEnum):
    PROMOTED = "promoted"
    REJECTED = "rejected"


class Fit(Wire):
    """What a protocol found for one value, and whether it is believed.

    Attributes:
        protocol: Name of the routine that measured it.
        value: ``None`` where the fit gave nothing.
        reason: Why it is rejected; empty where it is promoted.
        report: Key of the artifact with its data and plots.
    """

    device: str
    protocol: str
    quantity: Quantity
    qubits: tuple[int, ...]
    gate: str = ""
    value: float | None
    std_error: float | None = None
    measured_at: datetime
    verdict: Verdict
    reason: str = ""
    report: str = ""


class Characterisation(Wire):
    """What of a device is to be measured.

    Attributes:
        qubits: These only; all that its platform controls where empty.
        nodes: These of the calibration graph, and what they need; all where empty.
        emulated: An emulation that is made from its calibration, in place of the instrument.
    """

    qubits: tuple[int, ...] = ()
    nodes: tuple[str, ...] = ()
    emulated: bool = False


class CalibrationRun(Wire):
    """A calibration that was asked for: how it goes, and what came of it.

    Attributes:
        run_id: Of the flow run.
        nodes: For a characterisation, a line each: node, target and what happened.
    """

    run_id: str
    device: str
    finished: bool
    failed: bool = False
    message: str = ""
    snapshot_id: str | None = None
    nodes: tuple[str, ...] = ()
