"""Twirled readout error extinction (TREX): readout errors that need not be independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from pydantic import Field, JsonValue

from pipeline.measuring.bases import MeasuredExperiment, choose_bases, measure_in_basis
from pipeline.measuring.measurement import counts_of
from pipeline.readout.bit_flips import Flips
from pipeline.readout.calibration import ReadTogether, physical_qubit, read_together
from pipeline.readout.factors import TwirledExperiment, divide_by_factors
from pipeline.readout.measured import calibration_shots
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Plot, Series


class TwirledContext(PlanContext):
    """``calibrations`` are the flips of each, whose circuits come after the experiments'."""

    experiments: tuple[TwirledExperiment, ...]
    calibrations: tuple[Flips, ...]


class TwirledReadout(EnrichedExecutionBackend):
    """Divides out readout errors, also correlated ones, after twirling them with bit flips.

    Bits are flipped at random before they are read, and back afterwards. Whatever the readout
    errors are, each Pauli string's value is then multiplied by a factor of its own, which the same
    flips show on qubits in 0. Flips are drawn once a plan: a loop repeats the same ones.

    Source: van den Berg, Minev and Temme, PRA 105, 032620 (2022).
    """

    rank = 50
    measures = True
    levels = frozenset[Level]({"expectation"})
    purpose = "correct the readout"

    class Settings(OptionSettings):
        """How often a basis is measured with other flips, and how well the factors are measured.

        ``twirls`` circuits share the shots of a basis; fewer where the measured bits have no more
        patterns. The calibration has as many, and ``calibration_shots`` in all of them, over all
        parameter points; as many as the experiment has at one unless given.
        """

        twirls: int = Field(default=16, ge=8, multiple_of=2)
        calibration_shots: int | None = Field(default=None, ge=16)

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], TwirledContext]:
        rng = np.random.default_rng([self.services.seed, self.rank])
        layouts = [_Layout.of(experiment) for experiment in experiments]
        reads = [
            [physical_qubit(experiment, qubit) for qubit in layout.qubits]
            for experiment, layout in zip(experiments, layouts, strict=True)
        ]
        groups, group_of = read_together(experiments, reads)
        planned: list[Experiment] = []
        twirled = []
        for experiment, layout, qubits, number in zip(
            experiments, layouts, reads, group_of, strict=True
        ):
            flips = tuple(
                Flips.drawn(len(layout.qubits), self.settings.twirls, experiment.shots, rng)
                for _ in layout.labels
            )
            for label, drawn in zip(layout.labels, flips, strict=True):
                planned += _measured(experiment, layout, label, drawn)
            twirled.append(
                TwirledExperiment(
                    measured=layout.measured,
                    flips=flips,
                    calibration=number,
                    places=tuple(groups[number].place[qubit] for qubit in qubits),
                )
            )
        calibrations = []
        for number, group in enumerate(groups):
            served = [e for e, own in zip(experiments, group_of, strict=True) if own == number]
            flips_of_group, circuits = self._calibration(group, served, rng)
            planned += circuits
            calibrations.append(flips_of_group)
        return planned, TwirledContext(experiments=tuple(twirled), calibrations=tuple(calibrations))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, TwirledContext)
        remaining = iter(map(counts_of, outcomes))
        own = [
            [[next(remaining) for _ in flips.patterns] for flips in experiment.flips]
            for experiment in context.experiments
        ]
        read = [[next(remaining) for _ in flips.patterns] for flips in context.calibrations]
        return tuple(
            divide_by_factors(
                experiment,
                counts,
                context.calibrations[experiment.calibration],
                read[experiment.calibration],
            )
            for experiment, counts in zip(context.experiments, own, strict=True)
        )

    def cost(self, experiment: Experiment) -> Cost:
        """Against one circuit a basis, for an experiment whose calibration nobody shares."""
        layout = _Layout.of(experiment)
        rng, width = np.random.default_rng(0), len(layout.qubits)
        drawn = Flips.drawn(width, self.settings.twirls, experiment.shots, rng)
        bases = len(layout.labels)
        group = read_together([experiment], [range(width)])[0][0]
        _, calibration = self._calibration(group, [experiment], rng)
        circuits = bases * len(drawn.patterns) + len(calibration)
        if experiment.shots is None:
            return Cost(circuits / bases, circuits / bases)
        further = sum(circuit.shots or 0 for circuit in calibration)
        return Cost(circuits / bases, 1 + further / (bases * experiment.shots))

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        columns = [figures.get(key) for key in ("weights", "factors", "factor_std_errors")]
        if not all(isinstance(column, list) and column for column in columns):
            return ()
        x, y, errors = (tuple(map(float, column)) for column in columns)  # type: ignore[arg-type]
        return (
            Plot(
                title="Factors by which readout errors shrink Pauli strings",
                x_label="qubits in the string",
                y_label="factor",
                series=(Series(label="measured", x=x, y=y, errors=errors),),
            ),
        )

    def _calibration(
        self, group: ReadTogether, served: Sequence[Experiment], rng: np.random.Generator
    ) -> tuple[Flips, list[Experiment]]:
        total = calibration_shots(served, self.settings.calibration_shots)
        flips = Flips.drawn(len(group.qubits), self.settings.twirls, total, rng)
        each = None if total is None else ceil(total / len(flips.patterns))
        return flips, [group.experiment(pattern, each) for pattern in flips.patterns]


@dataclass(frozen=True, eq=False)
class _Layout:
    """An experiment's bases, all of which read the same qubits: errors of one may hang on others.

    Attributes:
        qubits: Circuit qubits.
        labels: Basis of each measurement circuit.
    """

    measured: MeasuredExperiment
    qubits: tuple[int, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> _Layout:
        first = experiment.circuit.num_clbits
        entry, labels = choose_bases(experiment.observables or (), first)
        qubits = tuple(sorted({qubit for basis in entry.bases for qubit in basis.qubits}))
        place = {qubit: index for index, qubit in enumerate(qubits)}
        bases = tuple(
            basis.model_copy(
                update={
                    "qubits": qubits,
                    "supports": tuple(
                        tuple(place[basis.qubits[index]] for index in support)
                        for support in basis.supports
                    ),
                }
            )
            for basis in entry.bases
        )
        return cls(MeasuredExperiment(bases=bases, constants=entry.constants), qubits, labels)


def _measured(
    experiment: Experiment, layout: _Layout, label: str, flips: Flips
) -> list[Experiment]:
    return [
        replace(
            experiment,
            circuit=measure_in_basis(
                experiment, label, layout.qubits, [layout.qubits[place] for place in pattern]
            ),
            observables=None,
            shots=shots,
        )
        for pattern, shots in zip(flips.patterns, flips.shots(experiment.shots), strict=True)
    ]
