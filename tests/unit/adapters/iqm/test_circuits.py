"""What IQM's server would receive does what the Qiskit circuit does."""

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iqm.pulse.builder import CircuitOperation
from iqm.pulse.circuit_operations import get_unitary_from_circuit
from iqm.station_control.interface.models import (
    CircuitMeasurementCounts,
    DynamicQuantumArchitecture,
    StaticQuantumArchitecture,
)
from iqm.station_control.interface.models.jobs_new import JobData
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator, Statevector
from vendors.iqm_circuits import MOVE, as_qiskit, components_of
from vendors.iqm_circuits import keys_of as served_keys
from vendors.iqm_devices import CHIPS, dynamic_architecture, static_architecture
from vendors.service import counts_of

from adapters.iqm.architecture import Architecture
from adapters.iqm.circuits import ROTATIONS, TURNS, Writer, keys_of, write
from adapters.iqm.results import Layout, Shape, device_seconds, read_counts
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Binding, Experiment

EXACT = 1e-12
SHOTS = 4000


@pytest.fixture(scope="module")
def star():
    return architecture("deneb")


@pytest.fixture(scope="module")
def five():
    """Qubit 2 (QB3) in the middle of the others."""
    return architecture("adonis")


def architecture(alias):
    chip = CHIPS[alias]
    return Architecture.of(
        DynamicQuantumArchitecture.model_validate(dynamic_architecture(chip, 0)),
        StaticQuantumArchitecture.model_validate(static_architecture(chip)),
    )


def random_circuit(seed, num_qubits, couplings, steps=40):
    draw = np.random.default_rng(seed)
    names = [*ROTATIONS, *TURNS, "cz", "cz", "cz"]
    circuit = QuantumCircuit(num_qubits, name=f"random {seed}")
    for _ in range(steps):
        name = draw.choice(names)
        if name == "cz":
            circuit.cz(*draw.permutation(couplings[draw.integers(len(couplings))]).tolist())
            continue
        count = {"r": 2, "rx": 1, "ry": 1, "rz": 1, "p": 1, "u1": 1}.get(name, 0)
        angles = draw.uniform(-7, 7, count).tolist()
        qubit = int(draw.integers(num_qubits))
        if name == "u1":
            circuit.p(*angles, qubit)
        else:
            getattr(circuit, name)(*angles, qubit)
    return circuit


def at_points(circuit, points=((),), binding=None, shots=SHOTS):
    values = np.asarray(points, dtype=float).reshape(len(points), circuit.num_parameters)
    return Experiment(circuit, values, shots=shots, binding=binding)


def sent(experiment, device):
    """As the server receives them."""
    return [
        {
            "instructions": [
                {"name": op.name, "locus": list(op.locus), "args": op.args}
                for op in circuit.instructions
            ],
            "metadata": circuit.metadata,
        }
        for circuit in write(experiment, device, {"experiment": 0, "registers": [["c", 1]]})
    ]


def total_variation(found, expected):
    return sum(abs(found.get(k, 0) - expected.get(k, 0)) for k in found.keys() | expected) / 2


def shares(counts):
    total = sum(counts.values())
    return {key: value / total for key, value in counts.items()}


# --- gates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_the_vendors_own_unitary_of_what_is_sent_is_that_of_the_circuit(five, seed):
    circuit = random_circuit(seed, 5, [(0, 2), (1, 2), (3, 2), (4, 2)])
    writer = Writer(five, range(5), circuit, {})
    writer.write(circuit)
    operations = [CircuitOperation(s.name, s.locus, s.at(0)) for s in writer.steps]
    assert {op.name for op in operations} <= {"prx", "cz"}
    # Its matrices have the first qubit leftmost, Qiskit's the last.
    found = get_unitary_from_circuit(operations, qubit_names=list(five.qubits)[::-1])
    left = QuantumCircuit(5)
    for qubit, angle in writer.frames.items():
        left.rz(angle, qubit)
    overlap = np.trace(Operator(circuit).data.conj().T @ Operator(left).data @ found) / 2**5
    assert abs(abs(overlap) - 1) < EXACT


@pytest.mark.parametrize("seed", range(6))
def test_couplings_through_a_resonator_give_the_circuits_probabilities(star, seed):
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    circuit = random_circuit(seed, 4, pairs, steps=25)
    (received,) = sent(at_points(circuit), star)
    names = [*star.qubits[:4], "COMPR1"]
    moves = [s for s in received["instructions"] if s["name"] == "move"]
    couplings = circuit.count_ops().get("cz", 0)
    assert len(moves) % 2 == 0
    assert len(moves) <= 2 * couplings
    state = Statevector(as_qiskit(received, names))
    assert np.abs(MOVE @ MOVE.conj().T - np.eye(4)).max() < EXACT
    found = state.probabilities(range(4))
    assert state.probabilities([4])[1] < EXACT, "a state was left in the resonator"
    assert np.abs(found - Statevector(circuit).probabilities()).max() < EXACT


def test_couplings_of_one_moved_qubit_share_their_moves(star):
    circuit = QuantumCircuit(4)
    circuit.cz(3, 0)
    for other in (1, 2, 3):
        circuit.cz(0, other)
        circuit.rz(0.3, 0)  # turns only the frame
    (received,) = sent(at_points(circuit), star)
    names = [s["name"] for s in received["instructions"]]
    assert names == ["move", "cz", "cz", "cz", "cz", "move"]


def test_a_circuit_runs_on_the_qubits_that_it_is_bound_to(five):
    circuit = QuantumCircuit(2, 1)
    circuit.rx(0.4, 0)
    circuit.cz(0, 1)
    circuit.measure(1, 0)
    binding = Binding((4, 2), "", None, ())
    (received,) = sent(at_points(circuit, binding=binding), five)
    loci = [tuple(step["locus"]) for step in received["instructions"]]
    assert loci == [("QB5",), ("QB5", "QB3"), ("QB3",)]


# --- parameters ---------------------------------------------------------------------------------


def test_every_point_has_its_own_angles(five):
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(3)
    circuit.rx(a, 0)
    circuit.rz(2 * a - b + 0.2, 0)
    circuit.ry(a * b, 2)
    circuit.cz(0, 2)
    circuit.rz(b.sin(), 2)
    circuit.r(a, b, 2)
    circuit.rx(0.7, 0)
    circuit.ry(b, 1)
    points = np.random.default_rng(3).uniform(-4, 4, (7, 2))
    received = sent(at_points(circuit, points), five)
    assert [each["metadata"]["qcpaas"]["point"] for each in received] == list(range(7))
    for each, point in zip(received, points, strict=True):
        found = Statevector(as_qiskit(each, list(five.qubits[:3]))).probabilities()
        exact = Statevector(circuit.assign_parameters(point)).probabilities()
        assert np.abs(found - exact).max() < EXACT


# --- measurements and what they control ---------------------------------------------------------


def test_controlled_gates_give_the_circuits_distribution(five):
    angle = Parameter("angle")
    circuit = QuantumCircuit(
        QuantumRegister(3), ClassicalRegister(1, "m"), ClassicalRegister(2, "r")
    )
    circuit.ry(1.1, 2)
    circuit.rz(0.8, 0)
    circuit.ry(angle, 0)
    circuit.measure(2, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rz(1.3, 0)
        circuit.rx(angle + 0.5, 0)
    circuit.rx(0.9, 0)
    circuit.reset(2)
    circuit.cz(0, 2)
    circuit.measure([0, 2], [1, 2])
    points = [[0.4], [2.2]]
    received = sent(at_points(circuit, points), five)
    for each, point in zip(received, points, strict=True):
        names = [s["name"] for s in each["instructions"]]
        assert names.count("cc_prx") == 3
        keys = served_keys(each)
        order = [keys.index(key) for key in keys_of((("m", 1), ("r", 2)))]
        sampled = shares(counts_of(as_qiskit(each, list(five.qubits[:3])), SHOTS, seed=1))
        found = {"".join(key[::-1][i] for i in order)[::-1]: v for key, v in sampled.items()}
        exact = {}
        for outcome, first in (("0", np.cos(0.55) ** 2), ("1", np.sin(0.55) ** 2)):
            branch = QuantumCircuit(1)
            branch.rz(0.8, 0)
            branch.ry(point[0], 0)
            if outcome == "1":
                branch.rz(1.3, 0)
                branch.rx(point[0] + 0.5, 0)
            branch.rx(0.9, 0)
            for bit, share in Statevector(branch).probabilities_dict().items():
                exact[f"0{bit}{outcome}"] = first * share
        assert total_variation(found, exact) < 5 * np.sqrt(4 / SHOTS) / 2


def test_of_two_measurements_into_one_bit_the_later_one_counts(five):
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    circuit.measure(0, 0)
    (received,) = sent(at_points(circuit), five)
    keys = served_keys(received)
    assert len(set(keys)) == 2
    counts = counts_of(as_qiskit(received), 50, seed=1)
    by_key = {text[::-1]: number for text, number in counts.items()}
    measured = CircuitMeasurementCounts(measurement_keys=keys, counts=by_key)
    layout = Layout((Shape((("c", 1),), 1),), 50, fewer=False)
    (found,) = read_counts([measured], layout)
    assert found.points[0].to_dict() == {"0": 50.0}


# --- refusals -----------------------------------------------------------------------------------


def _uncoupled(circuit):
    circuit.cz(0, 1)


def _foreign(circuit):
    circuit.h(0)


def _otherwise(circuit):
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.y(1)


def _on_zero(circuit):
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.x(1)


def _unmeasured(circuit):
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)


def _coupled_in_branch(circuit):
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.cz(0, 2)


def _clocked(circuit):
    circuit.delay(100, 0, unit="dt")


@pytest.mark.parametrize(
    ("put", "told"),
    [
        (_uncoupled, "cz on QB1 and QB2"),
        (_foreign, "h on QB1"),
        (_otherwise, "else"),
        (_on_zero, "one bit is 1"),
        (_unmeasured, "nothing was measured"),
        (_coupled_in_branch, "cz inside"),
        (_clocked, "100 dt"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_what_the_device_cannot_do_is_refused_and_named(five, put, told):
    circuit = QuantumCircuit(3, 1, name="asked")
    put(circuit)
    with pytest.raises(SubmissionRefused, match=told) as caught:
        sent(at_points(circuit), five)
    assert "asked" in str(caught.value)


def test_a_star_without_feedback_refuses_resets_and_conditions(star):
    circuit = QuantumCircuit(1, 1)
    circuit.reset(0)
    with pytest.raises(SubmissionRefused, match="reset on QB1"):
        sent(at_points(circuit), star)


# --- counts -------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_counts_come_back_in_qiskits_order_whatever_the_servers(data):
    sizes = data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(sum))
    registers = tuple((f"reg_{n}", size) for n, size in enumerate(sizes))
    width = sum(sizes)
    measured = data.draw(st.lists(st.integers(0, width - 1), min_size=1, unique=True))
    outcomes = data.draw(
        st.dictionaries(
            st.tuples(*[st.booleans()] * len(measured)), st.integers(1, 9), min_size=1, max_size=8
        )
    )
    keys = [keys_of(registers)[clbit] for clbit in measured]
    counts = {"".join("01"[bit] for bit in outcome): n for outcome, n in outcomes.items()}
    answer = CircuitMeasurementCounts(measurement_keys=keys, counts=counts)
    shots = sum(outcomes.values())
    (found,) = read_counts([answer], Layout((Shape(registers, 1),), shots, fewer=False))
    expected = {}
    for outcome, n in outcomes.items():
        number = sum(bit << clbit for bit, clbit in zip(outcome, measured, strict=True))
        expected[f"{number:0{width}b}"] = float(n)
    assert found.points[0].to_dict() == expected
    assert found.registers == registers
    rows = [row.tobytes() for row in found.points[0].outcomes]
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    ("keys", "counts"),
    [
        (["c_2_0_0", "c_2_0_1"], {"00": 9}),
        (["c_2_0_0", "c_2_0_1"], {"00": 11}),
        (["c_2_0_0", "c_2_0_1"], {"00": 12, "01": -2}),
        (["c_2_0_0", "c_2_0_1"], {"0": 10}),
        (["c_2_0_0", "c_2_0_1"], {"02": 10}),
        (["c_2_0_0", "d_2_0_1"], {"00": 10}),
        (["c_2_0_0"], {}),
    ],
)
def test_counts_that_cannot_be_right_are_not_believed(keys, counts):
    answer = CircuitMeasurementCounts(measurement_keys=keys, counts=counts)
    layout = Layout((Shape((("c", 2),), 1),), 10, fewer=False)
    with pytest.raises(ValueError, match=r"."):
        read_counts([answer], layout)


def test_heralding_may_return_fewer_shots():
    answer = CircuitMeasurementCounts(measurement_keys=["c_1_0_0"], counts={"0": 3, "1": 4})
    (found,) = read_counts([answer], Layout((Shape((("c", 1),), 1),), 10, fewer=True))
    assert found.points[0].shots == 7


# --- architectures ------------------------------------------------------------------------------


def test_qubits_are_numbered_as_their_names_count(five):
    garnet = architecture("garnet")
    assert garnet.qubits == tuple(f"QB{n}" for n in range(1, 21))
    assert uuid.UUID(garnet.calibration_set_id)
    assert len(garnet.couplings) == 30
    assert components_of({"instructions": []}) == []
    assert five.coupling(2, 0).locus == ("QB1", "QB3")
    assert five.coupling(0, 1) is None


# --- what the server tells of a job -------------------------------------------------------------


def _job(*moments):
    return JobData.model_validate(
        {
            "id": str(uuid.uuid4()),
            "type": "circuit",
            "status": "completed",
            "timeline": [
                {"source": source, "status": status, "timestamp": f"2026-03-01T06:00:{second:02d}Z"}
                for source, status, second in moments
            ],
        }
    )


def test_the_time_on_the_instruments_counts_or_else_that_at_the_station():
    station = "iqm-station-control"
    at_station = [
        (station, "received", 2),
        (station, "completed", 9),
        ("iqm-server", "received", 0),
    ]
    executed = [(station, "execution_started", 4), (station, "execution_ended", 7)]
    assert device_seconds(_job(*at_station, *executed)) == 3.0
    assert device_seconds(_job(*at_station)) == 7.0
    assert device_seconds(_job()) == 0.0
    with pytest.raises(ValueError, match="the job ran from"):
        device_seconds(_job((station, "received", 9), (station, "completed", 2)))
