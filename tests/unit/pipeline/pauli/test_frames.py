"""Twirled circuits are the circuit, in the device's own gates, however frames pass through it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import PTM, Operator, Pauli, SuperOp

from pipeline.pauli.algebra import LETTERS
from pipeline.pauli.frames import PauliFrames

QUBITS = 3
PAIRS = [(0, 1), (1, 2), (2, 0)]
THETA, PHI = Parameter("theta"), Parameter("phi")
VALUES = {THETA: 0.7, PHI: -1.3}
ANGLES = st.one_of(st.floats(-4, 4), st.sampled_from([THETA, 2 * THETA + PHI, PHI]))
DEVICES = {
    "ecr": {"one": ("sx", "x", "rz"), "two": ("ecr",), "basis": ("ecr", "sx", "x", "rz")},
    "fractional": {
        "one": ("sx", "x", "rz", "rx"),
        "two": ("cz", "rzz"),
        "basis": ("cz", "rzz", "sx", "x", "rz", "rx", "id"),
    },
    "iqm": {"one": ("r",), "two": ("cz",), "basis": ("cz", "r")},
    "rigetti": {"one": ("rx", "rz"), "two": ("iswap",), "basis": ("rx", "rz", "iswap")},
    "any": {"one": ("h", "ry", "u", "t"), "two": ("cx", "swap", "cp"), "basis": ()},
}
COUNTS = {"rz": 1, "ry": 1, "r": 2, "rx": 1, "rzz": 1, "u": 3, "cp": 1}


@st.composite
def compiled(draw, device):
    gates = DEVICES[device]
    circuit = QuantumCircuit(QUBITS)
    for _ in range(draw(st.integers(0, 14))):
        name = draw(st.sampled_from((*gates["one"], *gates["one"], *gates["two"], "delay")))
        if name == "delay":
            circuit.delay(100, draw(st.integers(0, 2)), unit="ns")
            circuit.barrier()
            continue
        qubits = (
            draw(st.sampled_from(PAIRS)) if name in gates["two"] else (draw(st.integers(0, 2)),)
        )
        angles = [draw(ANGLES) for _ in range(COUNTS.get(name, 0))]
        getattr(circuit, name)(*angles, *qubits)
    return circuit


def unitary(circuit):
    bare = circuit.copy_empty_like()
    for step in circuit.data:
        if step.name not in {"delay", "barrier"}:
            bare.append(step)
    return Operator(bare.assign_parameters({p: VALUES[p] for p in bare.parameters}))


@pytest.mark.parametrize("device", DEVICES)
def test_a_twirled_circuit_does_the_same_in_the_devices_own_gates(device):
    @settings(max_examples=12)
    @given(compiled(device), st.integers(0, 99))
    def check(circuit, seed):
        basis = DEVICES[device]["basis"]
        frames = PauliFrames(circuit, basis)
        (twirl,) = frames.draw_twirls(1, np.random.default_rng(seed)).tolist()
        twirled = frames.build(frames.steps(twirl=twirl))
        assert twirled.parameters == circuit.parameters
        assert not basis or set(twirled.count_ops()) <= {*basis, "delay", "barrier"}
        assert unitary(twirled).equiv(unitary(circuit))
        assert frames.build(frames.steps()) == circuit

    check()


@pytest.mark.parametrize("device", DEVICES)
def test_inserted_paulis_act_where_they_are_inserted(device):
    @settings(max_examples=12)
    @given(compiled(device), st.integers(0, 999))
    def check(circuit, seed):
        rng = np.random.default_rng(seed)
        place, qubit = int(rng.integers(len(circuit.data) + 1)), int(rng.integers(QUBITS))
        code = int(rng.integers(1, 4))
        expected = circuit.copy_empty_like()
        for index, step in enumerate(circuit.data):
            if index == place:
                expected.append(Pauli(LETTERS[code]), [qubit])
            expected.append(step)
        if place == len(circuit.data):
            expected.append(Pauli(LETTERS[code]), [qubit])
        frames = PauliFrames(circuit, DEVICES[device]["basis"])
        used = {q for s in circuit.data if s.name not in {"barrier", "delay"} for q in s.qubits}
        if circuit.qubits[qubit] not in used:
            return
        for twirl in (None, frames.draw_twirls(1, rng)[0].tolist()):
            found = frames.build(frames.steps({place: [(qubit, code)]}, twirl))
            assert unitary(found).equiv(unitary(expected))

    check()


def test_pulses_take_up_changes_of_frame_so_that_a_twirl_adds_none():
    circuit = QuantumCircuit(2)
    for _ in range(3):
        for qubit in (0, 1):
            circuit.rz(0.4, qubit)
            circuit.sx(qubit)
            circuit.rz(THETA, qubit)
        circuit.cx(0, 1)
    circuit.sx([0, 1])
    frames = PauliFrames(circuit, ("cx", "rz", "sx", "x"))
    assert frames.changes == ()
    for twirl in frames.draw_twirls(20, np.random.default_rng(1)).tolist():
        counts = frames.build(frames.steps(twirl=twirl)).count_ops()
        assert (counts["cx"], counts["sx"], counts.get("x", 0)) == (3, 8, 0)


def test_pulses_that_decouple_are_left_alone():
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    for gate in (circuit.sx, circuit.sx):
        gate(0)
        circuit.delay(50, 0, unit="ns")
    circuit.cx(0, 1)
    frames = PauliFrames(circuit, ("cx", "rz", "sx", "x"))
    assert (4, 0) not in frames.changes  # index 4 is the second delay
    assert frames.changes == ((0, 0), (0, 1), (5, 0), (5, 1), (6, 0), (6, 1))


def test_every_gate_meets_every_frame_equally_often():
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    circuit.sx(0)
    circuit.cx(1, 0)
    frames = PauliFrames(circuit)
    twirls = frames.draw_twirls(4000, np.random.default_rng(3))
    assert twirls.shape == (4000, 4)
    for gate in (twirls[:, :2], twirls[:, 2:]):
        counts = np.bincount(gate[:, 0] + 4 * gate[:, 1], minlength=16)
        assert np.abs(counts - 250).max() < 5 * np.sqrt(250)


def test_frames_stop_at_what_they_cannot_pass():
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.rzz(0.3, 0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(1)
    circuit.reset(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    frames = PauliFrames(circuit, ("cx", "rzz", "rz", "sx", "x"))
    assert frames.untwirled == ("rzz",)
    x, z = 1, 2
    steps = frames.steps({1: [(0, x), (1, z)]}, [0] * frames.points)
    names = [step.name for step in steps]
    assert names == [
        *("cx", "x", "rz", "rzz", "measure", "if_else", "reset", "cx", "measure", "measure")
    ]
    read = frames.steps({2: [(0, z)]}, [0] * frames.points)
    assert len(read) == len(circuit.data)  # a measurement does not know of Z
    flipped = frames.steps({6: [(1, x)]}, [0] * frames.points)
    assert [step.name for step in flipped].count("x") == 1


def test_equal_choices_give_the_same_objects():
    circuit = QuantumCircuit(2)
    circuit.rz(THETA, 0)
    circuit.cx(0, 1)
    frames = PauliFrames(circuit, ("cx", "rz", "sx", "x"))
    first, second = (frames.steps({0: [(0, 1)]}, [1, 2]) for _ in range(2))
    assert list(map(id, first)) == list(map(id, second))


def test_errors_of_a_twirled_gate_become_pauli_errors():
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    coherent = QuantumCircuit(2)
    coherent.rx(0.3, 0)
    coherent.rzz(0.2, 0, 1)
    error = Operator(coherent)
    frames = PauliFrames(circuit)
    total = np.zeros((16, 16), dtype=complex)
    for first in range(4):
        for second in range(4):
            noisy = QuantumCircuit(2)
            for step in frames.steps(twirl=[first, second]):
                noisy.append(step)
                if step.name == "cx":
                    noisy.append(error, [0, 1])
            matrix = Operator(noisy).data @ Operator(circuit).adjoint().data
            total += np.kron(matrix.conj(), matrix) / 16
    transfer = PTM(SuperOp(total)).data.real
    assert np.allclose(transfer, np.diag(np.diag(transfer)))
    assert transfer.trace() / 16 == pytest.approx(np.cos(0.15) ** 2 * np.cos(0.1) ** 2, abs=1e-9)
