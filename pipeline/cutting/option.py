"""Circuit cutting: one circuit as several smaller ones, put together by classical computation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from pydantic import Field, model_validator
from qiskit import QuantumCircuit

from pipeline.cutting.bases import OUTCOME
from pipeline.cutting.circuit import CutCircuit, cut_circuit, marked
from pipeline.cutting.plan import CutExperiment, PlannedPart, plan_part
from pipeline.cutting.reconstruction import reconstruct
from pipeline.cutting.search import search_cuts
from pipeline.cutting.terms import PricedCuts, Terms
from pipeline.measuring.bases import real_coefficients
from pipeline.stack import parameter_columns
from qcpaas.circuit_key import circuit_key
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic

KEPT_CUTS = 64


class CuttingContext(PlanContext):
    """One entry an experiment."""

    experiments: tuple[CutExperiment, ...]


class CircuitCutting(EnrichedExecutionBackend):
    """Cuts circuits into parts that fit smaller devices, or different ones.

    Every part runs at each of its own choices of operations at the cuts, with the experiment's
    shots each. The standard error that these give is that of the uncut circuit, times the cuts'
    gamma where the shots are the same in all: 3 for a CX or CZ, 4 for a wire.

    Source: Peng et al., PRL 125, 150504 (2020); Mitarai and Fujii, New J. Phys. 23, 023021 (2021).
    """

    rank = -20
    levels = frozenset[Level]({"expectation"})
    requires = ("qiskit-addon-cutting",)
    logical = True
    reusable_plan = False

    class Settings(OptionSettings):
        """Where to cut, and where to run the parts.

        Cuts are where the circuit has ``CutWire`` instructions, between the parts that
        ``partition`` names (a letter for each qubit; for each segment of a cut wire one, in the
        order of time), or are looked for so that no circuit has more than ``max_qubits``.

        Attributes:
            devices: Where a part runs, by its letter; on the job's device unless named.
            exact: Parts whose values an ideal simulator gives without sampling.
            max_overhead: Cuts that multiply the shots for an equal error by more are refused.
            samples: Terms of all cuts together; of more, so many are drawn.
            mid_circuit: Measure in the midst of circuits, and use qubits of cut wires again. Such
                parts are counted, so that options for expectation values do not act on them.
            feed_forward: Keep all in one circuit, and prepare behind a cut wire what was measured
                before it: gamma is 3 in place of 4.
            seed: Of the search for cuts.
        """

        partition: str = ""
        max_qubits: int | None = Field(default=None, ge=1)
        devices: dict[str, str] = Field(default_factory=dict)
        exact: tuple[str, ...] = ()
        max_overhead: float = Field(default=10_000.0, ge=1)
        samples: int = Field(default=2000, ge=2)
        mid_circuit: bool = False
        feed_forward: bool = False
        seed: int = 0

        @model_validator(mode="after")
        def _one_way(self) -> CircuitCutting.Settings:
            if self.partition and self.max_qubits is not None:
                raise ValueError("give a partition or max_qubits, not both")
            if self.feed_forward and (self.devices or self.exact):
                raise ValueError("with feed_forward all parts are one circuit on one device")
            return self

    def __init__(self, inner: ExecutionBackend, settings: OptionSettings | None = None) -> None:
        super().__init__(inner, settings)
        self._cut: dict[str, CutCircuit] = {}
        self._parts: dict[tuple[object, ...], list[PlannedPart]] = {}

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], CuttingContext]:
        planned = [
            self._planned(experiment, number) for number, experiment in enumerate(experiments)
        ]
        said = dict.fromkeys(entry.announcement for entry, _ in planned if entry.announcement)
        context = CuttingContext(
            experiments=tuple(entry for entry, _ in planned), announcement=" ".join(said)
        )
        return [each for _, own in planned for each in own], context

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, CuttingContext)
        remaining = iter(outcomes)
        return tuple(_together(entry, remaining) for entry in context.experiments)

    def cost(self, experiment: Experiment) -> Cost:
        _, planned = self._planned(experiment, 0)
        if experiment.shots is None:
            return Cost(len(planned), 1.0)
        return Cost(len(planned), sum(each.shots or 0 for each in planned) / experiment.shots)

    def _planned(
        self, experiment: Experiment, number: int
    ) -> tuple[CutExperiment, list[Experiment]]:
        cutting = PricedCuts(self._cut_circuit(experiment), experiment)
        self._check(cutting)
        observables = list(map(real_coefficients, experiment.observables or ()))
        identity = "I" * experiment.circuit.num_qubits
        constants = tuple(terms.pop(identity, 0.0) for terms in observables)
        strings = sorted({label for terms in observables for label in terms})
        rng = np.random.default_rng([self.services.seed, number])
        terms = cutting.terms(self.settings.samples, rng)
        parts = self._all_parts(cutting, terms, strings)
        planned = [_at_points(e, experiment) for part in parts for e in part.experiments]
        entry = CutExperiment(
            coefficients=tuple(map(tuple, cutting.joint(terms).tolist())),
            drawn=() if terms.drawn is None else tuple(terms.drawn.tolist()),
            parts=tuple(part.part for part in parts),
            weights=tuple(tuple(terms.get(s, 0.0) for s in strings) for terms in observables),
            constants=constants,
            points=experiment.points,
            figures={
                "gate_cuts": cutting.kinds[0],
                "wire_cuts": cutting.kinds[1],
                "gamma": cutting.gamma,
                "sampling_overhead": cutting.gamma**2,
                "terms": len(terms.indices),
                "circuits": len(planned),
                "qubits": {p.part.label: _widest(p) for p in parts},
                "devices": {
                    p.part.label: self.settings.devices.get(p.part.label, "") for p in parts
                },
            },
            announcement=cutting.announced(len(planned), len(parts)),
        )
        return entry, planned

    def _all_parts(
        self, cutting: PricedCuts, terms: Terms, strings: Sequence[str]
    ) -> list[PlannedPart]:
        """A loop asks for the same ones at every call, unless their terms are drawn."""
        experiment, labels = cutting.experiment, cutting.cut.parts
        if terms.drawn is not None:
            return [self._part(cutting, label, terms, strings) for label in labels]
        key = (circuit_key(experiment.circuit), tuple(strings), experiment.shots)
        if key not in self._parts:
            _make_room(self._parts)
            self._parts[key] = [self._part(cutting, label, terms, strings) for label in labels]
        return self._parts[key]

    def _part(
        self, cutting: PricedCuts, label: str, terms: Terms, strings: Sequence[str]
    ) -> PlannedPart:
        experiment = replace(cutting.experiment, device=self.settings.devices.get(label, ""))
        if label in self.settings.exact:
            experiment = replace(experiment, shots=None)
        return plan_part(cutting.cut, label, terms, strings, experiment)

    def _cut_circuit(self, experiment: Experiment) -> CutCircuit:
        key = circuit_key(experiment.circuit)
        if key not in self._cut:
            _make_room(self._cut)
            self._cut[key] = self._made(experiment)
        return self._cut[key]

    def _made(self, experiment: Experiment) -> CutCircuit:
        settings, circuit = self.settings, experiment.circuit
        if settings.max_qubits is None:
            return cut_circuit(
                marked(circuit), settings.partition, settings.mid_circuit, settings.feed_forward
            )
        # Outcomes at cut gates need qubits besides those of the parts; cut wires need none.
        fitting = [
            cut
            for room in range(settings.max_qubits, 0, -1)
            for gates in (True, False)
            if (cut := self._found(circuit, room, gates)) is not None
        ]
        if fitting:
            return min(fitting, key=_least_gamma)
        raise OptionError(
            f"no cuts of circuit {circuit.name} were found whose parts fit {settings.max_qubits} "
            "qubits with one more for each cut gate. Allow more qubits, or set mid_circuit, which "
            "needs no further ones."
        )

    def _found(self, circuit: QuantumCircuit, room: int, gates: bool) -> CutCircuit | None:
        """Cuts into parts of ``room`` qubits, if their circuits fit the qubits that there are."""
        settings = self.settings
        try:
            found = search_cuts(circuit, room, settings.max_overhead, settings.seed, gates)
        except OptionError:
            return None
        cut = cut_circuit(found, "", settings.mid_circuit, settings.feed_forward)
        widest = max(_width(cut, part) for part in cut.parts)
        return cut if widest <= settings.max_qubits else None

    def _check(self, cutting: PricedCuts) -> None:
        settings, cut = self.settings, cutting.cut
        name = cutting.experiment.circuit.name
        whole = len(cut.parts) == 1 and settings.max_qubits is None and not settings.feed_forward
        if whole or (not cut.cuts and settings.feed_forward):
            raise OptionError(_nothing_to_cut(name, cut, settings.partition))
        unknown = sorted({*settings.devices, *settings.exact} - set(cut.parts))
        if unknown:
            raise OptionError(
                f"CircuitCutting names part {', '.join(unknown)}; circuit {name} has the parts "
                f"{', '.join(cut.parts)}. Name those."
            )
        overhead = cutting.gamma**2
        if overhead > settings.max_overhead:
            raise MitigationError(
                f"cutting circuit {name} at {cutting.counted} multiplies the shots for an equal "
                f"error by {overhead:.4g}; max_overhead is {settings.max_overhead:.4g}. Cut fewer "
                "gates and wires, or raise max_overhead."
            )


def _together(entry: CutExperiment, remaining: Iterator[Outcome]) -> ExpectationValues:
    outcomes = [[next(remaining) for _ in part.runs] for part in entry.parts]
    result, drawn = reconstruct(entry, outcomes)
    largest = np.abs(np.array(entry.weights).reshape(len(entry.constants), -1)).sum(axis=1)
    lost = result.variances >= (largest / 2) ** 2
    warning = ""
    if lost.any() and largest.any():
        warning = (
            f"the standard error of {int(lost.sum())} of {lost.size} values is over half of what "
            "any value could be: shots or drawn terms are too few for the cuts"
        )
    figures = {**entry.figures, "variance_by_drawn_terms": drawn}
    note = Diagnostic(option="CircuitCutting", figures=figures, warning=warning)
    inside = [each for own in outcomes for each in (own[0].diagnostics if own else ())]
    return replace(result, diagnostics=(*inside, note))


def _at_points(planned: Experiment, source: Experiment) -> Experiment:
    columns = list(parameter_columns(planned.circuit, source.circuit))
    values = source.parameter_values[:, columns]
    return replace(planned, parameter_values=values, source=source.source)


def _make_room(kept: dict[Any, Any]) -> None:
    while len(kept) >= KEPT_CUTS:
        del kept[next(iter(kept))]


def _width(cut: CutCircuit, part: str) -> int:
    """Qubits of a part's widest circuit."""
    kept = 0
    for each in () if cut.midway else cut.cuts:
        for side, segment in enumerate(each.segments):
            measured = any(
                step.name == OUTCOME for term in each.basis.sides for step in term[side].operations
            )
            kept += measured and cut.labels[segment] == part
    return cut.qubits_of(part) + kept


def _least_gamma(cut: CutCircuit) -> float:
    """What the cuts cost at the least, symbolic ones as if their angle were zero."""
    return prod(sum(map(abs, each.basis.fixed or (1.0,))) for each in cut.cuts)


def _widest(planned: PlannedPart) -> int:
    return max((each.circuit.num_qubits for each in planned.experiments), default=0)


def _nothing_to_cut(name: str, cut: CutCircuit, partition: str) -> str:
    if cut.cuts:
        return (
            f"circuit {name} is still one part with its {len(cut.cuts)} cuts: other gates hold it "
            "together. Cut these as well, or give a partition."
        )
    asked = f"partition {partition!r} has one part" if partition else "no CutWire stands in it"
    return (
        f"there is nothing to cut in circuit {name}: {asked}. Give a partition with a letter for "
        f"each of its {len(cut.last)} qubits, mark wires with CutWire, or set max_qubits."
    )
