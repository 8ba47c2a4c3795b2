import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.quantum_info import Operator

from pipeline.extrapolation.folding import fold
from qcpaas.errors import MitigationError

QUBITS = 3
PAIRS = [(0, 1), (1, 2), (2, 0)]
THETA, PHI = Parameter("theta"), Parameter("phi")
VALUES = {THETA: 0.7, PHI: -1.3}
ANGLES = st.one_of(st.floats(-4, 4), st.sampled_from([THETA, 2 * THETA + PHI, PHI]))
ONE_QUBIT = ("sx", "x", "rz", "r")
TWO_QUBIT = ("cx", "ecr", "cz", "rzz")


@st.composite
def steps(draw):
    name = draw(st.sampled_from(ONE_QUBIT + TWO_QUBIT))
    angles = [draw(ANGLES) for _ in range({"rz": 1, "r": 2, "rzz": 1}.get(name, 0))]
    qubits = draw(st.sampled_from(PAIRS)) if name in TWO_QUBIT else (draw(st.integers(0, 2)),)
    return name, angles, qubits


def circuit_of(chosen):
    circuit = QuantumCircuit(QUBITS)
    for name, angles, qubits in chosen:
        getattr(circuit, name)(*angles, *qubits)
    return circuit


def unitary(circuit):
    return Operator(
        circuit.assign_parameters({p: VALUES[p] for p in circuit.parameters}, inplace=False)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(steps(), max_size=14),
    st.floats(1, 7),
    st.sampled_from(["two_qubit", "all"]),
    st.sampled_from(["gates", "layers"]),
)
def test_a_folded_circuit_is_the_same_unitary_with_the_same_parameters(
    chosen, scale, gates, folding
):
    circuit = circuit_of(chosen)
    folded, _ = fold(circuit, scale, gates, folding)
    assert folded.parameters == circuit.parameters
    assert unitary(folded).equiv(unitary(circuit), atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps(), min_size=1, max_size=14), st.floats(1, 7))
def test_the_reached_scale_is_the_ratio_of_two_qubit_gates(chosen, scale):
    circuit = circuit_of(chosen)
    folded, reached = fold(circuit, scale)
    before, after = circuit.num_nonlocal_gates(), folded.num_nonlocal_gates()
    if before == 0:
        assert (reached, after) == (1.0, 0)
        return
    assert reached == pytest.approx(after / before)
    assert abs(reached - scale) <= 1 / before + 1e-9  # folds come in pairs of gates


def test_an_odd_scale_folds_every_gate_alike():
    circuit = circuit_of([("cx", [], (0, 1)), ("sx", [], (0,)), ("ecr", [], (1, 2))])
    folded, reached = fold(circuit, 5)
    assert reached == 5.0
    assert dict(folded.count_ops()) == {"cx": 5, "sx": 1, "ecr": 5}


def test_a_partial_fold_is_spread_evenly_over_the_circuit():
    circuit = QuantumCircuit(2)
    for _ in range(8):
        circuit.cx(0, 1)
        circuit.barrier()
    folded, reached = fold(circuit, 2)
    runs, current = [], 0
    for step in folded.data:
        if step.name == "barrier":
            runs.append(current)
            current = 0
        else:
            current += 1
    assert reached == 2.0
    assert runs == [1, 3] * 4


def test_folding_all_gates_amplifies_physical_gates_and_no_changes_of_frame():
    circuit = QuantumCircuit(1)
    for _ in range(4):
        circuit.rz(0.3, 0)
        circuit.sx(0)
    folded, reached = fold(circuit, 3, "all")
    assert reached == 3.0
    assert folded.count_ops()["sx"] == 12


def test_half_of_the_physical_gates_are_folded_at_scale_two():
    circuit = QuantumCircuit(1)
    for _ in range(4):
        circuit.rz(0.3, 0)
        circuit.sx(0)
    folded, reached = fold(circuit, 2, "all")
    assert (reached, folded.count_ops()["sx"]) == (2.0, 8)


def test_the_inverse_stays_in_the_devices_gates():
    circuit = circuit_of([("sx", [], (0,)), ("x", [], (1,)), ("rz", [THETA], (0,))])
    folded, _ = fold(circuit, 3, "all")
    assert set(folded.count_ops()) == {"sx", "x", "rz"}


def test_measurements_resets_and_delays_are_left_as_they_are():
    circuit = QuantumCircuit(2, 2)
    circuit.reset(0)
    circuit.cx(0, 1)
    circuit.delay(100, 0, "ns")
    circuit.measure([0, 1], [1, 0])
    folded, _ = fold(circuit, 3, "all")
    assert dict(folded.count_ops()) == {"reset": 1, "cx": 3, "delay": 1, "measure": 2}
    measured = [
        (folded.find_bit(s.qubits[0]).index, folded.find_bit(s.clbits[0]).index)
        for s in folded.data
        if s.name == "measure"
    ]
    assert measured == [(0, 1), (1, 0)]


def test_the_given_circuit_is_not_changed():
    circuit = circuit_of([("cx", [], (0, 1))])
    fold(circuit, 3)
    assert len(circuit.data) == 1


@pytest.mark.parametrize("name", ["mystery", "initialize", "if_else"])
def test_an_instruction_without_an_inverse_is_refused_by_name(name):
    circuit = QuantumCircuit(2, 1)
    if name == "mystery":
        circuit.append(Gate("mystery", 2, []), [0, 1])
    elif name == "initialize":
        circuit.initialize(np.array([1, 0]), 0)
    else:
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], True)):
            circuit.x(1)
    with pytest.raises(MitigationError, match=name):
        fold(circuit, 3)


def test_an_inverse_outside_the_devices_gates_is_refused():
    circuit = QuantumCircuit(2)
    circuit.iswap(0, 1)
    with pytest.raises(MitigationError, match="iswap"):
        fold(circuit, 3)


def test_a_scale_below_one_is_refused():
    with pytest.raises(MitigationError, match="below 1"):
        fold(QuantumCircuit(1), 0.5)


def test_the_gates_of_a_layer_are_folded_together():
    circuit = QuantumCircuit(4)
    for _ in range(4):
        circuit.cx(0, 1)
        circuit.cz(2, 3)
        circuit.ecr(1, 2)
        circuit.barrier()
    folded, reached = fold(circuit, 2, folding="layers")
    runs, current = [], {"cx": 0, "cz": 0, "ecr": 0}
    for step in folded.data:
        if step.name == "barrier":
            runs.append(current)
            current = {"cx": 0, "cz": 0, "ecr": 0}
        else:
            current[step.name] += 1
    assert reached == pytest.approx(folded.num_nonlocal_gates() / 12)
    assert abs(reached - 2) <= 2 / 12
    assert all(run["cx"] == run["cz"] for run in runs)


def test_an_instruction_that_cannot_be_folded_is_named_with_its_place():
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.append(Gate("own", 2, []), [2, 1])
    with pytest.raises(MitigationError, match=r"'own' on qubits 2, 1 .*number 2 of 2"):
        fold(circuit, 1.0)
