"""Circuits that measure readout errors beside the circuits that suffer from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit

from pipeline.pauli.gates import pauli_steps
from qcpaas.execution import Binding, Counts, Experiment


@dataclass
class ReadTogether:
    """Physical qubits that calibration circuits read at once.

    Attributes:
        like: An experiment that they serve: calibration runs where, when and as it does.
        place: Position of each qubit among those that are read.
    """

    like: Experiment
    place: dict[int, int] = field(default_factory=dict)

    @property
    def qubits(self) -> tuple[int, ...]:
        return tuple(self.place)

    def add(self, qubits: Collection[int]) -> None:
        for qubit in qubits:
            self.place.setdefault(qubit, len(self.place))

    def experiment(self, ones: Collection[int], shots: int | None) -> Experiment:
        """Prepare 1 at some places and 0 at the others, and read all: clbit i is place i.

        Args:
            shots: In all, shared by the points at which a plan is run.
        """
        binding = self.like.binding
        circuit, qubits = self._register()
        for place in sorted(ones):
            gates = () if binding is None else binding.basis_gates
            for step in pauli_steps("X", circuit.qubits[qubits[place]], gates):
                circuit.append(step)
        circuit.barrier()
        circuit.measure(qubits, range(len(qubits)))
        points = self.like.points
        return replace(
            self.like,
            circuit=circuit,
            parameter_values=np.empty((points, 0)),
            observables=None,
            shots=None if shots is None else ceil(shots / max(points, 1)),
            binding=None if binding is None else _moved(binding, self.qubits),
        )

    def _register(self) -> tuple[QuantumCircuit, tuple[int, ...]]:
        """Qubits to act on; without a binding a circuit's qubits are the device's own."""
        bound = self.like.binding is not None
        qubits = tuple(range(len(self.place))) if bound else self.qubits
        circuit = QuantumCircuit(max(qubits, default=-1) + 1, name="readout_calibration")
        circuit.add_register(ClassicalRegister(len(qubits), "cal"))
        return circuit, qubits


def read_together(
    experiments: Sequence[Experiment], measured: Sequence[Sequence[int]]
) -> tuple[tuple[ReadTogether, ...], tuple[int, ...]]:
    """Which qubits to calibrate in one circuit, and which of these serves each experiment.

    Experiments share a calibration where it uses no more qubits than the widest of them: so wide
    a circuit can be run, or simulated, anyway.

    Args:
        measured: Physical qubits that each experiment reads.
    """
    widest: dict[tuple[object, ...], int] = {}
    for experiment, qubits in zip(experiments, measured, strict=True):
        known = widest.get(_setting(experiment), 0)
        widest[_setting(experiment)] = max(known, _width(experiment.circuit), len(qubits))
    groups: list[tuple[tuple[object, ...], ReadTogether]] = []
    member_of = [0] * len(experiments)
    for index in sorted(range(len(experiments)), key=lambda index: -len(set(measured[index]))):
        setting, own = _setting(experiments[index]), set(measured[index])
        fitting = (
            number
            for number, (of, group) in enumerate(groups)
            if of == setting and len(own.union(group.place)) <= widest[setting]
        )
        number = next(fitting, len(groups))
        if number == len(groups):
            groups.append((setting, ReadTogether(experiments[index])))
        groups[number][1].add(measured[index])
        member_of[index] = number
    return tuple(group for _, group in groups), tuple(member_of)


def physical_qubit(experiment: Experiment, qubit: int) -> int:
    """Device qubit of a circuit qubit."""
    return qubit if experiment.binding is None else experiment.binding.physical_qubits[qubit]


def ones_read(counts: Counts) -> tuple[NDArray[np.float64], float]:
    """How often each clbit was 1, over all points, and out of how many."""
    width = counts.points[0].num_bits
    ones, total = np.zeros(width), 0.0
    for point in counts.points:
        bits = np.unpackbits(point.outcomes, axis=1)[:, ::-1][:, :width]
        ones += point.weights @ bits
        total += float(point.weights.sum())
    return ones, total


def _setting(experiment: Experiment) -> tuple[object, ...]:
    """What experiments must have in common to share a calibration."""
    binding = experiment.binding
    place = () if binding is None else (binding.snapshot_id, binding.basis_gates)
    return (experiment.device, experiment.shots is None, *place)


def _width(circuit: QuantumCircuit) -> int:
    return len({qubit for step in circuit.data for qubit in step.qubits})


def _moved(binding: Binding, physical_qubits: tuple[int, ...]) -> Binding:
    """The same calibration on other qubits; how good a placement it is, nobody asks."""
    return replace(
        binding,
        physical_qubits=physical_qubits,
        readout_errors=None,
        log_fidelity=None,
        duration_s=0.0,
        reason="readout calibration",
    )
