"""Mitiq's techniques as options: beside Mitiq itself, run on the same device."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import (
    Operator,
    SparsePauliOp,
    Statevector,
    SuperOp,
    average_gate_fidelity,
)
from qiskit_aer.noise import thermal_relaxation_error

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from calibration.binding import bind_in_place
from pipeline.mitiq_plugin.circuits import hand_over, take_back
from pipeline.mitiq_plugin.loading import load_mitiq
from pipeline.mitiq_plugin.options import MitiqZNE
from pipeline.mitiq_plugin.representations import relaxation_share
from pipeline.mitiq_plugin.sampling import MitiqPEC
from pipeline.mitiq_plugin.technique import MitiqContext
from pipeline.stack import build_stack
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, ExpectationValues, Experiment
from qcpaas.schemas import OptionSpec


@pytest.fixture(scope="module", autouse=True)
def _mitiq():
    load_mitiq()


@pytest.mark.slow
def test_loading_mitiq_loads_no_other_framework_and_hides_none():
    program = (
        "import sys; from pipeline.mitiq_plugin.loading import load_mitiq; load_mitiq(); "
        "print(sorted({'pennylane', 'braket', 'pyquil', 'qibo'} & set(sys.modules))); "
        "import pyquil"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]"]


OBSERVABLES = (SparsePauliOp(["XZY", "III"], [1.0, 0.5]), SparsePauliOp("IXX"))
ANGLE = Parameter("a")


def isa_circuit():
    """Three qubits of FakeLima in its own gates; 6 CX, and idle moments on qubit 2."""
    circuit = QuantumCircuit(3)
    for qubit, angle in enumerate((2.3 - ANGLE, 2.9, 3.4)):
        circuit.sx(qubit)
        circuit.rz(angle, qubit)
        circuit.sx(qubit)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.sx(1)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.rz(-0.7, 1)
    circuit.cx(1, 2)
    circuit.sx(2)
    return circuit


@pytest.fixture(scope="module")
def lima():
    return open_device("FakeLima")


@pytest.fixture(scope="module")
def device(lima):
    return DeviceBackend(lima, lambda: 7)


@pytest.fixture(scope="module")
def experiment(lima):
    circuit = isa_circuit()
    binding = bind_in_place(circuit, lima.calibration(), lima.capabilities().basis_gates)
    return Experiment(circuit, np.array([[0.4], [1.1]]), OBSERVABLES, None, binding)


def stack_of(device, name, **settings):
    return build_stack([OptionSpec(name=name, settings=settings)], device, "expectation")


def executor_of(device, experiment, observable):
    """What Mitiq runs its circuits with: the same device, exactly, on the same qubits."""
    calibration = device.services.calibration(experiment.binding)
    handed, _ = hand_over(experiment, 0, calibration)
    plain = build_stack([], device, "expectation")

    def execute(circuit) -> float:
        bound = Experiment(
            take_back(handed, circuit),
            np.empty((1, 0)),
            (OBSERVABLES[observable],),
            None,
            experiment.binding,
        )
        return float(plain.run([bound])[0].values[0, 0])

    return execute


def exact_values(experiment):
    """By state vector, shape ``(points, observables)``."""
    states = [
        Statevector(experiment.circuit.assign_parameters(row))
        for row in experiment.parameter_values
    ]
    return np.array([[s.expectation_value(o).real for o in OBSERVABLES] for s in states])


def direct(device, experiment, point, observable, run):
    """``run(circuit, executor)`` with Mitiq's own circuit and an executor for it."""
    calibration = device.services.calibration(experiment.binding)
    handed, _ = hand_over(experiment, point, calibration)
    return run(handed.circuit, executor_of(device, experiment, observable))


def test_zne_is_what_mitiq_makes_of_the_same_device(device, experiment):
    from mitiq.zne import execute_with_zne
    from mitiq.zne.inference import PolyFactory
    from mitiq.zne.scaling import fold_all

    settings = {"scale_factors": [1, 2, 3, 5], "scaling": "fold_all", "fit": "quadratic"}
    (outcome,) = stack_of(device, "MitiqZNE", **settings).run([experiment])
    for point, observable in ((0, 0), (1, 1)):
        expected = direct(
            device,
            experiment,
            point,
            observable,
            lambda circuit, execute: execute_with_zne(
                circuit, execute, factory=PolyFactory([1, 2, 3, 5], 2), scale_noise=fold_all
            ),
        )
        assert outcome.values[point, observable] == pytest.approx(expected, abs=1e-9)
    (plain,) = build_stack([], device, "expectation").run([experiment])
    assert outcome.raw_values == pytest.approx(plain.values, abs=1e-9)
    assert outcome.values != pytest.approx(plain.values, abs=1e-3)


def test_layerwise_richardson_is_what_mitiq_makes_of_the_same_device(device, experiment):
    from mitiq.lre import execute_with_lre

    settings = {"degree": 1, "fold_multiplier": 2, "num_chunks": 3}
    (outcome,) = stack_of(device, "MitiqLRE", **settings).run([experiment])
    expected = direct(
        device,
        experiment,
        1,
        0,
        lambda circuit, execute: execute_with_lre(circuit, execute, **settings),
    )
    assert outcome.values[1, 0] == pytest.approx(expected, abs=1e-8)


def test_decoupling_is_what_mitiq_makes_of_the_same_device(device, experiment):
    from mitiq import ddd

    stack = stack_of(device, "MitiqDDD", rule="xyxy")
    filled, plain = (each.circuit for each in stack.expand([experiment])[0][:2])
    assert filled.count_ops()["x"] == plain.count_ops()["x"] + 4
    (outcome,) = stack.run([experiment])
    expected = direct(
        device,
        experiment,
        0,
        0,
        lambda circuit, execute: ddd.execute_with_ddd(circuit, execute, rule=ddd.rules.xyxy),
    )
    assert outcome.values[0, 0] == pytest.approx(expected, abs=1e-9)
    assert outcome.variances == pytest.approx(0.0)


def test_cancellation_is_what_mitiq_makes_of_the_same_samples(device, experiment):
    from mitiq import pec

    settings = {"num_samples": 30}
    stack = stack_of(device, "MitiqPEC", **settings)
    plan = stack.plan([experiment])
    assert len(plan.experiments) < 2 * 31  # equal samples run once
    assert "norm 1." in plan.contexts[0].announcement
    (outcome,) = stack.combine(plan, stack.execute(plan.experiments))
    context = plan.contexts[0].experiments[0][1]
    option = MitiqPEC(device, MitiqPEC.Settings(**settings))
    calibration = device.services.calibration(experiment.binding)
    handed, _ = hand_over(experiment, 1, calibration)
    seed = int(np.random.SeedSequence([7, 0, 1]).generate_state(1)[0])
    circuits = option.construct(handed, seed).circuits
    execute = executor_of(device, experiment, 0)
    expected = pec.combine_results(
        [execute(circuit) for circuit in circuits],
        context.remember["norm"],
        context.remember["signs"],
    )
    assert outcome.values[1, 0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "settings"), [("MitiqPEC", {"num_samples": 300}), ("MitiqPEA", {"num_samples": 200})]
)
def test_sampled_techniques_come_closer_to_the_truth_within_their_errors(
    lima, experiment, name, settings
):
    device = DeviceBackend(lima, lambda: 3)
    one = replace(experiment, parameter_values=experiment.parameter_values[:1])
    options = [OptionSpec(name=name, settings=settings), OptionSpec(name="ReadoutMitigation")]
    (outcome,) = build_stack(options, device, "expectation").run([one])
    (read,) = build_stack(options[1:], device, "expectation").run([one])
    truth, errors = exact_values(one), np.sqrt(outcome.variances)
    assert np.all((errors > 0) & (errors < 0.1))
    # Relaxation is no depolarising channel, and single-qubit gates are taken as perfect.
    assert np.all(np.abs(outcome.values - truth) < 3 * errors + 0.02)
    before = np.abs(read.values - truth).sum()
    assert before > 0.05
    assert np.abs(outcome.values - truth).sum() < before


def test_errors_of_a_linear_technique_are_the_weighted_sums_of_the_results_errors(
    device, experiment
):
    shots = replace(experiment, shots=1000)
    stack = stack_of(device, "MitiqZNE", scale_factors=[1, 3, 5], fit="richardson")
    plan = stack.plan([shots])
    assert stack.cost(shots) == (3, 3)
    assert sum(e.points * e.shots for e in plan.experiments) == 2 * 3 * 1000 * 2  # two bases
    inner = stack.inner
    rest = replace(plan, contexts=plan.contexts[1:])
    results = inner.combine(rest, stack.execute(plan.experiments))
    (outcome,) = stack.reduce(plan.contexts[0], results)
    weights = np.array([15, -10, 3]) / 8  # of Lagrange's polynomial through 1, 3 and 5, at 0
    for point in range(2):
        own = results[3 * point : 3 * point + 3]
        values = weights @ np.array([r.values[0] for r in own])
        variances = weights**2 @ np.array([r.variances[0] for r in own])
        assert outcome.values[point] == pytest.approx(values, abs=1e-12)
        assert outcome.variances[point] == pytest.approx(variances, rel=1e-9)


def test_costs_are_what_is_planned(device, experiment):
    shots = replace(experiment, observables=OBSERVABLES[1:], shots=1000)
    cases = {
        "MitiqLRE": {"degree": 2, "num_chunks": 2},
        "MitiqDDD": {},
        "MitiqPEC": {"num_samples": 25, "shots_per_sample": 10},
        "MitiqPEA": {"num_samples": 25, "shots_per_sample": 10},
    }
    for name, settings in cases.items():
        stack = stack_of(device, name, **settings)
        planned = stack.plan([shots]).experiments
        cost = stack.cost(shots)
        assert sum(e.points * e.shots for e in planned) == pytest.approx(cost.shots * 1000 * 2)
        assert len(planned) <= cost.circuits * 2
        if name in {"MitiqLRE", "MitiqDDD"}:
            assert len(planned) == cost.circuits * 2


def test_an_echoed_cross_resonance_gate_comes_back_as_one(device):
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.ecr(0, 1)
    circuit.rz(0.3, 1)
    circuit.ecr(2, 1)
    places = {"ecr": [(5, 4), (6, 4)], **{g: [(4,), (5,), (6,)] for g in ("rz", "sx", "x")}}
    binding = Binding((5, 4, 6), "s", None, ("ecr", "rz", "sx", "x", "delay"))
    experiment = Experiment(circuit, np.empty((1, 0)), OBSERVABLES, None, binding)
    handed, _ = hand_over(experiment, 0, Calibrated(places))
    back = take_back(handed, handed.circuit)
    assert back.count_ops()["ecr"] == 2
    assert Operator(back).equiv(Operator(circuit))
    places["ecr"] = [(4, 5), (6, 4)]
    with pytest.raises(MitigationError, match="'ecr' on qubits 5, 4, which the device does not"):
        hand_over(experiment, 0, Calibrated(places))


def test_what_mitiq_cannot_hold_is_refused_before_anything_is_spent(device, experiment):
    stack = stack_of(device, "MitiqZNE")
    for add, name in (
        (lambda c: c.delay(100, 1), "delay"),
        (lambda c: c.reset(0), "reset"),
        (lambda c: c.measure_all(), "measure"),
    ):
        circuit = experiment.circuit.copy()
        add(circuit)
        with pytest.raises(MitigationError, match=f"contains '{name}'"):
            stack.plan([replace(experiment, circuit=circuit)])
    iswaps = QuantumCircuit(2)
    iswaps.iswap(0, 1)
    iswap = Binding((0, 1), "s", None, ("iswap", "rz", "sx", "x"))
    with pytest.raises(MitigationError, match="its 1 two-qubit gates become 4"):
        hand_over(Experiment(iswaps, np.empty((1, 0)), OBSERVABLES, None, iswap), 0, None)
    with pytest.raises(MitigationError, match=r"mitiq.lre refuses the circuit"):
        stack_of(device, "MitiqLRE", num_chunks=500).plan([experiment])


def test_relaxation_that_nothing_twirls_is_warned_of(lima, device, experiment):
    snapshot, lost, errors = lima.calibration(), 0.0, 0.0
    for pair in ((0, 1), (1, 0)):
        duration_s = snapshot.get(Quantity.GATE_DURATION_S, *pair, gate="cx")
        relaxed = SuperOp(np.eye(1))
        for qubit in pair:
            t1, t2 = snapshot.get(Quantity.T1_S, qubit), snapshot.t2_s(qubit)[0]
            own = SuperOp(thermal_relaxation_error(t1, min(t2, 2 * t1), duration_s))
            relaxed = own.tensor(relaxed)
        lost += 1 - average_gate_fidelity(relaxed)
        errors += snapshot.get(Quantity.GATE_ERROR, *pair, gate="cx")
    assert relaxation_share(snapshot, (0, 1)) == pytest.approx(lost / errors, rel=1e-6)
    for inside, warned in (((), True), (("PauliTwirling(twirls=1)",), False)):
        specs = [OptionSpec.parse("MitiqPEC(num_samples=20)"), *map(OptionSpec.parse, inside)]
        (outcome,) = build_stack(specs, device, "expectation").run([experiment])
        warnings = [note.warning for note in outcome.diagnostics]
        assert any("Put PauliTwirling after MitiqPEC" in one for one in warnings) == warned


def test_cancellation_says_what_it_needs(device, experiment):
    with pytest.raises(MitigationError, match=r"Give num_samples=\d+ or more"):
        stack_of(device, "MitiqPEC", num_samples=5, max_error=0.1).plan([experiment])
    ideal = DeviceBackend(open_device("statevector"), lambda: 1)
    with pytest.raises(OptionError, match="needs a device with calibrated gate errors"):
        stack_of(ideal, "MitiqPEA").plan([replace(experiment, binding=None)])
    with pytest.raises(OptionError, match="contain 1, and nothing below"):
        stack_of(ideal, "MitiqZNE", scale_factors=[2, 3])


def test_on_an_ideal_simulator_nothing_changes(experiment):
    ideal = DeviceBackend(open_device("statevector"), lambda: 1)
    free = replace(experiment, binding=None)
    for name in ("MitiqZNE", "MitiqLRE", "MitiqDDD"):
        (outcome,) = stack_of(ideal, name).run([free])
        assert outcome.values == pytest.approx(exact_values(free), abs=1e-7)


def test_a_fit_that_fails_leaves_the_raw_value_and_says_so(device, experiment):
    option = MitiqZNE(device, MitiqZNE.Settings(fit="exponential", asymptote=0.5))
    _, context = option.expand([replace(experiment, parameter_values=np.array([[0.4]]))])
    flat = ExpectationValues(np.full((1, 2), np.nan), np.full((1, 2), 0.01))
    plain = ExpectationValues(np.full((1, 2), 0.7), np.full((1, 2), 0.01))
    (outcome,) = option.reduce(context, [plain, flat, flat])
    assert outcome.values == pytest.approx(0.7)
    assert outcome.variances == pytest.approx(0.01)
    assert "it is the raw one" in outcome.diagnostics[-1].warning


def test_contexts_survive_json(device, experiment):
    _, context = MitiqPEC(device, MitiqPEC.Settings(num_samples=4, max_error=9)).expand(
        [experiment]
    )
    assert MitiqContext.model_validate_json(context.model_dump_json()) == context
    json.dumps(context.model_dump())


class Calibrated:
    """Where a device has its gates, all with one error."""

    def __init__(self, gates, error=0.0):
        self.gates, self.error = gates, error

    def get(self, quantity, *qubits, gate=""):
        return self.error


def test_noise_that_hangs_on_gate_names_still_falls_on_what_comes_back():
    """A simulator that takes every gate has noise for the circuit's own alone."""
    circuit = QuantumCircuit(1)
    for angle in (0.3, 1.2, -0.4):
        circuit.rx(angle, 0)
        circuit.ry(angle, 0)
    experiment = Experiment(circuit, np.empty((1, 0)), (SparsePauliOp("Z"),), None)
    option = MitiqZNE(DeviceBackend(open_device("statevector"), lambda: 1))
    folded = [each.circuit for each in option.expand([experiment])[0]]
    assert [each.count_ops() for each in folded] == [{"rx": 3 * n, "ry": 3 * n} for n in (1, 3, 5)]


def test_a_device_without_frame_changes_is_refused_where_errors_would_grow():
    circuit = QuantumCircuit(2)
    circuit.r(0.3, 0.4, 0)
    circuit.cz(0, 1)
    places = {"r": [(0,), (1,)], "cz": [(0, 1)]}
    binding = Binding((0, 1), "s", None, ("r", "cz"))
    experiment = Experiment(circuit, np.empty((1, 0)), OBSERVABLES, None, binding)
    with pytest.raises(MitigationError, match=r"the sum of its gate errors 0\.002 becomes"):
        hand_over(experiment, 0, Calibrated(places, 1e-3))


def test_gates_that_do_not_come_back_as_themselves_are_refused(device):
    circuit = QuantumCircuit(2)
    circuit.rx(0.3, 0)
    circuit.rzz(0.4, 0, 1)
    free = Experiment(circuit, np.empty((1, 0)), (SparsePauliOp("ZZ"),), None)
    with pytest.raises(MitigationError, match=r"mitiq\.zne refuses the circuit: 'Unable to trans"):
        stack_of(device, "MitiqZNE").plan([free])
