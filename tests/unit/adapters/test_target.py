import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Delay, Gate, IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.library import CCXGate, CXGate, RZGate, SXGate
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from adapters.fake_backends import read_snapshot
from adapters.target import (
    build_target,
    gate_error,
    readout_error,
    restrict,
    snapshot_of_target,
    topology_target,
)
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.snapshot import Provenance, Reading, Snapshot

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

VENDOR_CLASSES = {
    "FakeKolkata": "FakeKolkataV2",
    "FakeSherbrooke": "FakeSherbrooke",
    "FakeTorino": "FakeTorino",
    "FakeAthens": "FakeAthensV2",
}
CONTROL_FLOW = {"if_else", "for_loop", "while_loop", "switch_case", "break_loop", "continue_loop"}


def vendor_target(name):
    from qiskit_ibm_runtime import fake_provider

    return getattr(fake_provider, VENDOR_CLASSES[name])().target


def close(ours, theirs):
    if ours is None or theirs is None:
        return ours is theirs
    return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("name", VENDOR_CLASSES)
def test_the_target_has_the_values_of_the_vendors_own(name):
    ours, theirs = build_target(read_snapshot(name)), vendor_target(name)
    assert ours.num_qubits == theirs.num_qubits
    assert close(ours.dt, theirs.dt)
    gates = set(theirs.operation_names) - CONTROL_FLOW
    assert set(ours.operation_names) - CONTROL_FLOW == gates
    for gate in gates:
        assert set(ours[gate]) == set(theirs[gate]), gate
        for place, expected in theirs[gate].items():
            found = ours[gate][place]
            assert (found is None) == (expected is None), (gate, place)
            if expected is not None:
                assert close(found.error, expected.error), (gate, place)
                assert close(found.duration, expected.duration), (gate, place)
    for found, expected in zip(ours.qubit_properties, theirs.qubit_properties, strict=True):
        assert close(found.t1, expected.t1)
        assert close(found.t2, expected.t2)
        assert close(found.frequency, expected.frequency)


def altered(snapshot, *, without=(), extra=()):
    """The snapshot again, less the readings under some keys, and with others."""
    from datetime import UTC, datetime

    when = datetime(2026, 1, 1, tzinfo=UTC)
    readings = [
        Reading(Quantity(name), qubits, float(value), when, gate)
        for (name, gate, qubits), value in zip(snapshot.keys, snapshot.values, strict=True)
        if (name, gate, qubits) not in without
    ]
    return Snapshot.of(
        "altered",
        snapshot.num_qubits,
        [
            *readings,
            *(
                Reading(quantity, place, value, when, gate)
                for quantity, gate, place, value in extra
            ),
        ],
        when,
        snapshot.dt_s,
    )


def test_a_gate_without_an_error_counts_as_bad_where_its_siblings_have_one():
    whole = read_snapshot("FakeAthens")
    snapshot = altered(whole, without=[("gate_error", "cx", (0, 1))])
    assert build_target(snapshot)["cx"][(0, 1)].error == 1.0
    assert build_target(snapshot)["cx"][(1, 2)].error == gate_error(whole, "cx", (1, 2))
    assert build_target(snapshot)["reset"][(0,)].error is None  # no reset reports one


def test_what_is_not_operational_is_left_out_and_not_compiled_for():
    snapshot = altered(
        read_snapshot("FakeAthens"),
        extra=[(Quantity.OPERATIONAL, "", (0,), 0.0), (Quantity.OPERATIONAL, "cx", (1, 2), 0.0)],
    )
    target = build_target(snapshot)
    assert (1, 2) not in target["cx"]
    assert (2, 1) in target["cx"]
    for gate in ("cx", "sx", "measure", "delay", "reset"):
        assert all(0 not in place for place in target[gate])
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    placed = transpile(circuit, target=target, optimization_level=3, seed_transpiler=1)
    used = {placed.find_bit(q).index for i in placed.data for q in i.qubits}
    assert 0 not in used


def test_a_qubit_without_readout_errors_reads_at_random_where_others_have_them():
    snapshot = altered(
        read_snapshot("FakeAthens"),
        without=[("readout_p10", "", (3,)), ("readout_p01", "", (3,))],
    )
    assert readout_error(snapshot, 3) == (0.5, 0.5)
    assert readout_error(snapshot, 0) == pytest.approx((0.0022, 0.018))
    assert build_target(snapshot)["measure"][(3,)].error == 0.5


def test_readout_that_is_known_as_one_number_alone_counts_for_both_errors():
    whole = read_snapshot("FakeAthens")
    when = whole.taken_at
    snapshot = Snapshot.of("d", 2, [Reading(Quantity.READOUT_ERROR, (0,), 0.03, when)], when)
    assert readout_error(snapshot, 0) == (0.03, 0.03)
    assert readout_error(snapshot, 1) == (0.5, 0.5)
    assert build_target(snapshot)["measure"][(0,)].error == 0.03


def told(target):
    """Everything that a target says, less its control flow."""
    gates = {
        name: {
            place: (None, None) if known is None else (known.duration, known.error)
            for place, known in target[name].items()
        }
        for name in target.operation_names
        if not isinstance(target.operation_from_name(name), type)
    }
    operations = {name: (target.operation_from_name(name).num_qubits) for name in gates}
    qubits = [
        (known.t1, known.t2, known.frequency)
        for known in target.qubit_properties or [QubitProperties()] * target.num_qubits
    ]
    return target.num_qubits, target.dt, operations, gates, qubits


@pytest.mark.parametrize("name", [*VENDOR_CLASSES, "FakeNairobi"])
def test_a_vendors_target_comes_back_from_its_snapshot(name):
    from qiskit_ibm_runtime import fake_provider

    target = getattr(fake_provider, VENDOR_CLASSES.get(name, f"{name}V2"))().target
    snapshot = snapshot_of_target(target, name, NOON, "test")
    assert told(build_target(snapshot)) == told(target)
    assert {reading.measured_at for reading in snapshot.readings()} == {NOON}
    assert snapshot.provenance == (Provenance("test", "target"),)


def test_a_target_holds_what_a_snapshot_says_of_it():
    target = build_target(read_snapshot("FakeKolkata"))
    again = snapshot_of_target(target, "FakeKolkata", NOON, "test")
    original = read_snapshot("FakeKolkata")
    kept = {
        Quantity.T1_S,
        Quantity.T2_S,
        Quantity.FREQUENCY_HZ,
        Quantity.READOUT_DURATION_S,
        Quantity.GATE_ERROR,
        Quantity.GATE_DURATION_S,
    }
    for (name, gate, qubits), value in zip(original.keys, original.values, strict=True):
        if name in kept:
            assert again.get(Quantity(name), *qubits, gate=gate) == value
    np.testing.assert_array_equal(again.readout_per_qubit(), original.readout_per_qubit())


probabilities = st.none() | st.floats(0, 1)
durations = st.none() | st.floats(0, 1e-3)
properties = st.none() | st.builds(InstructionProperties, durations, probabilities)
qubit_properties = st.builds(
    QubitProperties,
    t1=st.none() | st.floats(1e-9, 1),
    t2=st.none() | st.floats(1e-9, 1),
    frequency=st.none() | st.floats(1e6, 1e11),
)


@st.composite
def targets(draw):
    """With gates in some places, dead qubits, and instructions of which nothing is known."""
    n = draw(st.integers(1, 4))
    target = Target(
        num_qubits=n,
        dt=draw(st.none() | st.floats(1e-12, 1e-6)),
        qubit_properties=draw(st.lists(qubit_properties, min_size=n, max_size=n)),
    )
    alive = draw(st.sets(st.integers(0, n - 1), min_size=1))
    ones = st.dictionaries(st.sampled_from([(q,) for q in sorted(alive)]), properties, min_size=1)
    for gate in (SXGate(), RZGate(Parameter("angle")), Reset(), Gate("own", 1, [])):
        target.add_instruction(gate, draw(ones))
    pairs = [(a, b) for a in sorted(alive) for b in sorted(alive) if a != b]
    if pairs:
        some = st.dictionaries(st.sampled_from(pairs), properties, min_size=1)
        target.add_instruction(CXGate(), draw(some))
    target.add_instruction(Measure(), draw(ones))
    target.add_instruction(Delay(Parameter("t")), dict.fromkeys([(q,) for q in sorted(alive)]))
    return target


@given(targets())
def test_any_target_comes_back_from_its_snapshot(target):
    again = build_target(snapshot_of_target(target, "device", NOON, "test"))
    num_qubits, dt, operations, gates, qubits = told(target)
    for places in gates.values():
        if any(error is not None for _, error in places.values()):
            # A place without an error counts as bad where its siblings have one.
            for place, (duration, error) in places.items():
                places[place] = (duration, 1.0 if error is None else error)
    if any(error is not None for _, error in target_measure(target).values()):
        measure = target_measure(target)
        gates["measure"] = {p: (d, 0.5 if e is None else e) for p, (d, e) in measure.items()}
    used = {q for places in gates.values() for place in places for q in place}
    gates["delay"] = {place: known for place, known in gates["delay"].items() if place[0] in used}
    assert told(again) == (num_qubits, dt, operations, gates, qubits)


def target_measure(target):
    return told(target)[3]["measure"]


def test_what_a_target_has_everywhere_every_qubit_has():
    target = Target(num_qubits=3)
    target.add_instruction(SXGate())
    target.add_instruction(CXGate())
    target.add_instruction(IfElseOp, name="if_else")
    snapshot = snapshot_of_target(target, "device", NOON, "test")
    assert snapshot.gates["sx"] == ((0,), (1,), (2,))
    assert snapshot.gates["cx"] == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert all(snapshot.is_operational(qubit) for qubit in range(3))


def test_a_target_without_a_number_of_qubits_is_refused():
    target = Target()
    target.add_instruction(SXGate())
    with pytest.raises(CalibrationError, match="no number of qubits"):
        snapshot_of_target(target, "device", NOON, "test")


def test_a_gate_on_any_three_of_many_qubits_is_refused():
    target = Target(num_qubits=127)
    target.add_instruction(CCXGate())
    with pytest.raises(CalibrationError, match="'ccx' on any 3 of its 127"):
        snapshot_of_target(target, "device", NOON, "test")


def test_circuits_with_control_flow_compile():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.h(1)
    circuit.measure(1, 1)
    target = build_target(read_snapshot("FakeAthens"))
    assert "if_else" in transpile(circuit, target=target, optimization_level=1).count_ops()


def test_loops_that_end_early_compile():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(3)):
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.break_loop()
    snapshot = read_snapshot("FakeAthens")
    for target in (build_target(snapshot), topology_target(snapshot)):
        assert "for_loop" in transpile(circuit, target=target, optimization_level=3).count_ops()
    assert "break_loop" not in build_target(snapshot, control_flow=("if_else",)).operation_names


def test_a_topologys_target_has_every_gate_where_it_acts_and_one_error_for_its_kind():
    snapshot = read_snapshot("FakeKolkata")
    working, ideal = build_target(snapshot), topology_target(snapshot)
    assert set(ideal.operation_names) == set(working.operation_names)
    for gate in set(ideal.operation_names) - CONTROL_FLOW:
        assert set(ideal[gate]) == set(working[gate])
        (kind,) = {(known.error, known.duration) for known in ideal[gate].values()}
        assert kind == ({"rz": 0.0, "id": 0.0, "cx": 1e-2}.get(gate, 3e-4), None)
    lost = [*snapshot.readings(), Reading(Quantity.OPERATIONAL, (4,), 0.0, NOON)]
    lost = [r for r in lost if not (r.quantity is Quantity.OPERATIONAL and r.value)]
    faulty = Snapshot.of("FakeKolkata", 27, lost, NOON)
    assert (4,) not in build_target(faulty)["sx"]
    assert set(topology_target(faulty)["sx"]) == set(ideal["sx"])


def test_pairs_can_be_left_out_of_a_restricted_target():
    part = restrict(read_snapshot("FakeKolkata"), (7, 4, 1), without=[(4, 1)])
    assert set(part["cx"]) == {(0, 1), (1, 0)}


def test_a_restricted_target_renumbers_the_chosen_qubits():
    snapshot = read_snapshot("FakeKolkata")
    whole, part = build_target(snapshot), restrict(snapshot, (7, 4, 1))
    assert part.num_qubits == 3
    assert set(part["cx"]) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert part["cx"][(0, 1)].error == whole["cx"][(7, 4)].error
    assert part["sx"][(2,)].duration == whole["sx"][(1,)].duration
    assert part.qubit_properties[0].t1 == whole.qubit_properties[7].t1
    assert set(part.operation_names) == set(whole.operation_names)
