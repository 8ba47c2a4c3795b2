"""Training circuits of an experiment, drawn and with their exact values, for one submission."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from adapters.exact import SMALL_QUBITS, Reference
from pipeline.extrapolation.folding import FoldedGates, fold
from pipeline.regression.training import TrainingTemplate, spread
from pipeline.tensor_networks.mps_reference import MpsReference
from qcpaas.execution import ExpectationValues, Experiment, OptionSettings, Outcome

Array = NDArray[np.float64]

CANDIDATES = 3  # drawn for each training circuit; those whose values lie far apart are taken
KEPT_TEMPLATES = 64
KEPT_WIDE = 8  # rotations: at most 2**8 Pauli strings from one


class TrainingSettings(OptionSettings):
    """How to learn from circuits near Clifford.

    ``kept`` rotations keep their angle, at most three quarters; unless given, as many as that on
    few qubits, and few on many, where exact values cost more. ``training_shots`` are each training
    circuit's, as many as the experiment's own unless given. ``reference`` says how values without
    noise are computed: exactly, or by matrix product states of at most ``max_bond``, which reach
    wide circuits of little entanglement that are not near Clifford.
    """

    reference: Literal["exact", "mps"] = "exact"
    max_bond: int = Field(default=64, ge=2, le=1024)
    training: int = Field(default=16, ge=4, le=1000)
    kept: int | None = Field(default=None, ge=0)
    training_shots: int | None = Field(default=None, ge=2)

    def shot_ratio(self, experiment: Experiment) -> float:
        """Shots of a training circuit, in units of the experiment's."""
        if self.training_shots is None or experiment.shots is None:
            return 1.0
        return self.training_shots / experiment.shots


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training circuits of one experiment.

    Attributes:
        experiment: One circuit at the angles of all training circuits.
        exact: Without noise, shape ``(points, training circuits, observables)``.
    """

    experiment: Experiment
    exact: Array

    def nested(self) -> list[list[list[float]]]:
        """`exact` for a context."""
        nested: list[list[list[float]]] = self.exact.tolist()
        return nested


class Trainer:
    """Draws training circuits; remembers what it found out about the circuits of a loop."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._known: OrderedDict[tuple[int, ...], _Known] = OrderedDict()

    def draw(self, experiment: Experiment, per_point: int, rng: np.random.Generator) -> TrainingSet:
        """Training circuits near the experiment's circuit at each of its points.

        Args:
            per_point: How many.

        Raises:
            MitigationError: The circuit has no angles to move, or its exact values cannot be
                computed.
        """
        known = self._find(experiment)
        template = known.template
        kept = self._kept(template.circuit)
        candidates = [
            template.near_clifford(template.angles(point), CANDIDATES * per_point, kept, rng)
            for point in experiment.parameter_values
        ]
        exact = known.reference.at(np.concatenate(candidates))
        rows, values = [], []
        for drawn, found in zip(candidates, np.split(exact, len(candidates)), strict=True):
            chosen = spread(found, per_point)
            rows.append(drawn[chosen])
            values.append(found[chosen])
        trained = replace(
            experiment,
            circuit=template.circuit,
            parameter_values=np.concatenate(rows),
            shots=self._shots(experiment),
        )
        return TrainingSet(trained, np.stack(values))

    def amplified(
        self,
        experiment: Experiment,
        trained: TrainingSet,
        factors: Sequence[float],
        gates: FoldedGates,
    ) -> list[Experiment]:
        """The circuit and its training circuits, in turn at every noise scale.

        Raises:
            MitigationError: They cannot be folded.
        """
        known = self._find(experiment)
        return [
            replace(each, circuit=known.folded(each.circuit, factor, gates))
            for factor in factors
            for each in (experiment, trained.experiment)
        ]

    def _kept(self, circuit: QuantumCircuit) -> int:
        if self._settings.kept is not None:
            return self._settings.kept
        return len(circuit.data) if circuit.num_qubits <= SMALL_QUBITS else KEPT_WIDE

    def _shots(self, experiment: Experiment) -> int | None:
        return experiment.shots and (self._settings.training_shots or experiment.shots)

    def _find(self, experiment: Experiment) -> _Known:
        observables = experiment.observables or ()
        key = (id(experiment.circuit), *map(id, observables))
        known = self._known.get(key)
        if known is None:
            template = TrainingTemplate.of(experiment.circuit)
            reference = self._reference(template.circuit, observables)
            known = self._known[key] = _Known(experiment, template, reference)
            if len(self._known) > KEPT_TEMPLATES:
                self._known.popitem(last=False)
        return known

    def _reference(
        self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp]
    ) -> Reference | MpsReference:
        if self._settings.reference == "mps":
            return MpsReference(circuit, observables, self._settings.max_bond)
        return Reference(circuit, observables)


@dataclass(frozen=True, eq=False)
class _Known:
    """What was found out about a circuit; holding it keeps its id from being given to another."""

    experiment: Experiment
    template: TrainingTemplate
    reference: Reference | MpsReference
    _folded: dict[tuple[int, float, FoldedGates], QuantumCircuit] = field(default_factory=dict)

    def folded(self, circuit: QuantumCircuit, factor: float, gates: FoldedGates) -> QuantumCircuit:
        """The same object each time: simulators remember what they found out about it."""
        if factor == 1.0:
            return circuit
        key = (id(circuit), factor, gates)
        if key not in self._folded:
            self._folded[key], _ = fold(circuit, factor, gates)
        return self._folded[key]


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of an experiment and of its training circuits, at every noise scale.

    Attributes:
        own: Outcomes of the experiment's circuit, one a noise scale; the first is unamplified.
        values: Of ``own``, shape ``(scales, points, observables)``.
        training: Shape ``(scales, points, training circuits, observables)``.
    """

    own: tuple[ExpectationValues, ...]
    values: Array
    variances: Array
    training: Array
    training_variances: Array

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Measured:
        """From the outcomes of circuit and training circuits, in turn for every noise scale."""
        own, trained = map(_expectations, (outcomes[::2], outcomes[1::2]))
        values = np.stack([outcome.values for outcome in own])
        shape = (len(trained), values.shape[1], -1, values.shape[2])
        return cls(
            own,
            values,
            np.stack([outcome.variances for outcome in own]),
            np.stack([outcome.values for outcome in trained]).reshape(shape),
            np.stack([outcome.variances for outcome in trained]).reshape(shape),
        )

    @property
    def raw(self) -> tuple[Array, Array]:
        """Values and variances without any option's correction."""
        plain = self.own[0]
        if plain.raw_values is None or plain.raw_variances is None:
            return plain.values, plain.variances
        return plain.raw_values, plain.raw_variances


def mixed_values(experiment: Experiment) -> list[float]:
    """Each observable's value in the fully mixed state: the identity's coefficient."""
    return [
        float(one.coeffs[~(one.paulis.x | one.paulis.z).any(axis=1)].real.sum())
        for one in experiment.observables or ()
    ]


def _expectations(outcomes: Sequence[Outcome]) -> tuple[ExpectationValues, ...]:
    return tuple(outcome for outcome in outcomes if isinstance(outcome, ExpectationValues))
