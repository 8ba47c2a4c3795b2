"""Quil against exact unitaries; the Quil is simulated by its specification, not by its writer."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.circuit.library import XXPlusYYGate
from qiskit.quantum_info import Operator
from vendors.quil_simulator import Simulation

from adapters.rigetti.circuits import Dialect, quil_program
from qcpaas.errors import CircuitError, SubmissionRefused

QVM = Dialect("a QVM")
QPU = Dialect(
    "Ankaa",
    pulse_level=True,
    control_flow=False,
    mid_circuit=False,
    native=frozenset({"rz", "sx", "sxdg", "x", "cz", "iswap", "xx_plus_yy", "cp", "reset"}),
)
A, B = Parameter("a"), Parameter("b")
ANGLES = (0.7, -np.pi, A, 2 * A - 0.3 * B + 1.1, -B / 3, A * B, B.sin() + A, A - A + 0.2)
NODES = (3, 10, 12)


def random_isa_circuit(seed, gates=14):
    """Of every native gate, with angles that are numbers, linear and curved."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(3, name=f"random-{seed}")

    def angle():
        return ANGLES[rng.integers(len(ANGLES))]

    for _ in range(gates):
        first, second = (int(q) for q in rng.choice(3, 2, replace=False))
        kind = rng.choice(sorted(QPU.native - {"reset"}))
        if kind == "rz":
            circuit.rz(angle(), first)
        elif kind == "cp":
            circuit.cp(angle(), first, second)
        elif kind == "xx_plus_yy":
            circuit.append(XXPlusYYGate(angle(), angle()), [first, second])
        elif kind in {"cz", "iswap"}:
            getattr(circuit, kind)(first, second)
        else:
            getattr(circuit, kind)(first)
    return circuit


def bound(circuit, values):
    return circuit.assign_parameters({p: values[p.name] for p in circuit.parameters})


def infidelity(program, point, exact):
    """Of the program's unitary at a point, whatever its phase."""
    found = Simulation(program.text, program.memory_map(point), pulse_level=True).unitary()
    return 1 - abs(np.vdot(found, exact)) / len(exact)


def touching(circuit):
    """With every qubit in use, so that the program's unitary has all of them."""
    for qubit in range(circuit.num_qubits):
        circuit.rz(0.0, qubit)
    return circuit


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("dialect", [QVM, QPU], ids=["qvm", "qpu"])
def test_random_isa_circuits_keep_their_unitary(seed, dialect):
    circuit = touching(random_isa_circuit(seed))
    program = quil_program(circuit, NODES, dialect)
    values = {"a": 0.37, "b": -1.91}
    point = np.array([values[p.name] for p in circuit.parameters])
    exact = Operator(bound(circuit, values)).data
    assert infidelity(program, point, exact) < 1e-12


def test_one_program_serves_fifty_points_as_bound_circuits_do():
    circuit = touching(random_isa_circuit(4, gates=30))
    assert len(circuit.parameters) == 2
    program = quil_program(circuit, NODES, QPU)
    points = np.random.default_rng(8).uniform(-np.pi, np.pi, (50, 2))
    for point in points:
        exact = Operator(circuit.assign_parameters(point)).data
        assert infidelity(program, point, exact) < 1e-12


def test_gates_that_quil_lacks_are_taken_apart_for_a_qvm():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.u(0.1, A, 0.3, 1)
    circuit.rzz(B, 0, 2)
    circuit.rccx(0, 1, 2)
    circuit.ecr(0, 1)
    circuit.cswap(2, 0, 1)
    circuit.append(Operator(np.diag([1, 1j, -1, 1])), [1, 2])
    point = np.array([0.4, 1.7])
    exact = Operator(circuit.assign_parameters(point)).data
    assert infidelity(quil_program(circuit, NODES, QVM), point, exact) < 1e-12


def test_a_processor_refuses_gates_it_does_not_have():
    circuit = QuantumCircuit(2, name="foreign")
    circuit.ecr(0, 1)
    with pytest.raises(SubmissionRefused, match=r"foreign has ecr on qubits 3 10; Ankaa .* cz, "):
        quil_program(circuit, (3, 10), QPU)


def test_expressions_are_quils_own_where_they_are_linear():
    circuit = QuantumCircuit(1)
    circuit.rz(2 * A - B + 0.5, 0)
    circuit.rz(A * B, 0)
    circuit.sx(0)
    program = quil_program(circuit, [7], QPU)
    assert program.text.splitlines() == [
        "DECLARE parameters REAL[2]",
        "DECLARE values REAL[1]",
        "RZ(2.0*parameters[0]-parameters[1]+0.5) 7",
        "RZ(values[0]) 7",
        "RX(pi/2) 7",
    ]
    assert program.memory_map(np.array([0.5, 3.0])) == {"parameters": [0.5, 3.0], "values": [1.5]}


def test_bits_of_several_registers_are_the_circuits_clbits():
    low, high = ClassicalRegister(2, "low"), ClassicalRegister(3, "high")
    circuit = QuantumCircuit(QuantumRegister(3), low, high)
    circuit.x([0, 2])
    circuit.measure(0, high[1])
    circuit.measure(1, low[0])
    circuit.measure(2, low[1])
    program = quil_program(circuit, NODES, QPU)
    assert program.registers == (("low", 2), ("high", 3))
    assert program.measured == (0, 1, 3)
    shots = Simulation(program.text).run(5)["ro"]
    assert shots == [[0, 1, 0, 1, 0]] * 5


def test_barriers_and_delays_are_fences_on_a_processor_and_nothing_on_a_qvm():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.barrier()
    circuit.delay(2e-6, 1, unit="s")
    lines = quil_program(circuit, (3, 10), QPU).text.splitlines()
    assert lines[1:] == ["FENCE 3 10", "DELAY 10 2e-06"]
    assert quil_program(circuit, (3, 10), QVM).text.splitlines() == ["RX(pi) 3"]


def test_a_processor_measures_each_qubit_once_and_last():
    circuit = QuantumCircuit(1, 2, name="twice")
    circuit.measure(0, 0)
    circuit.x(0)
    with pytest.raises(SubmissionRefused, match="x on qubits 3 after a measurement"):
        quil_program(circuit, [3], QPU)


def test_an_angle_that_is_no_number_is_refused():
    circuit = QuantumCircuit(1)
    circuit.rz(float("nan"), 0)
    with pytest.raises(CircuitError, match="no number"):
        quil_program(circuit, [0], QVM)


# --- control flow on a QVM ----------------------------------------------------------------------


def outcome(circuit):
    """Bits of every shot of a circuit without chance, clbit 0 rightmost."""
    program = quil_program(circuit, range(circuit.num_qubits), QVM)
    shots = Simulation(program.text, seed=1).run(20)["ro"]
    assert all(shot == shots[0] for shot in shots)
    return "".join(map(str, reversed(shots[0])))


@pytest.mark.parametrize(("value", "expected"), [(0b101, "1101"), (0b100, "0101")])
def test_a_register_is_compared_bit_by_bit(value, expected):
    low, flag = ClassicalRegister(3, "low"), ClassicalRegister(1, "flag")
    circuit = QuantumCircuit(QuantumRegister(4), low, flag)
    circuit.x([0, 2])
    circuit.measure([0, 1, 2], low)
    with circuit.if_test((low, value)):
        circuit.x(3)
    circuit.measure(3, flag[0])
    assert outcome(circuit) == expected


def test_the_other_branch_is_taken_where_a_bit_differs():
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.id(1)
    with otherwise:
        circuit.x(1)
    circuit.measure(1, 1)
    assert outcome(circuit) == "10"


def test_loops_repeat_break_and_go_on():
    circuit = QuantumCircuit(2, 2)
    with circuit.for_loop(range(5)) as turn:
        circuit.rx(np.pi * turn, 0)  # 0 + 1 + 2 half turns, then it ends
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(1)
            circuit.break_loop()
    circuit.measure(1, 1)
    assert outcome(circuit) == "11"


def test_a_while_loop_ends_once_its_condition_fails():
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.x(0)
        circuit.measure(0, 0)
    assert outcome(circuit) == "0"


@pytest.mark.parametrize(("prepared", "expected"), [([], "00"), ([0], "11"), ([1], "10")])
def test_a_switch_takes_the_case_of_the_register(prepared, expected):
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "c"))
    for qubit in prepared:
        circuit.x(qubit)
    circuit.measure([0, 1], [0, 1])
    with circuit.switch(circuit.cregs[0]) as case:
        with case(1):
            circuit.x(1)
        with case(2, 3):
            circuit.id(0)
        with case(case.DEFAULT):
            circuit.id(0)
    circuit.measure([0, 1], [0, 1])
    assert outcome(circuit) == expected


def test_classical_expressions_are_refused_with_what_to_do():
    from qiskit.circuit.classical import expr

    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    with circuit.if_test(expr.logic_or(*circuit.clbits)):
        circuit.x(0)
    with pytest.raises(SubmissionRefused, match="Compare a bit or a register with a number"):
        quil_program(circuit, [0], QVM)


def test_a_processor_refuses_control_flow():
    circuit = QuantumCircuit(2, 2)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with pytest.raises(SubmissionRefused, match=r"control flow \(if_else\)"):
        quil_program(circuit, (0, 1), QPU)
