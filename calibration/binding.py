"""Bind late: put a circuit where the newest calibration says it will do best."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from calibration.directions import turn, turned_interactions
from calibration.elements import NO_CORRECTIONS, Corrections
from calibration.placement import Placement, Placer
from calibration.portfolio import Portfolio
from calibration.template import Template
from calibration.workload import has_measurement, measurement_s, workload_of
from qcpaas.execution import Binding, Experiment
from store.snapshot import Snapshot

KEPT_CIRCUITS = 256


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


@dataclass(eq=False)
class Binder:
    """Binds circuits to one device; remembers what it has materialised.

    Attributes:
        basis_gates: Instruction names that the device executes.
    """

    basis_gates: tuple[str, ...]
    placer: Placer = field(default_factory=Placer)
    _circuits: OrderedDict[tuple[Template, frozenset[tuple[int, int, str]]], QuantumCircuit] = (
        field(default_factory=OrderedDict)
    )

    def bind(
        self,
        portfolio: Portfolio,
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
        incumbent: tuple[int, ...] | None = None,
        min_gain: float = 0.0,
    ) -> Bound:
        """Choose the physical qubits, fix gate directions, and attach the readout model.

        Args:
            incumbent: Physical qubits of the binding so far, kept unless another placement is
                better by more than ``min_gain``.
            min_gain: In nats of log fidelity.

        Raises:
            CalibrationError: No placement avoids what is out of order.
        """
        placement = _choose(self.placer, portfolio, snapshot, corrections)
        template = portfolio.templates[getattr(placement, "template", 0)]
        physical = placement.physical_qubits
        circuit = self._materialise(template, physical, snapshot)
        workload = workload_of(replace(template, circuit=circuit, home=physical), snapshot)
        reads = has_measurement(circuit)
        binding = Binding(
            physical_qubits=physical,
            snapshot_id=snapshot.content_id,
            compiled_snapshot_id=portfolio.snapshot_id,
            readout_errors=readout_errors(snapshot, physical),
            basis_gates=self.basis_gates,
            log_fidelity=placement.log_fidelity,
            duration_s=workload.duration_s + (0.0 if reads else measurement_s(snapshot, physical)),
            reason=f"best of {placement.considered:,} placements",
        )
        return Bound(circuit, template, binding)

    def _materialise(
        self, template: Template, physical: tuple[int, ...], snapshot: Snapshot
    ) -> QuantumCircuit:
        turned = turned_interactions(template, physical, snapshot)
        key = (template, turned)
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = turn(template.circuit, template.interactions, turned, self.basis_gates)
            self._circuits[key] = circuit
            if len(self._circuits) > KEPT_CIRCUITS:
                self._circuits.popitem(last=False)
        self._circuits.move_to_end(key)
        return circuit


def bind_template(
    template: Template,
    snapshot: Snapshot,
    basis_gates: tuple[str, ...],
    placer: Placer | None = None,
) -> tuple[QuantumCircuit, Binding]:
    """Bind one template; `Binder` binds the best of a portfolio."""
    portfolio = Portfolio((template,), "", "")
    bound = Binder(basis_gates, placer or Placer()).bind(portfolio, snapshot)
    return bound.circuit, bound.binding


def bind_in_place(
    circuit: QuantumCircuit, snapshot: Snapshot, basis_gates: tuple[str, ...]
) -> Binding:
    """The binding of a circuit that runs gate for gate: qubit i is the device's qubit i."""
    physical = tuple(range(circuit.num_qubits))
    template = Template.in_place(circuit, physical)
    return Binding(
        physical_qubits=physical,
        snapshot_id=snapshot.content_id,
        compiled_snapshot_id=snapshot.content_id,
        readout_errors=readout_errors(snapshot, physical),
        basis_gates=basis_gates,
        duration_s=workload_of(template, snapshot).duration_s,
        reason="gate for gate, as given",
    )


def bind_experiment(
    experiment: Experiment,
    bound: Bound | Template,
    circuit: QuantumCircuit | None = None,
    binding: Binding | None = None,
) -> Experiment:
    """The caller's experiment on its bound circuit, observables carried along."""
    if isinstance(bound, Template):
        assert circuit is not None
        assert binding is not None
        bound = Bound(circuit, bound, binding)
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
    """``p(1|0)`` and ``p(0|1)`` of each qubit, shape ``(k, 2)``, NaN where not reported."""
    rows = [snapshot.readout_error(qubit) or (np.nan, np.nan) for qubit in physical_qubits]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _choose(
    placer: Placer, portfolio: Portfolio, snapshot: Snapshot, corrections: Corrections
) -> Placement:
    if hasattr(placer, "value"):
        return placer.choose(portfolio, snapshot, corrections)  # type: ignore[arg-type,call-arg]
    return placer.choose(portfolio.templates[0], snapshot)


def _through_layout(observable: SparsePauliOp, template: Template) -> SparsePauliOp:
    return observable.apply_layout(list(template.positions), template.circuit.num_qubits)
