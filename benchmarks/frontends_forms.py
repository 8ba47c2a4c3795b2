"""What circuits are turned into: ours, and through it the forms that vendors execute.

Each target gives the unitary of what it wrote, computed by the vendor's own package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.frontends_circuits import Matrix, reversed_bits

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Values = Sequence[float]
Turn = Callable[["QuantumCircuit", Values], Matrix]


@dataclass(frozen=True)
class Target:
    """A form, and how a circuit's unitary is had from it; big-endian."""

    name: str
    turn: Turn


def targets() -> list[Target]:
    """Those whose writers are installed."""
    known: Mapping[str, Callable[[], Turn]] = {
        "circuit": lambda: _own,
        "braket": _braket,
        "rigetti": _rigetti,
        "open_hardware": _open_hardware,
    }
    found = []
    for name, make in known.items():
        try:
            found.append(Target(name, make()))
        except ImportError:
            continue
    return found


def _own(circuit: QuantumCircuit, values: Values) -> Matrix:
    from qiskit.quantum_info import Operator

    bound = circuit.assign_parameters(list(values))
    matrix: Matrix = Operator(bound.reverse_bits()).data
    return matrix


def _braket() -> Turn:
    from braket.circuits import Circuit

    from adapters.braket.circuits import Dialect, write_program
    from qcpaas.execution import Experiment

    def turn(circuit: QuantumCircuit, values: Values) -> Matrix:
        experiment = Experiment(circuit, np.array([list(values)], dtype=float))
        program = write_program(experiment, 0, Dialect("any", any_gate=True))
        inputs = {name: row[0] for name, row in program.inputs.items()}
        written = Circuit.from_ir(program.gates, inputs=inputs)
        for qubit in range(circuit.num_qubits):
            written.i(qubit)
        matrix: Matrix = written.to_unitary()
        return matrix

    return turn


def _rigetti() -> Turn:
    from pyquil import Program
    from pyquil.simulation.tools import program_unitary
    from qiskit import transpile

    from adapters.rigetti.circuits import Dialect, quil_program

    def turn(circuit: QuantumCircuit, values: Values) -> Matrix:
        """Bound before, since pyQuil's own unitary takes no memory."""
        bound = circuit.assign_parameters(list(values))
        native = transpile(bound, basis_gates=["rx", "rz", "cz"], optimization_level=0)
        text = quil_program(native, range(circuit.num_qubits), Dialect("QVM")).text
        return reversed_bits(program_unitary(Program(text), circuit.num_qubits))

    return turn


def _open_hardware() -> Turn:
    from qiskit import qasm3
    from qiskit.quantum_info import Operator

    from adapters.open_hardware.circuits import write

    def turn(circuit: QuantumCircuit, values: Values) -> Matrix:
        """Read again by Qiskit's own importer."""
        written = write(circuit)
        read = qasm3.loads(written.text)
        row = written.columns(np.array([list(values)], dtype=float))[0]
        named = dict(zip(written.parameters, row, strict=True))
        bound = read.assign_parameters({p: named[p.name] for p in read.parameters})
        matrix: Matrix = Operator(bound.reverse_bits()).data
        return matrix

    return turn
