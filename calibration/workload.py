"""What a circuit asks of its qubits: gates, idle time, readout, duration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from calibration.durations import Durations
from calibration.template import Template, leaves
from calibration.timeline import TIMELESS, Timeline
from qcpaas.calibration import Quantity
from store.snapshot import Snapshot

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Workload:
    """What a template asks of each of its ``k`` qubits.

    Attributes:
        one_qubit_gates: Physical 1-qubit gates, shape ``(k,)``.
        measured: How often the qubit is read, shape ``(k,)``.
        idle_s: Waiting time between its first and last instruction, shape ``(k,)``.
        duration_s: Of the whole circuit, by the longest path.
    """

    one_qubit_gates: Array
    measured: Array
    idle_s: Array
    duration_s: float


@dataclass(frozen=True, eq=False)
class Demand:
    """What a template asks of its ``k`` qubits wherever it is placed.

    Attributes:
        one_qubit: How often each 1-qubit gate is applied, shape ``(k,)`` each.
        reads: How often each qubit is read, shape ``(k,)``; where the circuit has no measurement,
            once wherever the original's qubits lie: observables decide later what is read.
    """

    one_qubit: dict[str, Array]
    reads: Array
    timeline: Timeline

    @classmethod
    def of(cls, template: Template) -> Demand:
        circuit = template.circuit
        counts: dict[str, Array] = {}
        for operation, qubits, times in leaves(circuit):
            if len(qubits) == 1 and operation.name not in TIMELESS:
                column = counts.setdefault(operation.name, np.zeros(circuit.num_qubits))
                column[qubits[0]] += times
        reads = counts.pop("measure", None)
        read_later = () if reads is not None else template.positions
        if reads is None:
            reads = np.zeros(circuit.num_qubits)
            reads[list(template.positions)] = 1
        number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
        return cls(counts, reads, Timeline.of(circuit, number, read_later))


def workload_of(template: Template, snapshot: Snapshot) -> Workload:
    """What the circuit asks of its qubits, with the gate durations of the place it was routed to.

    A circuit without a measurement counts as read at its end, in no time, wherever the original's
    qubits lie.
    """
    demand, durations = Demand.of(template), Durations.of(snapshot)
    place = np.array(template.home, dtype=np.intp)
    idle_s, duration_s = demand.timeline.idle(place[:, None], durations)
    gates = np.zeros(len(place))
    for gate, counts in demand.one_qubit.items():
        gates += counts * durations.is_physical(gate)[place]
    return Workload(gates, demand.reads, idle_s[:, 0], float(duration_s[0]))


def measurement_s(snapshot: Snapshot, physical_qubits: tuple[int, ...]) -> float:
    """The longest readout among these qubits; 0 where none is reported."""
    durations = (snapshot.get(Quantity.READOUT_DURATION_S, qubit) for qubit in physical_qubits)
    return max((duration or 0.0 for duration in durations), default=0.0)


def has_measurement(circuit: QuantumCircuit) -> bool:
    """Whether anything is read, control-flow blocks included."""
    return any(
        step.name == "measure"
        or (step.is_control_flow() and any(map(has_measurement, step.operation.blocks)))
        for step in circuit.data
    )
