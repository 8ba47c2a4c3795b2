import math
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator, SparsePauliOp

from adapters.fake_backends import read_snapshot
from adapters.target import build_target, topology_target
from calibration.binding import Binder, Bound, bind_experiment, bind_in_place
from calibration.directions import Materialiser, turn
from calibration.elements import Corrections, Element
from calibration.portfolio import Portfolio, compile_portfolio
from calibration.template import Template
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from qcpaas.execution import Binding, Experiment
from store.snapshot import Reading, Snapshot

NOW = datetime(2026, 11, 20, tzinfo=UTC)
BASIS = ("rz", "sx", "x", "cx", "cz", "ecr", "rzz", "rzx", "measure", "delay")
TWO_QUBIT = ("cx", "cz", "ecr", "rzz", "rzx")
ONE_QUBIT = ("rz", "sx", "x")
THETA = Parameter("theta")


def chain(gates, size=6, errors=MappingProxyType({})):
    """A line of qubits; ``gates`` says for each coupler its gates as "ecr>" or "ecr<"."""
    readings = []
    for qubit in range(size):
        for quantity, value in {
            Quantity.T1_S: 100e-6 + 10e-6 * qubit,
            Quantity.T2_S: 80e-6 + 7e-6 * qubit,
            Quantity.READOUT_P10: 0.01 + 0.001 * qubit,
            Quantity.READOUT_P01: 0.02,
            Quantity.READOUT_DURATION_S: 1e-6,
        }.items():
            readings.append(Reading(quantity, (qubit,), value, NOW))
        for gate in ONE_QUBIT:
            length = 0.0 if gate == "rz" else 40e-9
            error = 0.0 if gate == "rz" else 3e-4 + 1e-5 * qubit
            readings.append(Reading(Quantity.GATE_DURATION_S, (qubit,), length, NOW, gate))
            readings.append(Reading(Quantity.GATE_ERROR, (qubit,), error, NOW, gate))
    for number, names in enumerate(gates):
        for name in names.split():
            pair = (number, number + 1) if name.endswith(">") else (number + 1, number)
            error = errors.get(number, 0.01 + 0.001 * number)
            length = 300e-9 + 10e-9 * number
            readings.append(Reading(Quantity.GATE_DURATION_S, pair, length, NOW, name[:-1]))
            readings.append(Reading(Quantity.GATE_ERROR, pair, error, NOW, name[:-1]))
    return Snapshot.of("chain", size, readings, NOW)


def broken(snapshot, gate, *qubits):
    out = Reading(Quantity.OPERATIONAL, qubits, 0.0, NOW, gate)
    return Snapshot.of(snapshot.device, snapshot.num_qubits, [*snapshot.readings(), out], NOW)


def line(gate, size=3):
    """A template that applies a gate from each qubit to the next, with gates between."""
    circuit = QuantumCircuit(size)
    for qubit in range(size - 1):
        circuit.sx(qubit)
        circuit.rz(THETA, qubit)
        getattr(circuit, gate)(qubit, qubit + 1)
    circuit.sx(range(size))
    circuit.measure_all()
    return Portfolio((Template.in_place(circuit, tuple(range(size))),), "key", "compiled")


ECR = chain(["ecr>", "ecr>", "ecr<", "ecr>", "ecr<"])


@pytest.fixture
def binder():
    return Binder(BASIS)


# Where


def test_the_same_question_is_answered_from_memory(binder):
    portfolio = line("ecr")
    first = binder.bind(portfolio, ECR)
    assert binder.bind(portfolio, ECR) is first
    assert binder.bind(replace(portfolio), ECR) is first  # as the store gives it the second time
    assert binder.bind(portfolio, ECR, incumbent=(3, 4, 5), min_gain=9.0) is not first


def test_what_was_learnt_since_is_no_memory_of_what_was_known_before(binder):
    portfolio = line("ecr")
    before = binder.bind(portfolio, ECR)
    used = Element("two_qubit", tuple(sorted(before.binding.physical_qubits[:2])))
    after = binder.bind(portfolio, ECR, Corrections({used: math.log(30.0)}, version=0))
    assert set(used.qubits) - set(after.binding.physical_qubits[:2])


def test_a_binding_says_which_snapshots_it_stands_on_and_why_it_was_chosen(binder):
    noted = replace(line("ecr"), note="compiled in two parts")
    binding = binder.bind(noted, ECR, Corrections({}, version=7)).binding
    assert binding.compiled_snapshot_id == "compiled"
    assert binding.snapshot_id == ECR.content_id
    assert binding.corrections_version == 7
    assert binding.reason.startswith("best of 8 placements of one routing")
    assert binding.reason.endswith("; compiled in two parts")


def test_the_incumbent_stays_until_another_place_is_worth_more(binder):
    portfolio = line("ecr")
    best = binder.bind(portfolio, ECR).binding
    held = (3, 4, 5)
    stays = binder.bind(portfolio, ECR, incumbent=held, min_gain=1.0).binding
    moves = binder.bind(portfolio, ECR, incumbent=held).binding
    assert stays.physical_qubits == held
    assert stays.reason.startswith("kept: the best of 8 placements of one routing would gain 0.")
    assert stays.log_fidelity < best.log_fidelity
    assert moves.physical_qubits == best.physical_qubits != held
    assert "the place before is 0." in moves.reason
    same = binder.bind(portfolio, ECR, incumbent=best.physical_qubits).binding
    assert same.reason == "kept: still the best of 8 placements of one routing"
    assert same.log_fidelity == pytest.approx(best.log_fidelity, abs=1e-12)


def test_a_kept_place_has_the_newest_calibration_of_everything(binder):
    portfolio = line("ecr")
    held = binder.bind(portfolio, ECR).binding.physical_qubits
    newer = replace(
        ECR, values=ECR.values * np.where([k[0] == "readout_p10" for k in ECR.keys], 3, 1)
    )
    binding = binder.bind(portfolio, newer, incumbent=held, min_gain=9.0).binding
    assert binding.snapshot_id == newer.content_id
    expected = [newer.readout_error(qubit) for qubit in held]
    np.testing.assert_array_equal(binding.readout_errors, expected)


@pytest.mark.parametrize("gone", [("", 1), ("ecr", 1, 2), ("measure", 2), ("sx", 0)])
def test_a_place_that_no_longer_works_is_given_up(binder, gone):
    portfolio = line("ecr")
    held = (0, 1, 2)
    snapshot = broken(ECR, gone[0], *gone[1:])
    binding = binder.bind(portfolio, snapshot, incumbent=held, min_gain=9.0).binding
    assert binding.physical_qubits != held
    assert binding.reason.endswith("the place before no longer works")


@pytest.mark.parametrize("gone", [("", 2), ("measure", 2)])
def test_a_qubit_that_will_only_be_read_must_work_too(binder, gone):
    circuit = QuantumCircuit(3)
    circuit.ecr(0, 1)
    portfolio = Portfolio((Template.in_place(circuit, (0, 1, 2)),), "key", "compiled")
    snapshot = broken(ECR, gone[0], *gone[1:])
    binding = binder.bind(portfolio, snapshot, incumbent=(0, 1, 2), min_gain=9.0).binding
    assert 2 not in binding.physical_qubits


@pytest.mark.parametrize("held", [(0, 1), (0, 1, 1), (0, 1, 77), (0, 2, 4), ()])
def test_an_incumbent_that_does_not_fit_is_given_up(binder, held):
    portfolio = line("ecr")
    chosen = binder.bind(portfolio, ECR).binding.physical_qubits
    assert binder.bind(portfolio, ECR, incumbent=held).binding.physical_qubits == chosen


def test_an_incumbent_may_lie_under_any_of_the_routings(binder):
    wide = line("ecr", size=4).templates[0]
    portfolio = Portfolio((wide, *line("ecr").templates), "key", "compiled")
    bound = binder.bind(portfolio, ECR, incumbent=(3, 4, 5), min_gain=9.0)
    assert bound.binding.routing == 1
    assert bound.template is portfolio.templates[1]


# Directions


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_turned_gates_mean_the_same_and_stay_in_the_basis(data):
    circuit = QuantumCircuit(3, global_phase=0.4)
    mapping = get_standard_gate_name_mapping()
    angle = st.sampled_from([0.7, -math.pi / 2, math.pi, THETA, 2 * THETA + 0.1])
    for name in data.draw(st.lists(st.sampled_from((*TWO_QUBIT, *ONE_QUBIT)), max_size=14)):
        gate = mapping[name].base_class(*[data.draw(angle) for _ in mapping[name].params])
        circuit.append(gate, data.draw(st.permutations(range(3)))[: gate.num_qubits])
    interactions = Template.in_place(circuit, (0, 1, 2)).interactions
    turned = frozenset(
        pair for pair in interactions if (pair[1], pair[0], pair[2]) not in interactions
    ) & frozenset(
        data.draw(st.lists(st.sampled_from(sorted(interactions))) if interactions else st.just([]))
    )
    found = turn(circuit, interactions, turned, BASIS)
    before, after = (
        Operator(c.assign_parameters({THETA: 0.37}, strict=False)) for c in (circuit, found)
    )
    np.testing.assert_allclose(after.data, before.data, atol=1e-9)
    allowed = {(b, a, g) if (a, b, g) in turned else (a, b, g) for a, b, g in interactions}
    assert set(Template.in_place(found, (0, 1, 2)).interactions) == allowed
    assert {step.name for step in found.data} <= set(BASIS)
    assert found is circuit or turned


def test_a_circuit_that_stands_right_is_the_templates_own(binder):
    portfolio = line("ecr")
    bound = binder.bind(portfolio, ECR, incumbent=(0, 1, 2), min_gain=9.0)
    assert bound.circuit is portfolio.templates[0].circuit


def test_places_with_the_same_directions_share_one_circuit(binder):
    portfolio = line("ecr", size=2)
    turned = [
        binder.bind(portfolio, ECR, incumbent=held, min_gain=9.0).circuit
        for held in ((1, 0), (2, 3), (4, 5), (2, 1))
    ]
    assert turned[0] is turned[1] is turned[2] is turned[3]
    assert turned[0] is not portfolio.templates[0].circuit


def test_a_gate_that_cannot_be_turned_is_refused():
    circuit = QuantumCircuit(2)
    circuit.cry(0.3, 0, 1)
    with pytest.raises(CalibrationError, match="cannot be turned"):
        turn(circuit, {(0, 1, "cry"): 1}, frozenset({(0, 1, "cry")}), BASIS)


# Couplers with different gates: cz, then ecr one way, then rzz alone, then all of them.
MIXED = chain(["cz>", "ecr<", "rzz>", "cz> cz< ecr> rzz>", "cx<"])


@pytest.mark.parametrize(
    ("gate", "pairs"),
    [("cz", {(0, 1), (3, 4)}), ("ecr", {(1, 2), (3, 4)}), ("cx", {(4, 5)})],
)
def test_a_gate_is_placed_only_on_couplers_that_have_it(binder, gate, pairs):
    found = set()
    for worst in range(5):
        snapshot = chain(["cz>", "ecr<", "rzz>", "cz> cz< ecr> rzz>", "cx<"], errors={worst: 0.3})
        bound = binder.bind(line(gate, size=2), snapshot)
        assert_in_isa(bound, snapshot)
        found.add(tuple(sorted(bound.binding.physical_qubits)))
    assert found <= pairs


@pytest.mark.parametrize("place", [(0, 1), (2, 3), (4, 5), (0, 2), (3, 5)])
def test_no_circuit_comes_out_for_a_place_without_its_gate(place):
    template = line("ecr", size=2).templates[0]
    with pytest.raises(CalibrationError, match="no working ecr"):
        Materialiser(BASIS).materialise(template, place, MIXED)


def test_where_one_direction_is_out_of_order_the_other_is_used(binder):
    both = broken(chain(["cx> cx<"], size=2), "cx", 0, 1)
    bound = binder.bind(line("cx", size=2), both, incumbent=(0, 1), min_gain=9.0)
    assert bound.binding.physical_qubits == (0, 1)
    assert_in_isa(bound, both)


def assert_in_isa(bound, snapshot):
    target = build_target(snapshot)
    for step in bound.circuit.data:
        qubits = [bound.circuit.find_bit(qubit).index for qubit in step.qubits]
        place = tuple(bound.binding.physical_qubits[qubit] for qubit in qubits)
        assert step.name == "barrier" or target.instruction_supported(step.name, place)


# Fidelity and duration


def by_hand(circuit, physical, snapshot):
    """Log success probability and duration, instruction by instruction, as late as possible."""
    number = {bit: index for index, bit in enumerate((*circuit.qubits, *circuit.clbits))}
    total, busy = 0.0, dict.fromkeys(number.values(), 0.0)
    waited, since = dict.fromkeys(range(len(physical)), 0.0), {}
    for step in reversed(circuit.data):
        bits = [number[bit] for bit in (*step.qubits, *step.clbits)]
        place = tuple(physical[number[qubit]] for qubit in step.qubits)
        length = 0.0
        if step.name == "measure":
            length = snapshot.get(Quantity.READOUT_DURATION_S, *place)
            total += math.log1p(-sum(snapshot.readout_error(*place)) / 2)
        elif step.name != "barrier":
            length = snapshot.get(Quantity.GATE_DURATION_S, *place, gate=step.name)
            total += math.log1p(-snapshot.get(Quantity.GATE_ERROR, *place, gate=step.name))
        end = max(busy[bit] for bit in bits)
        for bit in bits:
            if bit in since and step.name != "barrier":
                waited[bit] += end - since[bit]
            if step.name != "barrier" and bit < len(physical):
                since[bit] = end + length
            busy[bit] = end + length
    for qubit, seconds in waited.items():
        t1 = snapshot.get(Quantity.T1_S, physical[qubit])
        t2 = snapshot.t2_s(physical[qubit])[0]
        total += math.log(0.5 + math.exp(-seconds / t1) / 6 + math.exp(-seconds / t2) / 3)
    return total, max(busy.values())


@pytest.mark.parametrize("held", [(0, 1, 2), (2, 1, 0), (5, 4, 3), (1, 2, 3)])
def test_log_fidelity_and_duration_are_those_of_the_circuit_after_turning(binder, held):
    bound = binder.bind(line("ecr"), ECR, incumbent=held, min_gain=9.0)
    assert bound.binding.physical_qubits == held
    assert_in_isa(bound, ECR)
    expected, duration_s = by_hand(bound.circuit, held, ECR)
    assert bound.binding.log_fidelity == pytest.approx(expected, abs=1e-9)
    assert bound.binding.duration_s == pytest.approx(duration_s, abs=1e-12)


def test_the_duration_is_what_qiskit_estimates(binder):
    snapshot = read_snapshot("FakeSherbrooke")
    circuit = QuantumCircuit(5)
    for qubit in range(4):
        circuit.ry(0.3, qubit)
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    portfolio = compile_portfolio(circuit, topology_target(snapshot), seeds=(3,))
    binding = (bound := binder.bind(portfolio, snapshot)).binding
    whole = QuantumCircuit(snapshot.num_qubits, bound.circuit.num_clbits)
    whole.compose(bound.circuit, binding.physical_qubits, whole.clbits, inplace=True)
    expected = whole.estimate_duration(build_target(snapshot), unit="s")
    assert binding.duration_s == pytest.approx(expected, abs=1e-9)


def test_a_circuit_without_measurement_is_read_at_its_end(binder):
    bare, read = (line("ecr").templates[0] for _ in range(2))
    bare.circuit.remove_final_measurements()
    durations = [
        binder.bind(Portfolio((template,), "", ""), ECR).binding.duration_s
        for template in (bare, read)
    ]
    assert durations[0] == pytest.approx(durations[1], abs=1e-12)
    assert durations[0] > 1e-6
    in_place = bind_in_place(bare.circuit, ECR, BASIS)
    assert in_place.duration_s == pytest.approx(by_hand(read.circuit, (0, 1, 2), ECR)[1], abs=1e-12)


# Parameters, observables, readout


def bound_as(circuit, template):
    return Bound(circuit, template, Binding((0, 1), "", None, ()))


def test_columns_follow_names_also_where_the_compiler_drops_a_parameter():
    theta = ParameterVector("theta", 12)
    circuit = QuantumCircuit(2)
    for index in (10, 2, 5, 3):
        circuit.ry(theta[index], 0)
        circuit.cx(0, 1)
    rows = np.array([[0.1, 0.2, 99.0, 0.3]])  # theta 2, 3, 5, 10
    dropped = circuit.assign_parameters({theta[5]: 0.0})
    bound = bound_as(dropped, Template.in_place(dropped, (0, 1)))
    experiment = bind_experiment(Experiment(circuit, rows), bound)
    names = [parameter.name for parameter in dropped.parameters]
    named = dict(zip(names, experiment.parameter_values[0], strict=True))
    assert named == {"theta[2]": 0.1, "theta[3]": 0.2, "theta[10]": 0.3}


def test_observables_follow_their_qubits_through_the_layout():
    circuit = QuantumCircuit(2)
    template = Template(QuantumCircuit(3), positions=(2, 0), home=(0, 1, 2))
    experiment = Experiment(circuit, np.zeros((1, 0)), (SparsePauliOp(["XZ", "IY"], [1, 2]),))
    moved = bind_experiment(experiment, bound_as(template.circuit, template))
    assert moved.observables == (SparsePauliOp(["ZIX", "YII"], [1, 2]),)


def test_a_readout_error_that_was_not_reported_is_nan():
    silent = Snapshot.of("device", 2, [], NOW)
    binding = bind_in_place(QuantumCircuit(2), silent, ())
    assert np.isnan(binding.readout_errors).all()


def test_a_readout_error_known_as_one_number_counts_for_both():
    known = [
        Reading(Quantity.READOUT_ERROR, (0,), 0.03, NOW),
        Reading(Quantity.READOUT_P01, (2,), 0.02, NOW),
        Reading(Quantity.READOUT_P01, (3,), 0.02, NOW),
        Reading(Quantity.READOUT_P10, (3,), 0.01, NOW),
    ]
    snapshot = Snapshot.of("device", 4, known, NOW)
    binding = bind_in_place(QuantumCircuit(4), snapshot, ())
    told = [snapshot.readout_error(qubit) or (math.nan, math.nan) for qubit in range(4)]
    np.testing.assert_array_equal(binding.readout_errors, told)
