from datetime import UTC, datetime

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit.random import random_circuit

from adapters.fake_backends import read_snapshot
from adapters.target import build_target
from calibration.directions import Materialiser
from calibration.elements import Corrections, Element
from calibration.embedding import Embeddings, connected_parts
from calibration.placement import DeviceErrors, Placer
from calibration.portfolio import Portfolio
from calibration.template import Template
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.snapshot import Reading, Snapshot

NOW = datetime(2026, 11, 1, tzinfo=UTC)
RING = [(q, (q + 1) % 6) for q in range(6)]
SX_S, CZ_S, READ_S = 40e-9, 200e-9, 1e-6


def ring(pairs=RING, changes=None, leave_out=()):
    """Six qubits in a ring, every value of its own."""
    rng = np.random.default_rng(4)
    values = {}
    for q in range(6):
        values |= {
            (Quantity.T1_S, "", (q,)): 80e-6 + 5e-6 * q,
            (Quantity.T2_S, "", (q,)): 60e-6 + 3e-6 * q,
            (Quantity.READOUT_P10, "", (q,)): rng.uniform(0.01, 0.03),
            (Quantity.READOUT_P01, "", (q,)): rng.uniform(0.01, 0.03),
            (Quantity.READOUT_DURATION_S, "", (q,)): READ_S,
            (Quantity.GATE_ERROR, "sx", (q,)): rng.uniform(2e-4, 6e-4),
            (Quantity.GATE_DURATION_S, "sx", (q,)): SX_S,
            (Quantity.GATE_ERROR, "rz", (q,)): 0.0,
            (Quantity.GATE_DURATION_S, "rz", (q,)): 0.0,
        }
    for pair in pairs:
        values[Quantity.GATE_ERROR, "cz", pair] = rng.uniform(4e-3, 1e-2)
        values[Quantity.GATE_DURATION_S, "cz", pair] = CZ_S
    values |= changes or {}
    readings = [
        Reading(quantity, qubits, value, NOW, gate)
        for (quantity, gate, qubits), value in values.items()
        if (quantity, gate, qubits) not in leave_out
    ]
    return Snapshot.of("Ring", 6, readings, NOW)


def chain(length=3):
    """Not symmetric, and its first qubits wait for the last."""
    circuit = QuantumCircuit(length)
    for _ in range(5):
        circuit.sx(0)
    for q in range(length - 1):
        circuit.cz(q, q + 1)
        circuit.sx(q + 1)
    circuit.cz(0, 1)
    return Template(circuit, tuple(range(length)), tuple(range(length)))


def portfolio(*templates):
    return Portfolio(tuple(templates), "key", "snapshot")


def error_of(snapshot, name, place):
    """The gate's in this direction, else in the other."""
    if name == "measure":
        return sum(snapshot.readout_error(place[0])) / 2
    for way in (place, place[::-1]):
        error = snapshot.get(Quantity.GATE_ERROR, *way, gate=name)
        if error is not None:
            return error
    return 0.0


def seconds(snapshot, name, place):
    if name == "measure":
        return snapshot.get(Quantity.READOUT_DURATION_S, *place)
    for way in (place, place[::-1]):
        duration = snapshot.get(Quantity.GATE_DURATION_S, *way, gate=name)
        if duration is not None:
            return duration
    return 0.0


def log_fidelity(snapshot, circuit, physical):
    """Instruction by instruction, from the end backwards: each as late as possible."""
    if not circuit.count_ops().get("measure"):
        circuit = circuit.copy()
        circuit.add_register(ClassicalRegister(circuit.num_qubits))
        circuit.measure(range(circuit.num_qubits), range(circuit.num_qubits))
    begins, free, idle, total = {}, {}, {}, 0.0
    for step in reversed(circuit.data):
        place = tuple(physical[circuit.find_bit(q).index] for q in step.qubits)
        end = max(free.get(q, 0.0) for q in place)
        free.update(dict.fromkeys(place, end))
        if step.name == "barrier":
            continue
        total += np.log1p(-error_of(snapshot, step.name, place))
        for q in place:
            idle[q] = idle.get(q, 0.0) + (end - begins[q] if q in begins else 0.0)
            begins[q] = free[q] = end + seconds(snapshot, step.name, place)
    for q, waiting in idle.items():
        t1 = snapshot.get(Quantity.T1_S, q) or np.inf
        t2 = min(snapshot.t2_s(q)[0] if snapshot.t2_s(q) else np.inf, 2 * t1)
        total += np.log(1 / 2 + np.exp(-waiting / t1) / 6 + np.exp(-waiting / t2) / 3)
    return total


def walks(length):
    return [
        tuple((start + way * i) % 6 for i in range(length)) for start in range(6) for way in (1, -1)
    ]


@pytest.mark.parametrize("length", [2, 3, 4])
def test_the_best_placement_is_that_of_an_independent_product(length):
    snapshot, template = ring(), chain(length)
    scores = {walk: log_fidelity(snapshot, template.circuit, walk) for walk in walks(length)}
    best = max(scores, key=scores.get)
    placement = Placer().choose(portfolio(template), snapshot)
    assert placement.physical_qubits == best
    assert placement.log_fidelity == pytest.approx(scores[best], rel=1e-9)


def test_a_bad_coupler_is_avoided_and_the_choice_follows_the_snapshot():
    template, placer = chain(3), Placer()
    before = placer.choose(portfolio(template), ring()).physical_qubits
    pair = tuple(sorted(before[:2]))
    pair = pair if pair in RING else pair[::-1]
    drifted = ring(changes={(Quantity.GATE_ERROR, "cz", pair): 0.4})
    after = placer.choose(portfolio(template), drifted).physical_qubits
    assert set(pair) - set(after) or abs(after.index(pair[0]) - after.index(pair[1])) > 1
    assert placer.choose(portfolio(template), ring()).physical_qubits == before


@pytest.mark.parametrize("dead", ["qubit", "coupler", "unreported"])
def test_what_is_out_of_order_is_not_used(dead):
    template = chain(3)
    changes, left_out = {}, set()
    if dead == "qubit":
        changes = {(Quantity.OPERATIONAL, "", (q,)): float(q != 1) for q in range(6)}
    elif dead == "coupler":
        changes = {(Quantity.OPERATIONAL, "cz", pair): 0.0 for pair in [(0, 1), (1, 2)]}
    else:
        left_out = {(Quantity.GATE_ERROR, "cz", pair) for pair in [(0, 1), (1, 2)]}
    chosen = (
        Placer()
        .choose(portfolio(template), ring(changes=changes, leave_out=left_out))
        .physical_qubits
    )
    assert 1 not in chosen


def test_a_device_without_a_working_place_is_refused():
    changes = {(Quantity.OPERATIONAL, "", (q,)): float(q % 2) for q in range(6)}
    with pytest.raises(CalibrationError, match="out of order"):
        Placer().choose(portfolio(chain(2)), ring(changes=changes))


def test_qubits_that_interact_with_none_take_the_best_that_are_left():
    circuit = QuantumCircuit(3)
    circuit.cz(0, 1)
    circuit.sx(2)
    template = Template(circuit, (0, 1, 2), (0, 1, 2))
    changes = {
        (quantity, "", (q,)): (1e-4 if q == 4 else 0.05)
        for quantity in (Quantity.READOUT_P10, Quantity.READOUT_P01)
        for q in range(6)
    }
    changes |= {(Quantity.GATE_ERROR, "cz", pair): 1e-3 if pair == (1, 2) else 0.3 for pair in RING}
    placement = Placer().choose(portfolio(template), ring(changes=changes))
    assert set(placement.physical_qubits[:2]) == {1, 2}
    assert placement.physical_qubits[2] == 4


def test_parts_that_do_not_interact_never_overlap():
    circuit = QuantumCircuit(6)
    for first in (0, 2, 4):
        circuit.cz(first, first + 1)
    template = Template(circuit, tuple(range(6)), tuple(range(6)))
    placement = Placer().choose(portfolio(template), ring())
    assert sorted(placement.physical_qubits) == list(range(6))


def test_a_gate_goes_only_where_the_device_has_that_gate():
    changes = {(Quantity.GATE_ERROR, "iswap", (4, 5)): 0.2}
    circuit = QuantumCircuit(2)
    circuit.iswap(0, 1)
    template = Template(circuit, (0, 1), (4, 5))
    chosen = Placer().choose(portfolio(template), ring(changes=changes)).physical_qubits
    assert set(chosen) == {4, 5}


def test_a_better_direction_counts_for_a_gate_that_may_be_turned():
    placed = chain(2)
    changes = {(Quantity.GATE_ERROR, "cz", (1, 0)): 1e-3}
    forward, both = ring(), ring(changes=changes, leave_out={(Quantity.GATE_ERROR, "cz", (0, 1))})
    assert Placer().value(placed, (0, 1), both) > Placer().value(placed, (0, 1), forward)
    errors = DeviceErrors.of(both)
    assert errors.two_qubit["cz"][errors.couplers.number[0, 1]] == 1e-3


def test_readout_known_as_one_number_and_echoes_count():
    split = [
        (quantity, "", (0,))
        for quantity in (Quantity.READOUT_P10, Quantity.READOUT_P01, Quantity.T2_S)
    ]
    changes = {(Quantity.READOUT_ERROR, "", (0,)): 0.04, (Quantity.T2_ECHO_S, "", (0,)): 9e-5}
    errors = DeviceErrors.of(ring(changes=changes, leave_out=set(split)))
    assert errors.readout[0] == 0.04
    assert errors.t2_s[:2].tolist() == [9e-5, 63e-6]


def test_a_device_that_reports_no_errors_at_all_counts_as_perfect():
    values = {(Quantity.OPERATIONAL, "cz", (q, q + 1)): 1.0 for q in range(3)}
    values |= {(Quantity.OPERATIONAL, "sx", (q,)): 1.0 for q in range(4)}
    readings = [
        Reading(name, place, value, NOW, gate) for (name, gate, place), value in values.items()
    ]
    snapshot = Snapshot.of("Silent", 4, readings, NOW)
    placement = Placer().choose(portfolio(chain(3)), snapshot)
    assert placement.physical_qubits == (0, 1, 2)  # where it was routed: nothing speaks against it
    assert placement.log_fidelity == 0.0


DEVICES = ("FakeSherbrooke", "FakeKolkata", "FakeTorino")  # ECR, one way; CX; CZ


@pytest.fixture(scope="module", params=DEVICES)
def routed(request):
    snapshot = read_snapshot(request.param)
    found = []
    for seed in range(3):
        source = random_circuit(5, 5, max_operands=2, seed=seed)
        source.barrier(range(3))
        if seed:
            source.measure_all()
        target = build_target(snapshot)
        found.append(transpile(source, target=target, optimization_level=1, seed_transpiler=seed))
    return snapshot, [Template.compact(each, each.layout.final_index_layout()) for each in found]


def test_the_value_is_an_independent_product_on_every_kind_of_device(routed):
    snapshot, templates = routed
    for template in templates:
        value = Placer().value(template, template.home, snapshot)
        expected = log_fidelity(snapshot, template.circuit, template.home)
        assert value == pytest.approx(expected, rel=1e-9)
        assert value < -0.01


def test_contributions_sum_to_the_value_and_none_is_a_gain(routed):
    snapshot, templates = routed
    placer = Placer()
    for template in templates:
        placement = placer.choose(portfolio(template), snapshot)
        for place in (template.home, placement.physical_qubits):
            found = placer.contributions(template, place, snapshot)
            value = placer.value(template, place, snapshot)
            assert sum(found.values()) == pytest.approx(value, rel=1e-12)
            assert max(found.values()) <= 0
            assert {q for element in found for q in element.qubits} == set(place)


def test_the_chosen_placement_has_its_own_value_and_beats_where_it_was_routed(routed):
    snapshot, templates = routed
    placer = Placer()
    placement = placer.choose(portfolio(*templates), snapshot)
    chosen = templates[placement.template]
    value = placer.value(chosen, placement.physical_qubits, snapshot)
    assert placement.log_fidelity == pytest.approx(value, abs=1e-9)
    assert all(
        placement.log_fidelity >= placer.value(each, each.home, snapshot) - 1e-9
        for each in templates
    )
    assert placement.runner_up < placement.log_fidelity + 1e-12


def test_turned_gates_are_priced_as_they_turn_out():
    """A turned circuit's gates counted one by one, against the estimate made before."""
    snapshot = read_snapshot("FakeSherbrooke")
    source = QuantumCircuit(6)
    rng = np.random.default_rng(3)
    for layer in range(6):
        for q in range(6):
            source.ry(rng.uniform(-3, 3), q)
        for q in range(layer % 2, 5, 2):
            source.cx(q, q + 1)
    routed = transpile(
        source, target=build_target(snapshot), optimization_level=3, seed_transpiler=5
    )
    template = Template.compact(routed, routed.layout.final_index_layout())
    ((_, pattern),) = connected_parts(template)
    placer, materialiser = Placer(), Materialiser(tuple(snapshot.gates))
    gaps = []
    fit = Embeddings().fit(pattern, snapshot.layout.couplers)
    chosen = rng.choice(len(fit.trie), 30, replace=False)
    for place in fit.trie.rows(pattern, fit.couplers, chosen).T.tolist():
        value = placer.value(template, place, snapshot)
        if value > np.log(1e-3):  # every coupler works
            turned = materialiser.materialise(template, tuple(place), snapshot).template
            exact = log_fidelity(snapshot, turned.circuit, place)
            gaps.append(value - exact)
    assert len(gaps) > 20
    assert np.abs(gaps).max() > 0
    # A handful of gates of some 3e-4 each, and the time that they take: 60 ns of 200 us each.
    assert np.abs(gaps).max() < 5e-3


def test_learnt_factors_multiply_the_errors_of_their_elements():
    snapshot, template, placer = ring(), chain(3), Placer()
    before = placer.contributions(template, (0, 1, 2), snapshot)
    logs = dict.fromkeys(before, 0.7)
    after = placer.contributions(template, (0, 1, 2), snapshot, Corrections(logs, 1))
    assert after.keys() == before.keys()
    for element, nats in before.items():  # -log(1 - e) grows a little faster than e
        assert np.exp(0.7) <= after[element] / nats * (1 + 1e-9) < np.exp(0.7) * 1.06
    other = Corrections({Element("two_qubit", (3, 4)): 2.0}, 2)
    assert placer.contributions(template, (0, 1, 2), snapshot, other) == before


def test_what_was_learnt_of_a_coupler_moves_the_circuit_away_from_it():
    template, placer = chain(2), Placer()
    before = placer.choose(portfolio(template), ring()).physical_qubits
    learnt = Corrections({Element("two_qubit", tuple(sorted(before))): 3.0}, 1)
    after = placer.choose(portfolio(template), ring(), learnt).physical_qubits
    assert set(after) != set(before)


def test_the_runner_up_uses_other_qubits_or_couplers():
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    template = Template(circuit, (0, 1), (0, 1))
    snapshot = ring()
    values = {frozenset(pair): log_fidelity(snapshot, circuit, pair) for pair in walks(2)}
    best, second = sorted(values.values())[:-3:-1]
    placement = Placer().choose(portfolio(template), snapshot)
    assert placement.log_fidelity == pytest.approx(best)
    assert placement.runner_up == pytest.approx(second)
    assert placement.considered == 12


def test_the_best_routing_of_a_portfolio_wins():
    longer = chain(3)
    longer.circuit.cz(0, 1)
    placement = Placer().choose(portfolio(longer, chain(3)), ring())
    assert placement.template == 1
    assert placement.considered == 24


def test_a_dead_element_is_worse_than_any_number_of_bad_ones():
    changes = {(Quantity.GATE_ERROR, "cz", pair): 0.97 for pair in RING}
    changes |= {(Quantity.OPERATIONAL, "cz", (0, 1)): 0.0}
    circuit = QuantumCircuit(3)
    circuit.cz(0, 1)
    for _ in range(50):
        circuit.cz(1, 2)
    placement = Placer().choose(
        portfolio(Template(circuit, (0, 1, 2), (0, 1, 2))), ring(changes=changes)
    )
    used = [set(placement.physical_qubits[:2]), set(placement.physical_qubits[1:])]
    assert {0, 1} not in used
    value = Placer().value(chain(2), (0, 1), ring(changes=changes))
    assert 2 * np.log(1e-9) - 1 < value < 2 * np.log(1e-9)


def test_circuits_that_wait_prefer_qubits_that_last():
    changes = {(Quantity.GATE_ERROR, "cz", pair): 5e-3 for pair in RING}
    changes |= {(Quantity.GATE_ERROR, "sx", (q,)): 3e-4 for q in range(6)}
    changes |= {
        (quantity, "", (q,)): 0.01
        for quantity in (Quantity.READOUT_P10, Quantity.READOUT_P01)
        for q in range(6)
    }
    changes |= {(Quantity.T1_S, "", (4,)): 5e-6, (Quantity.T2_S, "", (4,)): 5e-6}
    circuit = QuantumCircuit(5)
    for first in (0, 1, 2, 3):
        circuit.cz(first, first + 1)
    placement = Placer().choose(
        portfolio(Template(circuit, tuple(range(5)), (2, 3, 4, 5, 0))), ring(changes=changes)
    )
    # Read at the end, all but the last two wait for the others; a ring of six leaves one out.
    assert 4 not in placement.physical_qubits[:3]


def test_control_flow_moves_with_its_qubits():
    snapshot = ring(changes={(Quantity.GATE_ERROR, "cz", (1, 2)): 0.3})
    circuit = QuantumCircuit(3, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], True)):
        circuit.cz(1, 2)
    template = Template(circuit, (0, 1, 2), (0, 1, 2))
    placement = Placer().choose(portfolio(template), snapshot)
    assert set(placement.physical_qubits[1:]) != {1, 2}
    assert len(set(placement.physical_qubits)) == 3


def test_gates_on_three_qubits_stay_where_they_were_routed():
    circuit = QuantumCircuit(3)
    circuit.ccz(0, 1, 2)
    template = Template(circuit, (0, 1, 2), (3, 4, 5))
    placement = Placer().choose(portfolio(template), ring())
    assert placement.physical_qubits == (3, 4, 5)
    assert not placement.complete


def test_a_pattern_with_too_many_places_is_searched_for_the_best(monkeypatch):
    exact = Placer().choose(portfolio(chain(4)), ring())
    monkeypatch.setattr("calibration.embedding.MAX_EMBEDDINGS", 1)
    searched = Placer().choose(portfolio(chain(4)), ring())
    assert searched.physical_qubits == exact.physical_qubits
    assert exact.complete
    assert not searched.complete


def test_parts_that_are_alike_leave_room_for_other_arrangements():
    """Three pairs on a ring of six: two ways to lay them, and many more to permute them."""
    circuit = QuantumCircuit(6)
    for first in (0, 2, 4):
        circuit.cz(first, first + 1)
    template = Template(circuit, tuple(range(6)), tuple(range(6)))
    snapshot = ring()
    values = [
        log_fidelity(snapshot, circuit, tuple((q + shift) % 6 for q in range(6)))
        for shift in (0, 1)
    ]
    assert Placer().choose(portfolio(template), snapshot).log_fidelity == pytest.approx(max(values))


def test_qubits_that_only_are_read_take_the_best_readout_of_all():
    snapshot = ring()
    template = Template(QuantumCircuit(4), (0, 1, 2, 3), (0, 1, 2, 3))
    placement = Placer().choose(portfolio(template), snapshot)
    logs = sorted(np.log1p(-sum(snapshot.readout_error(q)) / 2) for q in range(6))
    assert placement.log_fidelity == pytest.approx(sum(logs[2:]))
    assert placement.runner_up == pytest.approx(sum(logs[3:]) + logs[1])
