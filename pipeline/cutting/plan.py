"""Which circuits a cut circuit needs, and how their results make its expectation values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue
from qiskit.quantum_info import PauliList, SparsePauliOp

from pipeline.cutting.bases import LocalTerm
from pipeline.cutting.circuit import CutCircuit
from pipeline.cutting.parts import PartCircuit, part_circuit
from pipeline.cutting.terms import Terms
from pipeline.measuring.bases import letters_at, measure_in_basis
from qcpaas.execution import Experiment, PlanContext

MAX_PAIRS = 400  # of strings whose covariance is measured; their number grows quadratically
ONE = -1  # in place of a value's index: the identity's value


class CutRun(PlanContext):
    """One experiment of a part.

    Attributes:
        strings: Pauli strings that it measures, its first observables.
        pairs: Places of the two strings of each further observable, which is their sum: it tells
            how they are correlated.
        paired: Whether all that may be correlated are among them.
        supports: For counts, the clbits whose product of ±1 is each string's value.
    """

    strings: int
    pairs: tuple[tuple[int, int], ...] = ()
    paired: bool = True
    supports: tuple[tuple[int, ...], ...] | None = None

    @cached_property
    def pair_places(self) -> NDArray[np.intp]:
        """`pairs` as an array, shape ``(2, pairs)``."""
        return np.array(self.pairs, dtype=np.intp).reshape(-1, 2).T


class CutPart(PlanContext):
    """Attributes:
    runs: Their strings' values, one after another, are the part's values.
    choices: For each term of the cuts, which choice at its own cuts the part makes.
    lookup: For each choice and string of the circuit, the index of the part's value.
    """

    label: str
    runs: tuple[CutRun, ...]
    choices: tuple[int, ...]
    lookup: tuple[tuple[int, ...], ...]


class CutExperiment(PlanContext):
    """How one experiment comes together from its parts.

    Attributes:
        coefficients: Of each term, shape ``(points, terms)``, or one row for all points.
        drawn: How often each term was drawn; empty where all are there.
        weights: Of each string of more than identities, shape ``(observables, strings)``.
        constants: The observables' identity parts.
        figures: About the cuts, for the diagnostic.
    """

    coefficients: tuple[tuple[float, ...], ...]
    drawn: tuple[int, ...] = ()
    parts: tuple[CutPart, ...]
    weights: tuple[tuple[float, ...], ...]
    constants: tuple[float, ...]
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    points: int = 1


@dataclass(frozen=True, eq=False)
class PlannedPart:
    """What to run for a part; every circuit with the observables, or none for counts."""

    part: CutPart
    experiments: tuple[Experiment, ...]


def plan_part(
    cut: CutCircuit, label: str, terms: Terms, strings: Sequence[str], experiment: Experiment
) -> PlannedPart:
    """All circuits of a part, equal ones once.

    Args:
        strings: Pauli labels on the whole circuit's qubits.
        experiment: Its parameter values, shots and so on are taken over; its circuit is not.
    """
    planner = _Planner(cut, label, strings, experiment)
    choices = [planner.choice(row) for row in terms.indices]
    lookup = planner.lookup()
    part = CutPart(
        label=label, runs=tuple(planner.runs), choices=tuple(choices), lookup=tuple(lookup)
    )
    return PlannedPart(part, tuple(planner.experiments))


@dataclass(eq=False)
class _Planner:
    cut: CutCircuit
    label: str
    strings: Sequence[str]
    experiment: Experiment
    runs: list[CutRun] = field(default_factory=list)
    experiments: list[Experiment] = field(default_factory=list)
    midway: bool = False
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    _chosen: list[tuple[LocalTerm, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.midway = self.cut.midway
        self.sides = [
            (number, side)
            for number, cut in enumerate(self.cut.cuts)
            for side, segment in enumerate(cut.segments)
            if self.cut.labels[segment] == self.label
        ]
        self.terms = [
            [term[side] for term in self.cut.cuts[n].basis.sides] for n, side in self.sides
        ]

    def choice(self, row: NDArray[np.intp]) -> int:
        """Number of what the part does at its own cuts in a term."""
        chosen = tuple(
            terms[row[number]] for (number, _), terms in zip(self.sides, self.terms, strict=True)
        )
        key = tuple((term.name, term.letter) for term in chosen)
        if key not in self._numbers:
            self._numbers[key] = len(self._chosen)
            self._chosen.append(chosen)
        return self._numbers[key]

    def lookup(self) -> list[tuple[int, ...]]:
        """Plan a run for every distinct circuit, and say where the values of each choice are."""
        by_circuit: dict[tuple[str, ...], list[int]] = {}
        for number, chosen in enumerate(self._chosen):
            by_circuit.setdefault(tuple(term.name for term in chosen), []).append(number)
        rows: dict[int, tuple[int, ...]] = {}
        for numbers in by_circuit.values():
            chosen = self._chosen[numbers[0]]
            built = part_circuit(
                self.cut, self.label, dict(zip(self.sides, chosen, strict=True)), self.midway
            )
            wanted = {
                n: [self._observed(built, self._chosen[n], s) for s in self.strings]
                for n in numbers
            }
            place = self._plan(built, sorted({s for each in wanted.values() for s in each}))
            rows |= {n: tuple(place[s] for s in each) for n, each in wanted.items()}
        return [rows[number] for number in range(len(self._chosen))]

    def _observed(self, built: PartCircuit, chosen: Sequence[LocalTerm], string: str) -> str:
        """The Pauli string on the part's own circuit."""
        letters = ["I"] * built.circuit.num_qubits
        for qubit, segment in enumerate(self.cut.last):
            if segment in built.qubits:
                letters[built.qubits[segment]] = string[-1 - qubit]
        for (number, side), term in zip(self.sides, chosen, strict=True):
            if term.letter:
                letters[built.qubits[self.cut.cuts[number].segments[side]]] = term.letter
        for qubit in built.sign_qubits:
            letters[qubit] = "Z"
        return "".join(reversed(letters))

    def _plan(self, built: PartCircuit, labels: Sequence[str]) -> dict[str, int]:
        """Runs of one circuit, and where among the part's values each string's will be."""
        identity = "I" * built.circuit.num_qubits
        if not built.sign_clbits:
            place = {identity: ONE}
            labels = [label for label in labels if label != identity]
            if labels:
                place |= self._run(built, labels, self._pairs(labels))
            return place
        place = {}
        for group in PauliList(list(labels)).group_commuting(qubit_wise=True):
            place |= self._counted(built, group.to_labels())
        return place

    def _run(
        self, built: PartCircuit, labels: Sequence[str], pairs: Sequence[tuple[int, int]]
    ) -> dict[str, int]:
        paired = len(pairs) <= MAX_PAIRS
        kept = tuple(pairs) if paired else ()
        sums = [SparsePauliOp([labels[first], labels[second]]) for first, second in kept]
        self.experiments.append(
            replace(
                self.experiment,
                circuit=built.circuit,
                observables=(*map(SparsePauliOp, labels), *sums),
            )
        )
        return self._placed(labels, CutRun(strings=len(labels), pairs=kept, paired=paired))

    def _counted(self, built: PartCircuit, labels: Sequence[str]) -> dict[str, int]:
        columns = zip(*labels, strict=True)
        basis = "".join(next((c for c in column if c != "I"), "I") for column in columns)
        qubits = letters_at(basis)
        plain = replace(self.experiment, circuit=built.circuit, observables=None)
        circuit = measure_in_basis(plain, basis, qubits) if qubits else built.circuit
        first = built.circuit.num_clbits
        clbit = {qubit: first + number for number, qubit in enumerate(qubits)}
        supports = tuple(
            (*built.sign_clbits, *(clbit[qubit] for qubit in letters_at(label))) for label in labels
        )
        self.experiments.append(replace(plain, circuit=circuit))
        return self._placed(labels, CutRun(strings=len(labels), supports=supports))

    def _placed(self, labels: Sequence[str], run: CutRun) -> dict[str, int]:
        first = sum(each.strings for each in self.runs)
        self.runs.append(run)
        return {label: first + number for number, label in enumerate(labels)}

    def _pairs(self, labels: Sequence[str]) -> list[tuple[int, int]]:
        if self.experiment.shots is None:
            return []
        return [
            (first, second)
            for first, second in combinations(range(len(labels)), 2)
            if _share_a_basis(labels[first], labels[second])
        ]


def _share_a_basis(first: str, second: str) -> bool:
    return all(a == b or "I" in (a, b) for a, b in zip(first, second, strict=True))
