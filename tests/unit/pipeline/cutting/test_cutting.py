from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_addon_cutting.instructions import CutWire

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.cutting.option import CircuitCutting, CuttingContext
from pipeline.stack import build_stack
from qcpaas.errors import CircuitError, MitigationError, OptionError
from qcpaas.execution import Experiment
from qcpaas.schemas import OptionSpec

OBSERVABLES = (
    SparsePauliOp(["ZZII", "IXXI", "IIYZ", "ZIIX", "IIII"], [0.7, 0.4, -0.3, 0.5, 0.25]),
    SparsePauliOp("XYZZ"),
)
PARAMETRISED = {"rxx", "ryy", "rzz", "rzx", "crx", "cry", "crz", "cp"}


def cutting(options=(), seed=5, device="aer", **settings):
    specs = [OptionSpec.parse(name) for name in options]
    inner = build_stack(specs, DeviceBackend(open_device(device), lambda: seed), "expectation")
    return CircuitCutting(inner, CircuitCutting.Settings(**settings))


def chain(gate="cx", wires=(), qubits=4, angle=0.8, seed=1):
    """Gates between neighbours, rotations around; ``wires`` are cut once, behind their gate."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, name="chain")
    for qubit in range(qubits):
        circuit.ry(rng.uniform(0, 3), qubit)
    circuit.barrier()
    for qubit in range(qubits - 1):
        angles = (angle,) if gate in PARAMETRISED else ()
        getattr(circuit, gate)(*angles, qubit, qubit + 1)
        circuit.rx(rng.uniform(0, 3), qubit)
        circuit.ry(rng.uniform(0, 3), qubit + 1)
        if qubit + 1 in wires:
            circuit.append(CutWire(), [qubit + 1])
    return circuit


def asked(circuit, shots=None, points=None, observables=OBSERVABLES):
    rows = np.zeros((1, 0)) if points is None else points
    return Experiment(circuit, rows, observables, shots)


def exact(circuit, points=None, observables=OBSERVABLES):
    rows = np.zeros((1, 0)) if points is None else points
    whole = circuit.copy_empty_like()
    for step in circuit.data:
        if step.name != "cut_wire":
            whole.append(step)
    states = [Statevector(whole.assign_parameters(row)) for row in rows]
    return np.array([[s.expectation_value(o).real for o in observables] for s in states])


def figures(outcome):
    return outcome.diagnostics[-1].figures


@pytest.mark.parametrize(
    ("gate", "gamma"),
    [
        ("cx", 3.0),
        ("cz", 3.0),
        ("ecr", 3.0),
        ("swap", 7.0),
        ("rzz", 1 + 2 * np.sin(0.8)),
        ("cp", 1 + 2 * np.sin(0.4)),
    ],
)
def test_a_cut_gate_gives_the_whole_circuits_values_at_the_known_overhead(gate, gamma):
    circuit = chain(gate)
    (outcome,) = cutting(partition="AABB").run([asked(circuit)])
    assert outcome.values == pytest.approx(exact(circuit), abs=1e-9)
    assert not outcome.variances.any()
    assert figures(outcome)["sampling_overhead"] == pytest.approx(gamma**2)


@pytest.mark.parametrize("gate", sorted(PARAMETRISED))
def test_a_cut_gate_may_keep_its_parameter(gate):
    first, second = Parameter("first"), Parameter("second")
    circuit = chain(gate, angle=2 * first + second, qubits=2)
    points, observables = np.array([[0.2, 0.5]]), (SparsePauliOp("XY"), SparsePauliOp("ZZ"))
    (outcome,) = cutting(partition="AB").run([asked(circuit, None, points, observables)])
    assert outcome.values == pytest.approx(exact(circuit, points, observables), abs=1e-9)


def test_every_point_and_call_has_its_own_coefficients():
    observables, stack = (SparsePauliOp("XYZ"),), cutting(partition="AAB")
    for points in (np.array([[0.2], [-1.1]]), np.array([[0.9]])):
        circuit = chain("rzz", angle=Parameter("angle"), qubits=3)  # equal, not the same
        (outcome,) = stack.run([asked(circuit, None, points, observables)])
        assert outcome.values == pytest.approx(exact(circuit, points, observables), abs=1e-9)
        worst = 1 + 2 * np.sin(np.abs(points).max())
        assert figures(outcome)["gamma"] == pytest.approx(worst)


@pytest.mark.parametrize(
    ("wires", "partition", "gamma", "parts"),
    [((1,), "", 4, "AB"), ((1, 2), "", 16, "ABC"), ((1,), "AABBC", 12, "ABC")],
)
def test_cut_wires_alone_and_with_gates_give_the_whole_circuits_values(
    wires, partition, gamma, parts
):
    circuit = chain(wires=wires)
    stack = cutting(partition=partition)
    (outcome,) = stack.run([asked(circuit)])
    assert outcome.values == pytest.approx(exact(circuit), abs=1e-9)
    assert figures(outcome)["gamma"] == pytest.approx(gamma)
    assert list(figures(outcome)["qubits"]) == list(parts)


def test_a_wire_is_cut_twice_with_another_between():
    circuit = chain(qubits=3, wires=(1,))
    for qubit in (2, 1):
        circuit.append(CutWire(), [qubit])
        circuit.ry(0.3, qubit)
    circuit.cz(1, 0)
    observables = (SparsePauliOp("ZXZ"),)
    (outcome,) = cutting(partition="AABABB").run([asked(circuit, observables=observables)])
    assert outcome.values == pytest.approx(exact(circuit, observables=observables), abs=1e-9)


@pytest.mark.parametrize("qubits", [2, 3])
def test_cuts_are_found_for_parts_that_fit(qubits):
    circuit = chain()
    (outcome,) = cutting(max_qubits=qubits).run([asked(circuit)])
    assert outcome.values == pytest.approx(exact(circuit), abs=1e-9)
    assert max(figures(outcome)["qubits"].values()) <= qubits


def test_a_circuit_that_fits_stays_whole():
    planned, context = cutting(max_qubits=4).expand([asked(chain())])
    assert len(planned) == 1
    assert context.announcement == ""


def resampled(outcome, shots, rng):
    points = tuple(
        replace(
            point,
            weights=rng.multinomial(shots, point.weights / point.weights.sum()).astype(float),
            shots=shots,
        )
        for point in outcome.points
    )
    return replace(outcome, points=points)


@pytest.mark.parametrize("settings", [{"partition": "AABB"}, {}])
def test_error_bars_cover_what_sampling_does(settings):
    circuit = chain(wires=() if settings else (1,))
    stack, rng = cutting(**settings), np.random.default_rng(2)
    plan = stack.plan([asked(circuit, shots=500)])
    probabilities = stack.execute([replace(each, shots=None) for each in plan.experiments])
    deviations = []
    for _ in range(100):
        (found,) = stack.combine(plan, [resampled(each, 500, rng) for each in probabilities])
        deviations.append((found.values - exact(circuit))[0] / np.sqrt(found.variances[0]))
    # 100 draws know a standard deviation to 7 %.
    assert np.std(deviations, axis=0) == pytest.approx(1.0, abs=0.25)
    assert np.mean(deviations, axis=0) == pytest.approx(0.0, abs=0.35)


def test_too_many_terms_are_drawn_and_their_spread_is_in_the_error():
    circuit = chain(qubits=3, gate="cz")
    observables = (SparsePauliOp("XYX"),)
    planned = asked(circuit, 2000, observables=observables)
    truth, deviations = exact(circuit, observables=observables), []
    for seed in range(8):
        stack = cutting(seed=seed, partition="ABA", samples=30)
        (outcome,) = stack.run([planned])
        assert figures(outcome)["variance_by_drawn_terms"] > 0.9
        deviations.append(((outcome.values - truth) / np.sqrt(outcome.variances))[0, 0])
    assert 0.5 < np.sqrt(np.mean(np.square(deviations))) < 1.7


@pytest.mark.parametrize(
    ("settings", "wires", "gamma", "widths"),
    [
        ({"partition": "AAB", "mid_circuit": True}, (), 3, {"A": 2, "B": 1}),
        ({"feed_forward": True}, (1,), 3, {"A": 4}),
        ({"feed_forward": True, "mid_circuit": True}, (1,), 3, {"A": 3}),
    ],
)
def test_outcomes_measured_midway_serve_as_well(settings, wires, gamma, widths):
    circuit = chain(qubits=3, wires=wires)
    observables = (SparsePauliOp(["ZZZ", "IXI"], [1.0, 0.5]), SparsePauliOp("XYZ"))
    (outcome,) = cutting(**settings).run([asked(circuit, 400, observables=observables)])
    assert figures(outcome)["gamma"] == pytest.approx(gamma)
    assert figures(outcome)["qubits"] == widths
    deviation = outcome.values - exact(circuit, observables=observables)
    assert (np.abs(deviation) < 4 * np.sqrt(outcome.variances)).all()


def test_a_wire_that_comes_back_uses_its_qubit_again():
    circuit = QuantumCircuit(2, name="return")
    circuit.ry(0.7, 0)
    circuit.cx(0, 1)
    circuit.append(CutWire(), [1])
    circuit.rx(0.4, 1)
    circuit.append(CutWire(), [1])
    circuit.cx(1, 0)
    observables = (SparsePauliOp("ZZ"), SparsePauliOp("IX"))
    stack = cutting(partition="AABA", mid_circuit=True)
    (outcome,) = stack.run([asked(circuit, 400, observables=observables)])
    assert figures(outcome)["qubits"] == {"A": 2, "B": 1}
    deviation = outcome.values - exact(circuit, observables=observables)
    assert (np.abs(deviation) < 4 * np.sqrt(outcome.variances)).all()


def test_parts_go_to_their_devices_and_may_be_exact():
    stack = cutting(partition="AABB", devices={"B": "statevector"}, exact=("B",))
    planned, context = stack.expand([asked(chain(), 100)])
    assert {(each.device, each.shots) for each in planned} == {("", 100), ("statevector", None)}
    assert all(each.circuit.num_clbits == 0 for each in planned)
    again = CuttingContext.model_validate_json(context.model_dump_json())
    assert again == context


def test_the_overhead_is_announced_and_bounded():
    stack = cutting(partition="ABAB")
    _, context = stack.expand([asked(chain())])
    assert "3 gates into 2 parts" in context.announcement
    assert "729 times the shots" in context.announcement
    with pytest.raises(MitigationError, match="by 729; max_overhead is 100"):
        cutting(partition="ABAB", max_overhead=100).expand([asked(chain())])


def test_the_cost_is_what_is_planned():
    stack = cutting(partition="AABB", exact=("B",))
    planned, _ = stack.expand([asked(chain(), 100)])
    cost = stack.cost(asked(chain(), 100))
    assert cost.circuits == len(planned)
    assert cost.shots == sum(each.shots or 0 for each in planned) / 100


def test_an_error_of_the_order_of_any_value_is_warned_of():
    stack, rng = cutting(partition="AAB"), np.random.default_rng(4)
    observables = (SparsePauliOp("XYX", 1.0),)
    plan = stack.plan([asked(chain(qubits=3), 1000, observables=observables)])
    probabilities = stack.execute([replace(each, shots=None) for each in plan.experiments])
    for shots, warned in ((1000, False), (2, True)):
        counts = [resampled(each, shots, rng) for each in probabilities]
        (outcome,) = stack.combine(plan, counts)
        assert ("too few for the cuts" in outcome.diagnostics[-1].warning) is warned


@pytest.mark.parametrize(
    ("circuit", "settings", "message"),
    [
        (chain(), {}, "nothing to cut in circuit chain: no CutWire"),
        (chain(), {"partition": "AAB"}, "has 3 labels; circuit chain has 4 qubits"),
        (chain(wires=(1,)), {"partition": "AABB"}, "has 5 qubits and cut wires"),
        (chain(), {"partition": "AAAA"}, "'AAAA' has one part"),
        (chain(), {"partition": "AABB", "devices": {"C": "aer"}}, "has the parts A, B"),
        (chain(), {"max_qubits": 1}, "no cuts of circuit chain"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(circuit, settings, message):
    with pytest.raises(OptionError, match=message):
        cutting(**settings).expand([asked(circuit)])


def test_what_cannot_be_cut_is_named():
    wide, measured, symbolic = QuantumCircuit(3), QuantumCircuit(2, 1), QuantumCircuit(2)
    wide.ccx(0, 1, 2)
    measured.measure(0, 0)
    symbolic.cu(Parameter("angle"), 0, 0, 0, 0, 1)
    for circuit, partition, message in (
        (wide, "AAB", "ccx on qubits 0, 1, 2 lies across a cut"),
        (measured, "AB", "has measure"),
        (symbolic, "AB", "the cu to cut has the parameter angle"),
    ):
        observables = (SparsePauliOp("Z" * circuit.num_qubits),)
        points = np.zeros((1, circuit.num_parameters))
        with pytest.raises(CircuitError, match=message):
            cutting(partition=partition).expand([asked(circuit, None, points, observables)])


def test_two_ways_to_cut_at_once_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        CircuitCutting.Settings(partition="AB", max_qubits=1)
