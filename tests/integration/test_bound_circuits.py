"""Random circuits through compilation, binding and turning, on devices of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import rustworkx as rx
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector, random_pauli_list
from qiskit_aer import AerSimulator

from adapters.backend import DeviceBackend
from adapters.fake_backends import read_snapshot
from adapters.target import build_target, topology_target
from adapters.twins import TwinAdapter
from calibration.binding import Binder, bind_experiment, readout_errors
from calibration.portfolio import compile_portfolio
from pipeline.measuring.measurement import MeasurementBasis
from pipeline.readout.mitigation import ReadoutMitigation
from qcpaas.calibration import Quantity
from qcpaas.execution import Experiment

SMALL = ("FakeAthens", "FakeFractional")  # CX; CX with fractional rx and rzz
LARGE = ("FakeKolkata", "FakeSherbrooke", "FakeBrisbane", "FakeTorino", "FakeFez")
ONE_WAY = ("FakeKolkata", "FakeFractional")  # of whose couplers one direction is taken away
GATES = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if isinstance(gate, Gate) and name != "global_phase"
}
SHARED = tuple(map(Parameter, ("b", "a", "theta", "z")))


@dataclass(frozen=True, eq=False)
class Device:
    snapshot: object
    binder: Binder = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "binder", Binder((*self.snapshot.gates, "measure", "delay")))

    def bound(self, experiment, rng):
        """At a random place and at the best one under drifted errors, for every routing."""
        target = topology_target(self.snapshot)
        portfolio = compile_portfolio(experiment.circuit, target, seeds=(1, 2))
        for index in range(len(portfolio.templates)):
            alone = replace(portfolio, templates=portfolio.templates[index : index + 1])
            place = random_place(alone.templates[0], self.snapshot, rng)
            for bound in (
                self.binder.bind(alone, self.snapshot, incumbent=place, min_gain=np.inf),
                self.binder.bind(alone, drifted(self.snapshot, rng)),
            ):
                assert_in_isa(bound, self.snapshot)
                yield bind_experiment(experiment, bound), bound


def one_way(snapshot):
    """Each coupler keeps one direction: whichever its numbers' sum says."""
    rows = [
        row
        for row, (_, gate, qubits) in enumerate(snapshot.keys)
        if not (gate and len(qubits) == 2 and (qubits[0] < qubits[1]) == sum(qubits) % 2)
    ]
    readings = snapshot.readings()
    return type(snapshot).of(
        f"{snapshot.device} one way",
        snapshot.num_qubits,
        [readings[row] for row in rows],
        snapshot.taken_at,
        snapshot.dt_s,
    )


def drifted(snapshot, rng, sigma=0.7):
    """Errors of gates and readout multiplied by random factors."""
    names = {Quantity.GATE_ERROR, Quantity.READOUT_P01, Quantity.READOUT_P10}
    factors = [rng.lognormal(0, sigma) if key[0] in names else 1.0 for key in snapshot.keys]
    values = snapshot.values * factors
    errors = np.array([key[0] in names for key in snapshot.keys])
    return replace(snapshot, values=np.where(errors, np.minimum(values, 0.9), values))


def random_place(template, snapshot, rng):
    """A random valid placement; the routed one where none is found soon."""
    labels = rng.permutation(snapshot.num_qubits)
    device = coupled(
        snapshot.num_qubits,
        ((labels[pair[0]], labels[pair[1]], gate) for gate, pair in two_qubit_gates(snapshot)),
    )
    wanted = coupled(len(template.home), template.interactions)
    found = rx.graph_vf2_mapping(
        device,
        wanted,
        edge_matcher=set.issuperset,
        subgraph=True,
        induced=False,
        id_order=True,
        call_limit=20_000,
    )
    mapping = next(iter(found), None)
    if mapping is None:
        return template.home
    physical = {int(label): qubit for qubit, label in enumerate(labels)}
    place = {compact: physical[label] for label, compact in mapping.items()}
    return tuple(place[compact] for compact in range(len(place)))


def two_qubit_gates(snapshot):
    return ((gate, pair) for gate, pairs in snapshot.gates.items() for pair in pairs if pair[1:])


def coupled(size, gates):
    """A graph whose edges carry the names of their gates."""
    names = {}
    for first, second, gate in gates:
        names.setdefault((min(first, second), max(first, second)), set()).add(gate)
    graph = rx.PyGraph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from([(int(first), int(second), at) for (first, second), at in names.items()])
    return graph


def assert_in_isa(bound, snapshot):
    target = build_target(snapshot)
    physical = bound.binding.physical_qubits
    assert len(set(physical)) == len(physical) == bound.circuit.num_qubits

    def walk(circuit, qubits):
        number = dict(zip(circuit.qubits, qubits, strict=True))
        for step in circuit.data:
            place = tuple(number[qubit] for qubit in step.qubits)
            if step.is_control_flow():
                for block in step.operation.blocks:
                    walk(block, place)
            elif step.name not in {"barrier", "break_loop", "continue_loop"}:
                assert target.instruction_supported(step.name, place), (step.name, place)

    walk(bound.circuit, physical)


@pytest.fixture(scope="module", params=(*SMALL, *LARGE, *(f"{name} one way" for name in ONE_WAY)))
def device(request):
    name, _, way = request.param.partition(" ")
    snapshot = read_snapshot(name)
    return Device(one_way(snapshot) if way else snapshot)


def random_angle(rng):
    constant = rng.choice((0.0, np.pi / 2, -np.pi, 0.3, -2.1))
    first, second = rng.choice(SHARED, 2)
    return rng.choice((constant, first, 2 * first - constant, first * second, first.sin()))


def random_unitary(rng, width, gates):
    """Any of Qiskit's standard gates, with numbers, shared parameters and expressions of them."""
    circuit = QuantumCircuit(width, global_phase=random_angle(rng))
    fitting = sorted(name for name, gate in GATES.items() if gate.num_qubits <= width)
    for _ in range(gates):
        gate = GATES[rng.choice(fitting)]
        filled = gate.base_class(*[random_angle(rng) for _ in gate.params])
        circuit.append(filled, rng.permutation(width)[: gate.num_qubits].tolist())
        if rng.random() < 0.1:
            circuit.barrier()
    return circuit


def state_of(circuit, row):
    return Statevector.from_label("0" * circuit.num_qubits).evolve(circuit.assign_parameters(row))


def embedded(state, positions, width):
    """A state of some qubits among more, the others in zero."""
    amplitudes = np.zeros(2**width, complex)
    for index, amplitude in enumerate(state.data):
        place = sum(1 << at for qubit, at in enumerate(positions) if index >> qubit & 1)
        amplitudes[place] = amplitude
    return amplitudes


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_a_bound_circuit_makes_the_originals_state_and_expectation_values(device, width):
    if width > device.snapshot.num_qubits:
        pytest.skip("the device is smaller")
    check_state(device, width, np.random.default_rng([width, *device.snapshot.device.encode()]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_many_bound_circuits_make_the_originals_states(device, seed):
    width = 1 + seed % min(6, device.snapshot.num_qubits)
    check_state(device, width, np.random.default_rng([seed, *device.snapshot.device.encode()]))


def check_state(device, width, rng):
    circuit = random_unitary(rng, width, gates=2 * width + 2)
    observables = tuple(
        SparsePauliOp(random_pauli_list(width, 3, seed=rng, phase=False), rng.normal(size=3))
        for _ in range(2)
    )
    row = rng.uniform(-3, 3, (1, circuit.num_parameters))
    original = state_of(circuit, row[0])
    values = [original.expectation_value(observable).real for observable in observables]
    for moved, bound in device.bound(Experiment(circuit, row, observables), rng):
        state = state_of(moved.circuit, moved.parameter_values[0])
        expected = embedded(original, bound.template.positions, moved.circuit.num_qubits)
        np.testing.assert_allclose(state.data, expected, atol=1e-7)
        found = [state.expectation_value(observable).real for observable in moved.observables]
        assert found == pytest.approx(values, abs=1e-7)


def random_gates(circuit, rng, qubits, number):
    names = ("h", "sx", "t", "cx", "cz", "ecr", "swap", "rx", "rzz")
    for name in rng.choice(names, number):
        gate = GATES[name].base_class(*[rng.uniform(-3, 3) for _ in GATES[name].params])
        if gate.num_qubits <= len(qubits):
            circuit.append(gate, rng.permutation(qubits)[: gate.num_qubits].tolist())


def random_dynamic(rng, width):
    """Measurement in mid-circuit, resets, delays, branches and loops; outcomes read all over."""
    circuit = QuantumCircuit(
        QuantumRegister(width - 1, "a"),
        QuantumRegister(1, "b"),
        ClassicalRegister(2, "x"),
        ClassicalRegister(width, "y"),
    )
    qubits = list(range(width))
    for kind in rng.permutation(["measure", "reset", "branch", "loop", "register", "delay"]):
        random_gates(circuit, rng, qubits, 3)
        qubit, clbit = rng.integers(width), rng.integers(2)
        if kind in ("measure", "branch", "register"):
            circuit.measure(qubit, clbit)
        if kind == "reset":
            circuit.reset(qubit)
        elif kind == "delay":
            circuit.delay(160, qubit, "dt")
        elif kind == "loop":
            with circuit.for_loop(range(2)):
                random_gates(circuit, rng, qubits, 2)
                circuit.rx(SHARED[0] + 0.3, qubit)
        elif kind == "register":
            with circuit.if_test((circuit.cregs[0], int(rng.integers(4)))):
                random_gates(circuit, rng, qubits, 2)
        elif kind == "branch":
            with circuit.if_test((circuit.clbits[clbit], 1)) as otherwise:
                random_gates(circuit, rng, qubits, 2)
            with otherwise:
                circuit.ry(SHARED[2] * SHARED[0], qubit)
                random_gates(circuit, rng, qubits, 2)
    for qubit, clbit in zip(rng.permutation(width)[1:], rng.permutation(width)[1:], strict=True):
        circuit.measure(qubit, circuit.cregs[1][int(clbit)])
    return circuit


def outcomes_of(circuit):
    """Exact distribution of a circuit's clbits, followed through all its branches."""
    start = np.zeros((2,) * circuit.num_qubits, complex)
    start[(0,) * circuit.num_qubits] = 1
    places = dict(zip((*circuit.qubits, *circuit.clbits), positions_of(circuit), strict=True))
    ended = {}
    for state, bits in followed(circuit, [(start, (0,) * circuit.num_clbits)], places):
        ended[bits] = ended.get(bits, 0.0) + float(np.linalg.norm(state) ** 2)
    return {bits: weight for bits, weight in ended.items() if weight > 1e-12}


def positions_of(circuit):
    return (*range(circuit.num_qubits), *range(circuit.num_clbits))


def followed(circuit, branches, places):
    """Branches (unnormalised state, clbits) after a circuit, or a block of one.

    Axis ``q`` of a state is qubit ``q`` of the whole circuit; ``places`` numbers the bits there.
    """
    for step in circuit.data:
        after = (each for branch in branches for each in followed_step(step, branch, places))
        branches = [(state, bits) for state, bits in after if np.abs(state).max() > 1e-9]
    return branches


def followed_step(step, branch, places):
    state, bits = branch
    qubits = [places[qubit] for qubit in step.qubits]
    if step.name in {"barrier", "delay"}:
        return [branch]
    if step.name in {"measure", "reset"}:
        return read(branch, qubits[0], *[places[clbit] for clbit in step.clbits])
    if step.name == "if_else":
        blocks = [block for block in step.operation.blocks if block is not None]
        holds = is_true(step.operation.condition, bits, places)
        taken = blocks[0:1] if holds else blocks[1:2]
    elif step.name == "for_loop":
        indices, _, block = step.operation.params
        taken = [block for _ in indices]
    else:
        return [(applied(step.operation, state, qubits), bits)]
    branches = [branch]
    for block in taken:
        outer = [places[bit] for bit in (*step.qubits, *step.clbits)]
        inner = dict(zip((*block.qubits, *block.clbits), outer, strict=True))
        branches = followed(block, branches, {**places, **inner})
    return branches


def is_true(condition, bits, places):
    where, wanted = condition
    read_bits = list(where) if isinstance(where, ClassicalRegister) else [where]
    return sum(bits[places[bit]] << shift for shift, bit in enumerate(read_bits)) == wanted


def read(branch, qubit, clbit=None):
    """Both outcomes; without a clbit the qubit is then put to zero."""
    state, bits = branch
    for outcome in (0, 1):
        after = np.zeros_like(state)
        index = [slice(None)] * state.ndim
        index[qubit] = 0 if clbit is None else outcome
        after[tuple(index)] = np.take(state, outcome, axis=qubit)
        yield after, bits if clbit is None else (*bits[:clbit], outcome, *bits[clbit + 1 :])


def applied(gate, state, qubits):
    """A gate on some axes of a state; Qiskit's first qubit is the lowest bit of its matrix."""
    k = len(qubits)
    matrix = Operator(gate).data.reshape((2,) * (2 * k))
    axes = qubits[::-1]
    return np.moveaxis(np.tensordot(matrix, state, axes=(range(k, 2 * k), axes)), range(k), axes)


@pytest.mark.parametrize("width", [2, 4])
def test_classical_bits_keep_their_meaning_through_branches_loops_and_resets(device, width):
    check_outcomes(device, width, np.random.default_rng([width, *device.snapshot.device.encode()]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_many_bound_circuits_have_the_originals_outcomes(device, seed):
    rng = np.random.default_rng([seed, *device.snapshot.device.encode()])
    check_outcomes(device, 2 + seed % 3, rng)


def check_outcomes(device, width, rng):
    circuit = random_dynamic(rng, width)
    row = rng.uniform(-3, 3, (1, circuit.num_parameters))
    expected = outcomes_of(circuit.assign_parameters(row[0]))
    assert sum(expected.values()) == pytest.approx(1)
    for moved, _ in device.bound(Experiment(circuit, row), rng):
        assert [(r.name, r.size) for r in moved.circuit.cregs] == [("x", 2), ("y", width)]
        found = outcomes_of(moved.circuit.assign_parameters(moved.parameter_values[0]))
        assert found == pytest.approx(expected, abs=1e-7)


def test_counts_of_the_isa_circuit_are_the_originals(device):
    rng = np.random.default_rng([3, *device.snapshot.device.encode()])
    circuit = random_dynamic(rng, 3)
    circuit = circuit.assign_parameters(rng.uniform(-3, 3, circuit.num_parameters))
    shots = 4_000
    expected = outcomes_of(circuit)
    simulator = AerSimulator(seed_simulator=5, max_parallel_threads=1)
    moved, _ = next(device.bound(Experiment(circuit, np.zeros((1, 0)), shots=shots), rng))
    counts = simulator.run(moved.circuit, shots=shots).result().get_counts()
    found = {
        tuple(map(int, reversed(key.replace(" ", "")))): count / shots
        for key, count in counts.items()
    }
    for bits in expected.keys() | found.keys():
        chance = expected.get(bits, 0.0)
        spread = 5 * np.sqrt(chance * (1 - chance) / shots) + 1e-9
        assert found.get(bits, 0.0) == pytest.approx(chance, abs=spread)


def test_the_newest_readout_model_undoes_what_yesterdays_leaves():
    """Readout errors drift by a third; what is left of them is compared with perfect readout."""
    yesterday = read_snapshot("FakeTorino")
    rng = np.random.default_rng(12)
    binder = Binder((*yesterday.gates, "measure", "delay"))
    circuit = QuantumCircuit(6)
    circuit.h(0)
    for qubit in range(5):
        circuit.cx(qubit, qubit + 1)
    observables = (SparsePauliOp("ZZZZZZ"), SparsePauliOp(["XXXXXX", "IIIIZZ"], [0.5, 0.5]))
    portfolio = compile_portfolio(circuit, topology_target(yesterday), seeds=(1,))
    left = {"nothing": [], "yesterday": [], "today": []}
    for _ in range(2):
        today = drifted(yesterday, rng, sigma=0.35)
        bound = binder.bind(portfolio, today)
        now = bind_experiment(Experiment(circuit, np.zeros((1, 0)), observables, shots=None), bound)
        stale = readout_errors(yesterday, bound.binding.physical_qubits)
        then = replace(now, binding=replace(now.binding, readout_errors=stale))
        truth = values_on(today, now, perfect_readout=True)
        for name, experiment, mitigated in (
            ("nothing", now, False),
            ("yesterday", then, True),
            ("today", now, True),
        ):
            found = values_on(today, experiment, mitigated=mitigated)
            left[name].append(np.abs(found - truth).mean())
    nothing, old, new = (np.mean(left[name]) for name in ("nothing", "yesterday", "today"))
    assert new < 1e-9
    assert 10 * new < old < nothing
    assert old > 0.002


def values_on(snapshot, experiment, *, mitigated=False, perfect_readout=False):
    """Exact expectation values on a twin of a device."""
    readout = {Quantity.READOUT_P01, Quantity.READOUT_P10}
    if perfect_readout:
        kept = [0.0 if key[0] in readout else 1.0 for key in snapshot.keys]
        snapshot = replace(snapshot, values=snapshot.values * kept)
    stack = DeviceBackend(TwinAdapter("twin", snapshot), lambda: 1)
    if mitigated:
        stack = ReadoutMitigation(stack)
    (found,) = MeasurementBasis(stack).run([experiment])
    return found.values
