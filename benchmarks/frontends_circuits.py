"""Random circuits of each framework, in its own gates, with the unitary that it computes itself.

All unitaries are in big-endian order: the first qubit of the framework's order is the highest bit.
A family's ``symbolic`` circuits come with the values of their symbols, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.complex128]
Rng = np.random.Generator
NAMES = ("alpha", "beta")


@dataclass(frozen=True)
class Case:
    """One circuit.

    Attributes:
        circuit: What a user would hand in.
        unitary: At ``values``, by the framework.
        values: Of its symbols.
    """

    circuit: Any
    unitary: Matrix
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A framework; ``refuses`` says what becomes of symbols where it has none."""

    name: str
    make: Callable[[Rng, bool], Case]
    refuses: str = ""


def families() -> list[Family]:
    """Every framework, imported by now."""
    return [
        Family("qiskit", _qiskit),
        Family("openqasm2", _openqasm2, "OpenQASM 2 has no symbols"),
        Family("openqasm3", _openqasm3),
        Family("cirq", _cirq),
        Family("pennylane", _pennylane),
        Family("pyquil", _pyquil),
        Family("braket", _braket),
        Family("qir", _qir, "QIR has no symbols"),
    ]


def _size(rng: Rng) -> tuple[int, int]:
    """Qubits and gates."""
    return int(rng.integers(3, 6)), int(rng.integers(12, 25))


def _draw(
    rng: Rng, gates: list[tuple[Any, int, int]], qubits: int
) -> tuple[Any, list[int], list[float]]:
    """A gate of (gate, angles, qubits), the qubits it goes to, its angles."""
    gate, angles, width = gates[rng.integers(len(gates))]
    places = [int(q) for q in rng.permutation(qubits)[:width]]
    return gate, places, [float(a) for a in rng.uniform(-2 * pi, 2 * pi, angles)]


def _values(rng: Rng, symbolic: bool) -> dict[str, float]:
    return {name: float(rng.uniform(-pi, pi)) for name in NAMES} if symbolic else {}


def reversed_bits(matrix: Matrix) -> Matrix:
    """From little-endian to big-endian, or back."""
    width = matrix.shape[0].bit_length() - 1
    order = [int(f"{index:0{width}b}"[::-1], 2) for index in range(2**width)]
    return matrix[np.ix_(order, order)]


# --- Qiskit and OpenQASM ------------------------------------------------------------------------


def _qiskit(rng: Rng, symbolic: bool) -> Case:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit.quantum_info import Operator

    skipped = {"measure", "reset", "delay", "global_phase"}
    library = get_standard_gate_name_mapping()
    gates = [
        (type(gate), len(gate.params), gate.num_qubits)
        for name, gate in library.items()
        if name not in skipped and gate.num_qubits <= 3
    ]
    qubits, count = _size(rng)
    values = _values(rng, symbolic)
    symbols = [Parameter(name) for name in values]
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.h(q)
    for index in range(count):
        gate, places, angles = _draw(rng, gates, qubits)
        if symbols and index % 4 == 0:
            a, b = symbols
            circuit.rx(2 * a + b / 3, places[0])
            circuit.rzz(a * b - 1, *[int(q) for q in rng.permutation(qubits)[:2]])
        circuit.append(gate(*angles), places)
    bound = circuit.assign_parameters(dict(zip(symbols, values.values(), strict=True)))
    return Case(circuit, reversed_bits(Operator(bound).data), values)


_QASM_GATES = [
    ("h", 0, 1), ("x", 0, 1), ("y", 0, 1), ("z", 0, 1), ("s", 0, 1), ("sdg", 0, 1), ("t", 0, 1),
    ("tdg", 0, 1), ("rx", 1, 1), ("ry", 1, 1), ("rz", 1, 1), ("cx", 0, 2), ("cz", 0, 2),
    ("cy", 0, 2), ("ch", 0, 2), ("swap", 0, 2), ("ccx", 0, 3), ("crz", 1, 2),
]  # fmt: skip


def _openqasm2(rng: Rng, symbolic: bool) -> Case:
    """The unitary is computed here from the gates' definitions in the standard."""
    qubits, count = _size(rng)
    gates = [*_QASM_GATES, ("u1", 1, 1), ("u3", 3, 1), ("cu1", 1, 2)]
    lines, unitary = [], np.eye(2**qubits, dtype=complex)
    for _ in range(count):
        name, places, angles = _draw(rng, gates, qubits)
        given = f"({','.join(map(repr, angles))})" if angles else ""
        lines.append(f"{name}{given} {','.join(f'q[{q}]' for q in places)};")
        unitary = lifted(standard_matrix(name, angles), places, qubits) @ unitary
    text = f'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[{qubits}];\n' + "\n".join(lines)
    return Case(("qasm2", text), unitary)


def _openqasm3(rng: Rng, symbolic: bool) -> Case:
    """The unitary is computed here from the gates' definitions in the standard."""
    qubits, count = _size(rng)
    values = _values(rng, symbolic)
    lines, unitary = [], np.eye(2**qubits, dtype=complex)
    gates = [*_QASM_GATES, ("p", 1, 1), ("cp", 1, 2), ("sx", 0, 1)]
    for index in range(count):
        name, places, angles = _draw(rng, gates, qubits)
        shown = [repr(angle) for angle in angles]
        if values and index % 4 == 0:
            name, places = "rx", places[:1]
            angles = [2 * values["alpha"] + values["beta"] / 3]
            shown = ["2*alpha + beta/3"]
        given = f"({','.join(shown)})" if angles else ""
        lines.append(f"{name}{given} {','.join(f'q[{q}]' for q in places)};")
        unitary = lifted(standard_matrix(name, angles), places, qubits) @ unitary
    inputs = "".join(f"input float {name};\n" for name in values)
    head = f'OPENQASM 3.0;\ninclude "stdgates.inc";\n{inputs}qubit[{qubits}] q;\n'
    return Case(("qasm3", head + "\n".join(lines)), unitary, values)


def standard_matrix(name: str, angles: list[float]) -> Matrix:
    """A gate of OpenQASM's standard library or of QIR, its first qubit the highest bit."""
    from scipy.linalg import expm

    x, y = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]])
    z, h = np.diag([1, -1]), np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    if name[0] == "c":
        inner = standard_matrix({"cu1": "u1", "cnot": "x"}.get(name, name[1:]), angles)
        controlled = np.eye(2 * len(inner), dtype=np.complex128)
        controlled[len(inner) :, len(inner) :] = inner
        return controlled
    if name in {"rx", "ry", "rz"}:
        turned: Matrix = expm(-0.5j * angles[0] * {"rx": x, "ry": y, "rz": z}[name])
        return turned
    if name == "u3":
        theta, phi, lam = angles
        c, s = np.cos(theta / 2), np.sin(theta / 2)
        rows = [[c, -np.exp(1j * lam) * s], [np.exp(1j * phi) * s, np.exp(1j * (phi + lam)) * c]]
        return np.array(rows)
    phases = {"s": pi / 2, "sdg": -pi / 2, "t": pi / 4, "tdg": -pi / 4}
    if name in phases or name in {"p", "u1"}:
        return np.diag([1, np.exp(1j * (angles[0] if angles else phases[name]))])
    fixed: dict[str, Any] = {"x": x, "y": y, "z": z, "h": h, "swap": np.eye(4)[[0, 2, 1, 3]]}
    fixed["sx"] = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
    return np.asarray(fixed[name], dtype=np.complex128)


def lifted(gate: Matrix, places: list[int], qubits: int) -> Matrix:
    """A gate on some of the qubits, the first qubit the highest bit."""
    width = len(places)
    tensor = gate.reshape([2] * (2 * width))
    identity = np.eye(2**qubits, dtype=complex).reshape([2] * qubits + [2**qubits])
    moved = np.tensordot(tensor, identity, axes=(range(width, 2 * width), places))
    whole = np.moveaxis(moved, range(width), places).reshape(2**qubits, 2**qubits)
    return whole.astype(np.complex128)


# --- other frameworks ---------------------------------------------------------------------------


def _cirq(rng: Rng, symbolic: bool) -> Case:
    import cirq
    import sympy

    qubits, count = _size(rng)
    line = [cirq.GridQubit(q // 2, q % 2) for q in range(qubits)]
    values = _values(rng, symbolic)
    powers = [cirq.X, cirq.Y, cirq.Z, cirq.H, cirq.CX, cirq.CZ, cirq.SWAP, cirq.ISWAP]
    powers += [cirq.XX, cirq.YY, cirq.ZZ, cirq.CCX, cirq.CCZ]
    angled = [
        (cirq.rx, 1), (cirq.ry, 1), (cirq.rz, 1), (cirq.FSimGate, 2), (cirq.cphase, 1),
        (lambda a, b: cirq.PhasedXPowGate(phase_exponent=a, exponent=b), 2),
        (lambda a, b, c: cirq.PhasedXZGate(x_exponent=a, z_exponent=b, axis_phase_exponent=c), 3),
        (lambda a, b: cirq.PhasedISwapPowGate(phase_exponent=a, exponent=b), 2),
        (lambda a: cirq.ControlledGate(cirq.Y**a, control_values=[0]), 1),
        (lambda a: cirq.ControlledGate(cirq.rx(a)), 1),
        (lambda a: cirq.XPowGate(exponent=a, global_shift=-0.3).controlled(), 1),
        (lambda a: cirq.MatrixGate(cirq.unitary(cirq.CX**a)), 1),
        (cirq.givens, 1),
    ]  # fmt: skip
    circuit = cirq.Circuit(cirq.H.on_each(line))
    symbols = [sympy.Symbol(name) for name in values]
    for index in range(count):
        if rng.random() < 0.5:
            gate = powers[rng.integers(len(powers))]
            gate = gate if rng.random() < 0.4 else gate ** float(rng.uniform(-2, 2))
        else:
            make, angles = angled[rng.integers(len(angled))]
            gate = make(*[float(a) for a in rng.uniform(-pi, pi, angles)])
        if symbols and index % 4 == 0:
            a, b = symbols
            gate = (cirq.X ** (2 * a + b / 3), cirq.rz(a * b - 1), cirq.CZ**a)[rng.integers(3)]
        places = rng.permutation(qubits)[: cirq.num_qubits(gate)]
        circuit.append(gate(*[line[q] for q in places]))
    bound = cirq.resolve_parameters(circuit, cirq.ParamResolver(values))
    return Case(circuit, cirq.unitary(bound), values)


def _pennylane(rng: Rng, symbolic: bool) -> Case:
    import pennylane as qml

    qubits, count = _size(rng)
    plain = [
        (qml.Hadamard, 0, 1), (qml.PauliX, 0, 1), (qml.PauliY, 0, 1), (qml.S, 0, 1),
        (qml.T, 0, 1), (qml.SX, 0, 1), (qml.CNOT, 0, 2), (qml.CZ, 0, 2), (qml.CY, 0, 2),
        (qml.SWAP, 0, 2), (qml.ISWAP, 0, 2), (qml.SISWAP, 0, 2), (qml.ECR, 0, 2),
        (qml.Toffoli, 0, 3), (qml.CSWAP, 0, 3), (qml.CCZ, 0, 3),
    ]  # fmt: skip
    angled = [
        (qml.RX, 1, 1), (qml.RY, 1, 1), (qml.RZ, 1, 1), (qml.PhaseShift, 1, 1), (qml.Rot, 3, 1),
        (qml.U1, 1, 1), (qml.U2, 2, 1), (qml.U3, 3, 1), (qml.CRX, 1, 2), (qml.CRY, 1, 2),
        (qml.CRZ, 1, 2), (qml.CRot, 3, 2), (qml.ControlledPhaseShift, 1, 2), (qml.IsingXX, 1, 2),
        (qml.IsingYY, 1, 2), (qml.IsingZZ, 1, 2), (qml.IsingXY, 1, 2), (qml.PSWAP, 1, 2),
        (qml.SingleExcitation, 1, 2), (qml.MultiRZ, 1, 3),
    ]  # fmt: skip
    gates = plain + (angled[:9] if symbolic else angled)
    operations = [qml.Hadamard(q) for q in range(qubits)]
    for index in range(count):
        gate, places, angles = _draw(rng, gates, qubits)
        operation = gate(*angles, wires=places)
        if not symbolic and index % 5 == 0:
            operation = qml.adjoint(operation)
        if not symbolic and index % 7 == 0 and len(places) < 3:
            free = [q for q in range(qubits) if q not in places]
            operation = qml.ctrl(operation, control=free[:1], control_values=[index % 2])
        operations.append(operation)
    tape = qml.tape.QuantumScript(operations, [])
    drawn = [float(value) for value in tape.get_parameters()]
    values = {f"p[{i}]": value for i, value in enumerate(drawn)} if symbolic else {}
    return Case(tape, qml.matrix(tape, wire_order=range(qubits)), values)


def _pyquil(rng: Rng, symbolic: bool) -> Case:
    from pyquil import Program, gates
    from pyquil.simulation.tools import program_unitary

    qubits, count = _size(rng)
    kinds = [
        (gates.H, 0, 1), (gates.X, 0, 1), (gates.Y, 0, 1), (gates.Z, 0, 1), (gates.S, 0, 1),
        (gates.T, 0, 1), (gates.RX, 1, 1), (gates.RY, 1, 1), (gates.RZ, 1, 1),
        (gates.PHASE, 1, 1), (gates.CNOT, 0, 2), (gates.CZ, 0, 2), (gates.CPHASE, 1, 2),
        (gates.CPHASE00, 1, 2), (gates.CPHASE01, 1, 2), (gates.CPHASE10, 1, 2),
        (gates.SWAP, 0, 2), (gates.ISWAP, 0, 2), (gates.PSWAP, 1, 2), (gates.XY, 1, 2),
        (gates.CCNOT, 0, 3), (gates.CSWAP, 0, 3),
    ]  # fmt: skip
    values = _values(rng, symbolic)
    program, bound = Program(), Program()
    memory = {name: program.declare(name, "REAL", 1) for name in values}
    for q in range(qubits):
        program += gates.H(q)
        bound += gates.H(q)
    for index in range(count):
        make, places, angles = _draw(rng, kinds, qubits)
        gate = make(*angles, *places)
        if not symbolic and index % 5 == 0:
            gate = gate.dagger()
        if values and index % 4 == 0:
            a, b = (memory[name] for name in NAMES)
            program += gates.RX(2 * a + b / 3, places[0])
            bound += gates.RX(2 * values["alpha"] + values["beta"] / 3, places[0])
        program += gate
        bound += gate
    return Case(program, reversed_bits(program_unitary(bound, qubits)), values)


def _braket(rng: Rng, symbolic: bool) -> Case:
    from braket.circuits import Circuit, FreeParameter

    qubits, count = _size(rng)
    kinds = [
        ("h", 0, 1), ("x", 0, 1), ("y", 0, 1), ("z", 0, 1), ("s", 0, 1), ("si", 0, 1),
        ("t", 0, 1), ("ti", 0, 1), ("v", 0, 1), ("vi", 0, 1), ("rx", 1, 1), ("ry", 1, 1),
        ("rz", 1, 1), ("phaseshift", 1, 1), ("u", 3, 1), ("prx", 2, 1), ("gpi", 1, 1),
        ("gpi2", 1, 1), ("cnot", 0, 2), ("cy", 0, 2), ("cz", 0, 2), ("cv", 0, 2), ("ecr", 0, 2),
        ("swap", 0, 2), ("iswap", 0, 2), ("pswap", 1, 2), ("xy", 1, 2), ("xx", 1, 2),
        ("yy", 1, 2), ("zz", 1, 2), ("cphaseshift", 1, 2), ("cphaseshift00", 1, 2),
        ("cphaseshift01", 1, 2), ("cphaseshift10", 1, 2), ("ccnot", 0, 3), ("cswap", 0, 3),
    ]  # fmt: skip
    values = _values(rng, symbolic)
    a, b = (FreeParameter(name) for name in NAMES)
    circuit = Circuit()
    for q in range(qubits):
        circuit.h(q)
    for index in range(count):
        name, places, angles = _draw(rng, kinds, qubits)
        if values and index % 4 == 0:
            circuit.rx(places[0], 2 * a + b / 3)
            continue
        more: dict[str, Any] = {}
        if index % 6 == 0 and len(places) == 1:
            more = {"control": [(places[0] + 1) % qubits], "control_state": [index % 2]}
        if index % 7 == 0 and name in {"rx", "s", "t", "h", "x"}:
            more["power"] = float(rng.choice([-1, 2, 0.5]))
        getattr(circuit, name)(*places, *angles, **more)
    bound = circuit.make_bound_circuit(values) if values else circuit
    return Case(circuit, bound.to_unitary(), values)


def _qir(rng: Rng, symbolic: bool) -> Case:
    """Written by PyQIR; the unitary from the gates' matrices, since QIR's runner gives samples."""
    import pyqir

    qubits, count = _size(rng)
    kinds = [
        ("h", 0, 1), ("x", 0, 1), ("y", 0, 1), ("z", 0, 1), ("s", 0, 1), ("s_adj", 0, 1),
        ("t", 0, 1), ("t_adj", 0, 1), ("rx", 1, 1), ("ry", 1, 1), ("rz", 1, 1), ("cx", 0, 2),
        ("cz", 0, 2), ("swap", 0, 2), ("ccx", 0, 3),
    ]  # fmt: skip
    module = pyqir.SimpleModule("random", qubits, 0)
    builder, unitary = module.builder, np.eye(2**qubits, dtype=complex)
    for _ in range(count):
        name, places, angles = _draw(rng, kinds, qubits)
        wires = [module.qubits[q] for q in places]
        getattr(pyqir.qis, name)(builder, *angles, *wires)
        standard = name.replace("_adj", "dg")
        unitary = lifted(standard_matrix(standard, angles), places, qubits) @ unitary
    circuit: Any = module.bitcode() if rng.random() < 0.5 else module.ir()
    return Case(circuit, unitary)
