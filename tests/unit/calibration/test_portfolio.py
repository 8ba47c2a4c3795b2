import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator, Statevector

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from calibration.portfolio import (
    LONGEST,
    Portfolio,
    best_few,
    compile_portfolio,
    length,
    portfolio_key,
    route,
)
from calibration.template import leaves
from qcpaas.circuits import circuit_key
from qcpaas.errors import CircuitError

SEEDS = (11, 12, 13)


@pytest.fixture(scope="module")
def snapshot():
    return read_snapshot("FakeKolkata")


@pytest.fixture(scope="module")
def target(snapshot):
    return topology_target(snapshot)


def symbolic(num_qubits, seed):
    """A random circuit whose layers are joined by rotations with shared parameters."""
    angles = ParameterVector("angle", 3)
    circuit = QuantumCircuit(num_qubits, global_phase=0.4)
    for layer in range(2):
        circuit.compose(
            random_circuit(num_qubits, 2, max_operands=min(num_qubits, 3), seed=seed + layer),
            inplace=True,
        )
        for qubit in range(num_qubits):
            circuit.ry(angles[(qubit + layer) % 3] * (1 + layer), qubit)
    return circuit


def all_to_all(num_qubits):
    circuit = QuantumCircuit(num_qubits)
    for first in range(num_qubits):
        for second in range(first):
            circuit.rzz(Parameter(f"t{first:02d}{second:02d}"), first, second)
        circuit.rx(0.3, first)
    return circuit


def embedded(state, positions, width):
    """A state on the original qubits as a state on the compact ones, ancillas in 0."""
    tensor = np.zeros(2**width, complex)
    for index, amplitude in enumerate(state.data):
        place = sum((index >> q & 1) << positions[q] for q in range(state.num_qubits))
        tensor[place] = amplitude
    return tensor


def overlap(circuit, template, values):
    bound = template.circuit.assign_parameters(
        {p: values[p.name] for p in template.circuit.parameters}
    )
    original = circuit.assign_parameters({p: values[p.name] for p in circuit.parameters})
    width = template.circuit.num_qubits
    found = Statevector.from_label("0" * width).evolve(Operator(bound))
    return abs(np.vdot(embedded(Statevector(original), template.positions, width), found.data))


@pytest.mark.parametrize("seed", range(8))
def test_every_routing_does_what_the_circuit_does_and_stands_in_the_devices_gates(target, seed):
    circuit = symbolic(2 + seed % 5, 10 * seed)
    rng = np.random.default_rng(seed)
    values = {parameter.name: rng.uniform(0, 6) for parameter in circuit.parameters}
    for template in compile_portfolio(circuit, target, seeds=SEEDS).templates:
        assert template.circuit.num_qubits <= 8
        assert overlap(circuit, template, values) == pytest.approx(1.0, abs=1e-7)
        for operation, qubits, _ in leaves(template.circuit):
            place = tuple(template.home[qubit] for qubit in qubits)
            assert target.instruction_supported(operation.name, place)


def test_starting_from_every_basis_state_gives_the_unitary_of_the_circuit(target):
    circuit = symbolic(3, 77)
    values = {parameter.name: 0.3 + 0.2 * n for n, parameter in enumerate(circuit.parameters)}
    template = route(circuit, target, 11, (0, 1, 2)).template
    start = [template.home.index(qubit) for qubit in (0, 1, 2)]
    bound = template.circuit.assign_parameters(values)
    wanted = Operator(circuit.assign_parameters(values)).data
    phases = []
    for column in range(8):
        label = Statevector.from_int(column, 8)
        found = Statevector(embedded(label, start, template.circuit.num_qubits)).evolve(bound)
        expected = embedded(
            Statevector(wanted[:, column]), template.positions, template.circuit.num_qubits
        )
        phases.append(np.vdot(expected, found.data))
    assert np.abs(phases) == pytest.approx(np.ones(8), abs=1e-7)
    assert np.ptp(np.angle(np.array(phases) / phases[0])) < 1e-6


@pytest.mark.parametrize(
    ("device", "two_qubit"),
    [("FakeKolkata", {"cx"}), ("FakeTorino", {"cz"}), ("FakeFractional", {"cx", "rzz"})],
)
def test_each_device_gets_its_own_gates_and_parameters_stay_symbolic(device, two_qubit):
    circuit = all_to_all(4)
    portfolio = compile_portfolio(circuit, topology_target(read_snapshot(device)), seeds=SEEDS)
    for template in portfolio.templates:
        assert {gate for _, _, gate in template.interactions} <= two_qubit
        assert {p.name for p in template.circuit.parameters} == {p.name for p in circuit.parameters}
    if "rzz" in two_qubit:
        assert any("rzz" in template.circuit.count_ops() for template in portfolio.templates)


def test_errors_and_what_is_out_of_order_play_no_part(snapshot):
    rng = np.random.default_rng(3)
    values = snapshot.values.copy()
    for row, (quantity, _, _) in enumerate(snapshot.keys):
        if quantity == "gate_error":
            values[row] = rng.uniform(0, 1)
        elif quantity in {"t1_s", "t2_s", "gate_duration_s"}:
            values[row] *= rng.uniform(0.1, 5)
        elif quantity == "operational":
            values[row] = 0.0
    circuit = all_to_all(5)
    usual, other = (
        compile_portfolio(circuit, topology_target(each), seeds=SEEDS).templates
        for each in (snapshot, replace(snapshot, values=values))
    )
    assert [circuit_key(t.circuit) for t in usual] == [circuit_key(t.circuit) for t in other]
    assert [t.home for t in usual] == [t.home for t in other]


def test_the_routings_are_distinct_and_none_is_much_longer_than_the_best(target):
    templates = compile_portfolio(all_to_all(7), target, seeds=range(8)).templates
    lengths = [length(template)[0] for template in templates]
    assert 3 <= len(templates) <= 12
    assert lengths == sorted(lengths)
    assert lengths[-1] <= LONGEST * lengths[0]
    assert len({circuit_key(template.circuit) for template in templates}) == len(templates)
    assert best_few([*templates, *templates]) == templates


def test_the_same_routing_on_other_qubits_is_the_same(target):
    template = route(all_to_all(4), target, 11).template
    width = template.circuit.num_qubits
    turned = QuantumCircuit(width)
    turned.compose(template.circuit, [(qubit + 1) % width for qubit in range(width)], inplace=True)
    moved = replace(template, circuit=turned)
    assert moved.interactions != template.interactions
    assert best_few([template, moved]) == (template,)


def test_a_circuit_that_lies_on_the_device_is_compiled_once(target, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        "calibration.portfolio.route",
        lambda circuit, target, seed, **kinds: (
            seeds.append(seed) or route(circuit, target, seed, **kinds)
        ),
    )
    chain = QuantumCircuit(6)
    for qubit in range(5):
        chain.cx(qubit, qubit + 1)
    assert len(compile_portfolio(chain, target).templates) == 1
    assert len(seeds) == 1


def test_a_portfolio_survives_bytes(target):
    portfolio = replace(
        compile_portfolio(all_to_all(4), target, "key", "snapshot", SEEDS), note="a note"
    )
    again = Portfolio.from_bytes(portfolio.to_bytes())
    assert (again.key, again.snapshot_id, again.note) == ("key", "snapshot", "a note")
    assert [t.home for t in again.templates] == [t.home for t in portfolio.templates]
    assert [circuit_key(t.circuit) for t in again.templates] == [
        circuit_key(t.circuit) for t in portfolio.templates
    ]


def test_equal_circuits_with_other_parameter_objects_share_a_key():
    assert portfolio_key(all_to_all(3), "t") == portfolio_key(all_to_all(3), "t")


def test_the_key_changes_with_the_circuit_the_topology_and_the_compiler(monkeypatch):
    circuit, other = all_to_all(3), all_to_all(3)
    other.x(0)
    keys = [portfolio_key(circuit, "t"), portfolio_key(circuit, "u"), portfolio_key(other, "t")]
    keys.append(portfolio_key(circuit, "t", "more"))
    monkeypatch.setattr("qiskit.__version__", "9.9.9")
    keys.append(portfolio_key(circuit, "t"))
    assert len(set(keys)) == 5


def test_another_process_computes_the_same_key():
    program = (
        "from qiskit import QuantumCircuit\n"
        "from qiskit.circuit import Parameter\n"
        "from calibration.portfolio import portfolio_key\n"
        "c = QuantumCircuit(2); c.ry(Parameter('a'), 0); c.cx(0, 1)\n"
        "print(portfolio_key(c, 't'))"
    )
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == portfolio_key(circuit, "t")


def test_a_circuit_wider_than_the_device_is_refused_with_both_numbers(target):
    with pytest.raises(CircuitError, match="needs 28 qubits; the device has 27"):
        compile_portfolio(QuantumCircuit(28), target)


def test_what_cannot_be_translated_is_refused_with_the_reason(target):
    circuit = QuantumCircuit(2, 1)
    with circuit.box():
        circuit.cx(0, 1)
    with pytest.raises(CircuitError, match=r"cannot be compiled for this device.*'box'"):
        compile_portfolio(circuit, target)
