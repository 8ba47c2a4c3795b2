"""Readout mitigation, from the calibration that a circuit was bound with or from a fresh one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import ceil
from typing import Literal

import numpy as np
from pydantic import Field, JsonValue, model_validator

from pipeline.readout.calibration import physical_qubit
from pipeline.readout.final_measurements import Readings, readings_of
from pipeline.readout.measured import (
    MeasuredReadoutContext,
    corrections_measured,
    plan_calibration,
    plots_of_errors,
)
from pipeline.readout.model import Correction
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    Experiment,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Plot


class ReadoutContext(PlanContext):
    """Readout errors by the snapshot.

    Attributes:
        errors: For each experiment and clbit, ``p(1|0)`` and ``p(0|1)`` of the qubit read into it.
        uncorrected: Readings of each experiment that are not final.
    """

    errors: tuple[tuple[tuple[float, float], ...], ...]
    uncorrected: tuple[int, ...]

    @cached_property
    def corrections(self) -> tuple[Correction, ...]:
        """One an experiment; a loop uses them at every call."""
        return tuple(map(Correction.of, self.errors, self.uncorrected))


class ReadoutMitigation(EnrichedExecutionBackend):
    """Undoes readout errors: of expectation values by local inverses, of counts by M3.

    Unbiased when readout errors of different qubits are independent; the standard error grows by
    about ``1 / (1 - p10 - p01)`` for each measured qubit. Counts become quasi-probabilities: as
    many shots in all, some of them negative. Only final measurements are corrected: on earlier
    ones the circuit may have acted already.

    Source: Bravyi et al., PRA 103, 042605 (2021), tensor product noise; Nation et al., PRX Quantum
    2, 040326 (2021), M3.
    """

    rank = 70
    purpose = "correct the readout"
    quasi = True

    class Settings(OptionSettings):
        """Where the readout errors are known from.

        ``snapshot`` is the calibration that the circuit was bound with. ``measured`` adds two
        circuits to the submission that prepare and read 0 everywhere and 1 everywhere; circuits
        on the same qubits share them. Each has ``shots`` over all parameter points, as many as the
        experiment has at one unless given. The errors' own standard errors are added to those of
        the result.
        """

        source: Literal["snapshot", "measured"] = "snapshot"
        shots: int | None = Field(default=None, ge=1)

        @model_validator(mode="after")
        def _shots_are_used(self) -> ReadoutMitigation.Settings:
            if self.shots is not None and self.source == "snapshot":
                raise ValueError(
                    "shots are those of calibration circuits: they need source='measured'"
                )
            return self

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], PlanContext]:
        readings = [_corrected_readings(experiment) for experiment in experiments]
        if self.settings.source == "measured":
            calibrations, context = plan_calibration(experiments, readings, self.settings.shots)
            return (*experiments, *calibrations), context
        errors = tuple(map(_calibrated_errors, experiments, readings))
        uncorrected = tuple(len(reading.earlier) for reading in readings)
        return experiments, ReadoutContext(errors=errors, uncorrected=uncorrected)

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        if isinstance(context, MeasuredReadoutContext):
            own = len(context.group_of)
            corrections: Sequence[Correction] = corrections_measured(context, outcomes[own:])
        else:
            assert isinstance(context, ReadoutContext)
            own, corrections = len(outcomes), context.corrections
        return tuple(
            correction.attached_to(outcome)
            for outcome, correction in zip(outcomes[:own], corrections, strict=True)
        )

    def cost(self, experiment: Experiment) -> Cost:
        """For an experiment by itself; in a batch, several share their calibration circuits."""
        if self.settings.source == "snapshot":
            return Cost()
        if experiment.shots is None:
            return Cost(circuits=3, shots=3)
        wanted = self.settings.shots or experiment.shots
        calibration = 2 * ceil(wanted / max(experiment.points, 1))
        return Cost(3, 1 + calibration / experiment.shots)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        return plots_of_errors(figures)


def readout_errors_by_clbit(experiment: Experiment) -> tuple[tuple[float, float], ...]:
    """Errors of the qubit behind each clbit; 0 for a clbit without a final reading.

    Raises:
        OptionError: The device is ideal.
        MitigationError: The device reports no readout error for a measured qubit.
    """
    return _calibrated_errors(experiment, readings_of(experiment.circuit))


def _calibrated_errors(
    experiment: Experiment, readings: Readings
) -> tuple[tuple[float, float], ...]:
    binding = experiment.binding
    if binding is None or binding.readout_errors is None:
        raise OptionError(
            "readout mitigation needs a device with calibrated readout errors; an ideal simulator "
            "has none. Leave ReadoutMitigation out, or give it source=measured where readout "
            "errors come from a noise model."
        )
    errors = [(0.0, 0.0)] * experiment.circuit.num_clbits
    for qubit, clbit in readings.final:
        p10, p01 = map(float, binding.readout_errors[qubit])
        physical = physical_qubit(experiment, qubit)
        if not np.isfinite(p10 + p01):
            raise MitigationError(
                f"qubit {physical} has no readout calibration. Refresh the calibration, choose "
                f"another device, or measure it: ReadoutMitigation(source=measured)."
            )
        if p10 + p01 >= 1.0:
            raise MitigationError(
                f"qubit {physical} reads no information (p(1|0) = {p10:.3g}, p(0|1) = {p01:.3g}). "
                f"Leave the qubit out, or measure it: ReadoutMitigation(source=measured)."
            )
        errors[clbit] = (p10, p01)
    return tuple(errors)


def _corrected_readings(experiment: Experiment) -> Readings:
    readings = readings_of(experiment.circuit)
    if readings.earlier and not readings.final:
        raise MitigationError(
            f"circuit {experiment.circuit.name} measures clbit "
            f"{', '.join(map(str, readings.earlier))} in mid-circuit or for control flow, and "
            f"nothing at its end. Readout mitigation corrects final measurements only: leave it "
            f"out, or measure at the end."
        )
    return readings
