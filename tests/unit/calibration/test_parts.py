from collections.abc import Iterator

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from calibration.parts import compile_parts
from calibration.template import leaves
from qcpaas import circuit_bytes
from qcpaas.circuits import circuit_key
from qcpaas.parts import has_parts, next_part, split, whole
from store.compiled import CompiledCache
from store.database import Store, open_store


@pytest.fixture(scope="module")
def target():
    return topology_target(read_snapshot("FakeKolkata"))


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def in_parts(num_qubits, seed, parts=3):
    """Random parts with shared parameters and expressions of them; some exchange qubits."""
    rng = np.random.default_rng(seed)
    angles = ParameterVector("angle", 3)
    circuit = QuantumCircuit(num_qubits, global_phase=0.3)
    for part in range(parts):
        piece = random_circuit(num_qubits, 2, max_operands=2, seed=100 * seed + part)
        circuit.compose(piece, inplace=True)
        for qubit in range(num_qubits):
            circuit.ry(angles[int(rng.integers(3))] * 2 - angles[part % 3], qubit)
        circuit.swap(0, num_qubits - 1)
        if part < parts - 1:
            next_part(circuit)
    return circuit


def probe(kind):
    """The same large beginning with another ending."""
    circuit = QuantumCircuit(5, 5)
    for qubit in range(5):
        circuit.ry(Parameter(f"a{qubit}"), qubit)
    for qubit in range(4):
        circuit.cx(qubit, qubit + 1)
    next_part(circuit)
    if kind == "x":
        circuit.h(range(5))
    elif kind == "far":
        circuit.rzz(0.3, 0, 4)
    circuit.measure(range(5), range(5))
    return circuit


def embedded(state, positions, width):
    tensor = np.zeros(2**width, complex)
    for index, amplitude in enumerate(state.data):
        place = sum((index >> q & 1) << positions[q] for q in range(state.num_qubits))
        tensor[place] = amplitude
    return tensor


@pytest.mark.parametrize("seed", range(5))
def test_joined_parts_do_what_the_whole_does(target, store, seed):
    circuit = in_parts(2 + seed, seed)
    rng = np.random.default_rng(seed)
    values = dict(zip(circuit.parameters, rng.uniform(0, 6, circuit.num_parameters), strict=True))
    wanted = Statevector(whole(circuit).assign_parameters(values))
    # Compiled, from memory, and read in another process's way: with parameters of their own.
    for cache in (CompiledCache(store), CompiledCache(store)):
        joined = compile_parts(circuit, target, "topology", cache)
        for template in joined.templates:
            width = template.circuit.num_qubits
            assert set(template.circuit.parameters) == set(circuit.parameters)
            found = Statevector.from_label("0" * width).evolve(
                template.circuit.assign_parameters(values)
            )
            expected = embedded(wanted, template.positions, width)
            assert abs(np.vdot(expected, found.data)) == pytest.approx(1.0, abs=1e-7)
            for operation, qubits, _ in leaves(template.circuit):
                place = tuple(template.home[qubit] for qubit in qubits)
                assert target.instruction_supported(operation.name, place)
    assert joined.compiled == 0


def test_only_what_changed_is_compiled(target, store):
    cache = CompiledCache(store)
    first = compile_parts(probe("z"), target, "topology", cache)
    assert (first.compiled, first.reused) == (2, 0)
    for kind in ("x", "far"):
        changed = compile_parts(probe(kind), target, "topology", cache)
        assert (changed.compiled, changed.reused) == (1, 1)
    again = compile_parts(probe("far"), target, "topology", CompiledCache(store))
    assert (again.compiled, again.reused) == (0, 2)
    other = compile_parts(probe("far"), target, "another topology", cache)
    assert other.compiled == 2


def test_measurements_resets_and_control_between_parts_keep_their_meaning(target, store):
    circuit = QuantumCircuit(4, 4)
    circuit.ry(1.0, 0)
    circuit.cx(0, 3)
    circuit.measure(0, 0)
    next_part(circuit)
    circuit.reset(0)  # not a fresh qubit: taken for one, the reset would be left out
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.cx(3, 1)
    circuit.cx(1, 2)
    next_part(circuit)
    circuit.rz(0.4, 2)
    circuit.measure([0, 2, 3], [1, 2, 3])
    joined = compile_parts(circuit, target, "topology", CompiledCache(store))
    # Qubit 0 reads 1 with sin²(1/2); then all follow it but qubit 0 itself, which was reset.
    share, shots = np.sin(0.5) ** 2, 20_000
    for template in joined.templates:
        assert not has_parts(template.circuit)
        counts = AerSimulator(seed_simulator=3).run(template.circuit, shots=shots).result()
        found = counts.get_counts()
        assert set(found) == {"0000", "1101"}
        spread = np.sqrt(share * (1 - share) / shots)
        assert found["1101"] / shots == pytest.approx(share, abs=5 * spread)


def test_qubits_that_the_first_part_leaves_alone_lie_near_the_others(target, store):
    circuit = QuantumCircuit(6)
    circuit.cx(0, 1)
    circuit.cx(2, 3)
    next_part(circuit)
    for qubit in range(5):
        circuit.cx(qubit, qubit + 1)
    joined = compile_parts(circuit, target, "topology", CompiledCache(store))
    # A swap is three gates: five qubits that lie five couplers off would cost 60 gates more.
    assert sum(joined.templates[0].interactions.values()) <= 25
    assert joined.templates[0].circuit.num_qubits <= 10


def test_marks_travel_with_the_circuit_and_count_in_its_key():
    circuit = in_parts(3, 1)
    again = circuit_bytes.from_bytes(circuit_bytes.to_bytes(circuit))
    assert circuit_key(again) == circuit_key(circuit) != circuit_key(whole(circuit))
    assert len(split(again)) == 3
    unlabelled = QuantumCircuit(2)
    unlabelled.barrier()
    assert not has_parts(unlabelled)


def test_parts_are_in_order_and_the_first_has_the_global_phase():
    parts = split(in_parts(3, 2))
    assert [part.global_phase for part in parts] == [0.3, 0, 0]
    joined = parts[0].compose(parts[1]).compose(parts[2])
    assert circuit_key(joined) == circuit_key(whole(in_parts(3, 2)))
