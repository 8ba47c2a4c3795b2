"""Bind late: put a circuit where the newest calibration says it will do best."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from calibration.directions import Materialised, Materialiser
from calibration.durations import Durations
from calibration.elements import NO_CORRECTIONS, Corrections
from calibration.placement import Placement, Placer
from calibration.portfolio import Portfolio
from calibration.template import Template
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from qcpaas.execution import Binding, Experiment
from store.snapshot import Snapshot

KEPT_BOUND = 256
ROUNDING = 1e-9  # nats: sums of the same numbers in another order

Question = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class Bound:
    """A circuit at its place on a device.

    Attributes:
        circuit: In the device's gates, on compact qubits, parameters symbolic.
        template: The one of the portfolio that was placed.
    """

    circuit: QuantumCircuit
    template: Template
    binding: Binding


@dataclass(frozen=True)
class Choice:
    """A placement, what it is worth in nats, and why it was chosen."""

    template: int
    physical_qubits: tuple[int, ...]
    log_fidelity: float
    reason: str


@dataclass(eq=False)
class Binder:
    """Binds circuits to one device; remembers what it answered and what it materialised.

    Attributes:
        basis_gates: Instruction names that the device executes.
    """

    basis_gates: tuple[str, ...]
    placer: Placer = field(default_factory=Placer)
    _answers: OrderedDict[Question, tuple[Corrections, Bound]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._materialiser = Materialiser(self.basis_gates)

    def bind(
        self,
        portfolio: Portfolio,
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
        incumbent: tuple[int, ...] | None = None,
        min_gain: float = 0.0,
        *,
        taken: frozenset[int] = frozenset(),
    ) -> Bound:
        """Choose the physical qubits, fix gate directions, and attach the readout model.

        The same question is answered from memory.

        Args:
            incumbent: Physical qubits of the binding so far, kept unless they no longer work or
                another placement is better by more than ``min_gain``.
            min_gain: In nats of log fidelity.
            taken: Device qubits that others have; for a circuit that is not placed yet.

        Raises:
            CalibrationError: No placement avoids what is out of order, or taken.
        """
        # Not by the portfolio itself: with a note added it is another with the same templates.
        circuit = (portfolio.templates, portfolio.snapshot_id, portfolio.note)
        held = (incumbent, min_gain, taken)
        question = (*circuit, snapshot.content_id, corrections.version, *held)
        known = self._answers.get(question)
        if known is not None and known[0].log_factors == corrections.log_factors:
            self._answers.move_to_end(question)
            return known[1]
        choice = self._choose(portfolio, snapshot, corrections, held)
        bound = self._bound(choice, portfolio, snapshot, corrections)
        self._answers[question] = corrections, bound
        if len(self._answers) > KEPT_BOUND:
            self._answers.popitem(last=False)
        return bound

    def _choose(
        self,
        portfolio: Portfolio,
        snapshot: Snapshot,
        corrections: Corrections,
        held: tuple[tuple[int, ...] | None, float, frozenset[int]],
    ) -> Choice:
        incumbent, min_gain, taken = held
        best = self.placer.choose(portfolio, snapshot, corrections, taken)
        among = _among(best, portfolio)
        chosen = Choice(
            best.template,
            best.physical_qubits,
            best.log_fidelity,
            f"best of {among}{_margin(best)}",
        )
        if incumbent is None:
            return chosen
        kept = self._held(portfolio, snapshot, corrections, incumbent)
        if kept is None:
            return replace(chosen, reason=f"{chosen.reason}; the place before no longer works")
        template, value = kept
        gain = best.log_fidelity - value
        if gain > min_gain + ROUNDING:
            reason = f"{chosen.reason}; the place before is {gain:.2g} nats worse"
            return replace(chosen, reason=reason)
        if gain <= ROUNDING:
            return Choice(template, incumbent, value, f"kept: still the best of {among}")
        reason = f"kept: the best of {among} would gain {gain:.2g} nats, not over {min_gain:g}"
        return Choice(template, incumbent, value, reason)

    def _held(
        self,
        portfolio: Portfolio,
        snapshot: Snapshot,
        corrections: Corrections,
        physical_qubits: tuple[int, ...],
    ) -> tuple[int, float] | None:
        """The routing that is worth most on these qubits, and its value; none where none works."""
        best: tuple[int, float] | None = None
        for index, template in enumerate(portfolio.templates):
            try:
                _check_width(template, physical_qubits, snapshot)
                self._materialiser.materialise(template, physical_qubits, snapshot)
            except CalibrationError:
                continue
            value = self.placer.value(template, physical_qubits, snapshot, corrections)
            if best is None or value > best[1]:
                best = index, value
        return best

    def _bound(
        self, choice: Choice, portfolio: Portfolio, snapshot: Snapshot, corrections: Corrections
    ) -> Bound:
        template, physical = portfolio.templates[choice.template], choice.physical_qubits
        placed = self._materialiser.materialise(template, physical, snapshot)
        durations = self._materialiser.offer(snapshot).durations
        value = choice.log_fidelity
        if placed.template is not template:  # what turning costs was estimated until here
            value = self.placer.value(placed.template, physical, snapshot, corrections)
        binding = Binding(
            physical_qubits=physical,
            snapshot_id=snapshot.content_id,
            compiled_snapshot_id=portfolio.snapshot_id,
            routing=choice.template,
            corrections_version=corrections.version,
            readout_errors=readout_errors(snapshot, physical),
            basis_gates=self.basis_gates,
            log_fidelity=value,
            duration_s=placed.duration_s(physical, snapshot, durations),
            reason="; ".join(filter(None, (choice.reason, portfolio.note))),
            positions=placed.template.positions,
        )
        return Bound(placed.template.circuit, template, binding)


def bind_in_place(
    circuit: QuantumCircuit, snapshot: Snapshot, basis_gates: tuple[str, ...]
) -> Binding:
    """The binding of a circuit that runs gate for gate: qubit i is the device's qubit i."""
    physical = tuple(range(circuit.num_qubits))
    placed = Materialised.of(Template.in_place(circuit, physical))
    return Binding(
        physical_qubits=physical,
        snapshot_id=snapshot.content_id,
        compiled_snapshot_id=snapshot.content_id,
        readout_errors=readout_errors(snapshot, physical),
        basis_gates=basis_gates,
        duration_s=placed.duration_s(physical, snapshot, Durations.of(snapshot)),
        reason="gate for gate, as given",
    )


def bind_experiment(experiment: Experiment, bound: Bound) -> Experiment:
    """The caller's experiment on its bound circuit, observables carried along.

    Parameters go by their names, so that each keeps its value however the compiler ordered them.
    """
    observables = experiment.observables
    if observables is not None:
        observables = tuple(_through_layout(one, bound.template) for one in observables)
    column = {p.name: index for index, p in enumerate(experiment.circuit.parameters)}
    columns = [column[parameter.name] for parameter in bound.circuit.parameters]
    return replace(
        experiment,
        circuit=bound.circuit,
        parameter_values=experiment.parameter_values[:, columns],
        observables=observables,
        binding=bound.binding,
    )


def readout_errors(snapshot: Snapshot, physical_qubits: tuple[int, ...]) -> NDArray[np.float64]:
    """``p(1|0)`` and ``p(0|1)`` of each qubit, shape ``(k, 2)``, NaN where not reported.

    Both are the one number that is known where a device reports no more.
    """
    qubits = list(physical_qubits)
    p10 = snapshot.per_qubit(Quantity.READOUT_P10)[qubits]
    p01 = snapshot.per_qubit(Quantity.READOUT_P01)[qubits]
    mean = snapshot.per_qubit(Quantity.READOUT_ERROR)[qubits]
    one = np.where(np.isnan(mean), np.where(np.isnan(p10), p01, p10), mean)
    both = ~np.isnan(p10 + p01)
    return np.stack([np.where(both, p10, one), np.where(both, p01, one)], axis=1)


def _check_width(template: Template, physical_qubits: Sequence[int], snapshot: Snapshot) -> None:
    """Raises `CalibrationError` where these cannot be the qubits of this template."""
    fits = len(template.home) == len(physical_qubits) == len(set(physical_qubits))
    if not fits or not all(0 <= qubit < snapshot.num_qubits for qubit in physical_qubits):
        raise CalibrationError(
            f"a circuit on {len(template.home)} qubits cannot lie on {physical_qubits} of "
            f"{snapshot.num_qubits}. Give each of its qubits one of the device's."
        )


def _among(placement: Placement, portfolio: Portfolio) -> str:
    placements, routings = placement.considered, len(portfolio.templates)
    text = f"{placements:,} placement{'s' * (placements != 1)} of "
    text += "one routing" if routings == 1 else f"{routings} routings"
    return text if placement.complete else f"{text}, found by beam search"


def _margin(placement: Placement) -> str:
    if placement.runner_up is None:
        return ""
    behind = placement.log_fidelity - placement.runner_up
    if behind < 5e-4:
        return "; the next best is as good"
    return f"; the next best is {behind:.2g} nats worse"


def _through_layout(observable: SparsePauliOp, template: Template) -> SparsePauliOp:
    return observable.apply_layout(list(template.positions), template.circuit.num_qubits)
