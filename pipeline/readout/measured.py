"""Readout errors from calibration circuits in the same submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from pipeline.readout.calibration import (
    ReadTogether,
    ones_read,
    physical_qubit,
    read_together,
)
from pipeline.readout.final_measurements import Readings
from pipeline.readout.model import Correction, cost_figures, inverse_assignment
from qcpaas.execution import Counts, Experiment, Outcome, PlanContext, ReadoutUncertainty
from qcpaas.manifest import Diagnostic, Plot, Series

Errors = tuple[float, float]
NOT_READ = -1
LISTED = 32  # qubits whose errors a diagnostic lists: a loop makes thousands of them


class ReadQubits(PlanContext):
    """What one calibration reads.

    Attributes:
        qubits: Physical, clbit by clbit.
        calibrated: ``p(1|0)`` and ``p(0|1)`` by the snapshot; ``None`` where it does not say.
    """

    qubits: tuple[int, ...]
    calibrated: tuple[Errors | None, ...]


class MeasuredReadoutContext(PlanContext):
    """Of each experiment, where its calibration is found.

    Attributes:
        groups: Calibrations; each has run two circuits, all 0 and all 1, after the experiments.
        group_of: Of each experiment.
        places: For each experiment and clbit, the clbit of the calibration that reads the same
            qubit; -1 where nothing is corrected.
        uncorrected: Readings of each experiment that are not final.
    """

    groups: tuple[ReadQubits, ...]
    group_of: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    uncorrected: tuple[int, ...]


def plan_calibration(
    experiments: Sequence[Experiment], readings: Sequence[Readings], shots: int | None
) -> tuple[list[Experiment], MeasuredReadoutContext]:
    """Two circuits for each group of qubits that are read together.

    Args:
        shots: Of each circuit, over all points; as many as an experiment has at one unless set.
    """
    measured = [
        [physical_qubit(experiment, qubit) for qubit, _ in reading.final]
        for experiment, reading in zip(experiments, readings, strict=True)
    ]
    groups, group_of = read_together(experiments, measured)
    planned = []
    for number, group in enumerate(groups):
        served = [e for e, own in zip(experiments, group_of, strict=True) if own == number]
        wanted = calibration_shots(served, shots)
        planned += [
            group.experiment((), wanted),
            group.experiment(range(len(group.qubits)), wanted),
        ]
    places = tuple(
        _places(experiment, reading, groups[group])
        for experiment, reading, group in zip(experiments, readings, group_of, strict=True)
    )
    return planned, MeasuredReadoutContext(
        groups=tuple(_read_qubits(group, experiments) for group in groups),
        group_of=group_of,
        places=places,
        uncorrected=tuple(len(reading.earlier) for reading in readings),
    )


def calibration_shots(served: Sequence[Experiment], wanted: int | None) -> int | None:
    """Shots of one calibration circuit over all points; ``None`` where they are exact."""
    shots = [experiment.shots for experiment in served if experiment.shots is not None]
    if not shots:
        return None
    return wanted or max(shots)


def corrections_measured(
    context: MeasuredReadoutContext, calibrations: Sequence[Outcome]
) -> list[Correction]:
    """One an experiment, from the outcomes of the calibration circuits."""
    found, first = [], 0
    for number, group in enumerate(context.groups):
        zeros, ones = calibrations[2 * number : 2 * number + 2]
        found.append(_Measured.of(group, zeros, ones, first))
        first += len(group.qubits)
    return [
        found[group].correction(np.array(places, dtype=np.intp), uncorrected)
        for group, places, uncorrected in zip(
            context.group_of, context.places, context.uncorrected, strict=True
        )
    ]


def plots_of_errors(figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
    """Measured errors beside calibrated ones, where a diagnostic lists them."""
    qubits, measured = figures.get("qubits"), figures.get("measured")
    if not isinstance(qubits, list) or not isinstance(measured, list):
        return ()
    x = tuple(map(float, range(len(qubits))))
    errors = figures.get("std_errors")
    calibrated = figures.get("calibrated")
    series = []
    for column, name in enumerate(("p(1|0)", "p(0|1)")):
        series.append(
            Series(
                label=f"{name} measured",
                x=x,
                y=_column(measured, column),
                errors=_column(errors, column),
            )
        )
        known = [
            (place, pair[column])
            for place, pair in enumerate(calibrated if isinstance(calibrated, list) else ())
            if isinstance(pair, list)
        ]
        if known:
            at, value = zip(*known, strict=True)
            series.append(Series(label=f"{name} calibrated", x=at, y=value, style="line"))
    return (
        Plot(
            title="Readout errors, measured in the same submission",
            x_label="physical qubit",
            y_label="probability",
            series=tuple(series),
            labels=tuple(map(str, qubits)),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """Errors of a group's qubits, shape ``(qubits, 2)``, their variances, and what they replace."""

    group: ReadQubits
    errors: NDArray[np.float64]
    variances: NDArray[np.float64]
    first: int

    @classmethod
    def of(cls, group: ReadQubits, zeros: Outcome, ones: Outcome, first: int) -> _Measured:
        assert isinstance(zeros, Counts)
        assert isinstance(ones, Counts)
        (wrong_zeros, of_zeros), (right_ones, of_ones) = ones_read(zeros), ones_read(ones)
        wrong = np.stack([wrong_zeros, of_ones - right_ones], axis=1)
        total = np.array([of_zeros, of_ones])
        if zeros.points[0].shots is None:
            return cls(group, wrong / total, np.zeros_like(wrong), first)
        # Half a shot on either side, so that an error that never showed still is not certain.
        spread = (wrong + 0.5) / (total + 1)
        return cls(group, wrong / total, spread * (1 - spread) / total, first)

    def correction(self, places: NDArray[np.intp], uncorrected: int) -> Correction:
        errors, variances = np.zeros((len(places), 2)), np.zeros((len(places), 2))
        read = places != NOT_READ
        errors[read], variances[read] = self.errors[places[read]], self.variances[places[read]]
        hopeless = errors.sum(axis=1) >= 1.0
        blind = [self.group.qubits[place] for place in places[hopeless]]
        errors[hopeless] = variances[hopeless] = 0.0
        numbers = np.where(read & ~hopeless, places + self.first, NOT_READ)
        pairs = [(float(p10), float(p01)) for p10, p01 in errors]
        return Correction(
            inverse=inverse_assignment(pairs),
            note=Diagnostic(
                option="ReadoutMitigation",
                figures={**cost_figures(pairs, uncorrected), **self._figures(places[read])},
                warning=_blind(blind),
            ),
            uncertainty=ReadoutUncertainty(numbers, variances),
        )

    def _figures(self, places: NDArray[np.intp]) -> dict[str, JsonValue]:
        figures: dict[str, JsonValue] = {
            "largest_std_error": float(np.sqrt(self.variances[places].max(initial=0.0)))
        }
        apart = [
            (abs(value - known) / np.sqrt(variance), self.group.qubits[place])
            for place in places.tolist()
            for value, variance, known in zip(
                self.errors[place],
                self.variances[place],
                self.group.calibrated[place] or (),
                strict=False,
            )
            if variance > 0
        ]
        if apart:
            sigmas, qubit = max(apart)
            figures |= {"largest_drift_sigmas": float(sigmas), "largest_drift_qubit": qubit}
        if len(places) <= LISTED:
            figures |= {
                "qubits": [self.group.qubits[place] for place in places],
                "measured": self.errors[places].tolist(),
                "std_errors": np.sqrt(self.variances[places]).tolist(),
                "calibrated": [_listed(self.group.calibrated[place]) for place in places],
            }
        return figures


def _places(experiment: Experiment, reading: Readings, group: ReadTogether) -> tuple[int, ...]:
    places = [NOT_READ] * experiment.circuit.num_clbits
    for qubit, clbit in reading.final:
        places[clbit] = group.place[physical_qubit(experiment, qubit)]
    return tuple(places)


def _read_qubits(group: ReadTogether, experiments: Sequence[Experiment]) -> ReadQubits:
    known: dict[int, Errors] = {}
    for experiment in experiments:
        binding = experiment.binding
        if binding is not None and binding.readout_errors is not None:
            errors = [(p10, p01) for p10, p01 in binding.readout_errors.tolist()]
            known |= {
                qubit: pair
                for qubit, pair in zip(binding.physical_qubits, errors, strict=True)
                if np.isfinite(pair).all()
            }
    return ReadQubits(qubits=group.qubits, calibrated=tuple(map(known.get, group.qubits)))


def _blind(qubits: Sequence[int]) -> str:
    if not qubits:
        return ""
    return (
        f"as measured, qubit {', '.join(map(str, qubits))} reads no information "
        f"(p(1|0) + p(0|1) >= 1); its readings are left as they are, and observables on it are "
        f"not to be trusted"
    )


def _column(rows: JsonValue, column: int) -> tuple[float, ...]:
    assert isinstance(rows, list)
    return tuple(float(row[column]) for row in rows)  # type: ignore[index, arg-type]


def _listed(pair: Errors | None) -> list[JsonValue] | None:
    return None if pair is None else list(pair)
