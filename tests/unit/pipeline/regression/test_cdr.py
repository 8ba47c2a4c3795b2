import pickle
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from adapters.target import restrict
from pipeline.regression.cdr import CdrContext, CliffordDataRegression
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, ExpectationValues, Experiment
from qcpaas.schemas import OptionSpec

OBSERVABLES = (
    SparsePauliOp(["ZZII", "IZZI", "IIZZ"], [1 / 3] * 3),
    SparsePauliOp(["XIII", "IXII", "IIXI", "IIIX"], [0.25] * 4),
    SparsePauliOp("IZII"),
)
POINTS = np.array([[0.3, 0.55], [0.7, 0.35]])
PHYSICAL = (0, 1, 3, 4)  # a chain of FakeLima's


def ising(steps=3, qubits=4):
    theta = ParameterVector("theta", 2)
    circuit = QuantumCircuit(qubits, name="ising")
    for _ in range(steps):
        for qubit in range(qubits - 1):
            circuit.rzz(2 * theta[0], qubit, qubit + 1)
        circuit.rx(2 * theta[1], range(qubits))
    return circuit


@pytest.fixture(scope="module")
def twin():
    return open_device("FakeLima")


@pytest.fixture(scope="module")
def bound(twin):
    circuit = ising()
    target = restrict(twin.calibration(), PHYSICAL)
    isa = transpile(
        circuit, target=target, initial_layout=range(4), optimization_level=1, seed_transpiler=1
    )
    placed = Binding(PHYSICAL, "s", None, twin.capabilities().basis_gates)
    wanted = tuple(one.apply_layout(isa.layout) for one in OBSERVABLES)
    return Experiment(isa, POINTS, wanted, 4096, placed)


@pytest.fixture(scope="module")
def exact():
    states = [Statevector(ising().assign_parameters(point)) for point in POINTS]
    return np.array([[s.expectation_value(o).real for o in OBSERVABLES] for s in states])


def stack_on(device, settings, seed):
    seeds = iter(range(100 * seed, 100 * seed + 100))
    spec = OptionSpec(name="CliffordDataRegression", settings=settings)
    return build_stack([spec], DeviceBackend(device, lambda: next(seeds)), "expectation")


def depolarised(option, asked, strength, shift=0.0, shots_variance=0.0):
    """What the option makes of exact values that were shrunk towards 0, and shifted."""
    inner = build_stack([], DeviceBackend(open_device("statevector"), lambda: 3), "expectation")
    planned, context = option.expand([asked])
    outcomes = [
        ExpectationValues(
            (1 - strength) * inner.run([each])[0].values + shift,
            np.full((each.points, len(asked.observables)), shots_variance),
        )
        for each in planned
    ]
    return option.reduce(context, outcomes)[0]


def ideal(**changes):
    placed = Binding((0, 1, 2, 3), "", None, ())
    asked = Experiment(ising(), POINTS, OBSERVABLES, None, placed)
    return replace(asked, **changes)


def option_with(**settings):
    backend = DeviceBackend(open_device("statevector"), lambda: 3)
    return CliffordDataRegression(backend, CliffordDataRegression.Settings(**settings))


@pytest.mark.parametrize(
    "settings", [{}, {"fit": "proportional"}, {"kept": 0}, {"scale_factors": (1, 3)}]
)
def test_global_depolarising_noise_is_inverted_exactly(exact, settings):
    outcome = depolarised(option_with(**settings), ideal(), 0.4)
    assert outcome.values == pytest.approx(exact, abs=1e-9)
    assert outcome.variances == pytest.approx(0.0, abs=1e-12)
    assert outcome.raw_values == pytest.approx(0.6 * exact, abs=1e-9)
    assert outcome.diagnostics[-1].figures["slope"] == pytest.approx(0.6)


def test_errors_on_a_twin_fall_and_error_bars_hold(twin, bound, exact):
    """Twenty draws of training circuits and shots at one point, in one submission."""
    one = replace(bound, parameter_values=POINTS[:1])
    outcomes = stack_on(twin, {}, 1).run([one] * 20)
    errors = np.array([outcome.values - exact[:1] for outcome in outcomes])
    raw = np.array([outcome.raw_values - exact[:1] for outcome in outcomes])
    assert np.sqrt((errors**2).mean()) < np.sqrt((raw**2).mean()) / 3
    bars = np.sqrt([outcome.variances for outcome in outcomes])
    # Errors of one point are correlated, and training circuits scatter more than the circuit of
    # interest: over many points 68 to 90 % were found within one standard error.
    assert (np.abs(errors) <= bars).mean() >= 0.6
    assert (np.abs(errors) <= 2 * bars).mean() > 0.9
    assert bars.mean() < np.abs(raw).mean()


def test_nothing_is_harmed_where_there_is_no_noise(exact):
    seeds = iter(range(1000))
    backend = DeviceBackend(open_device("statevector"), lambda: next(seeds))
    stack = build_stack([OptionSpec(name="CliffordDataRegression")], backend, "expectation")
    outcomes = stack.run([ideal(shots=1024)] * 10)
    errors = np.array([outcome.values - exact for outcome in outcomes])
    bars = np.sqrt([outcome.variances for outcome in outcomes])
    raw_bars = np.sqrt([outcome.raw_variances for outcome in outcomes])
    assert np.sqrt((errors**2).mean()) < 1.3 * np.sqrt((raw_bars**2).mean())
    assert (np.abs(errors) <= 2 * bars).mean() > 0.9


def test_the_cost_is_what_is_planned(bound):
    for settings in ({}, {"training": 9, "training_shots": 512, "scale_factors": (1.0, 3.0)}):
        option = option_with(**settings)
        planned, _ = option.expand([bound])
        cost = option.cost(bound)
        assert sum(e.points for e in planned) == cost.circuits * bound.points
        shots = sum(e.points * e.shots for e in planned)
        assert shots == pytest.approx(cost.shots * bound.points * bound.shots)


def test_the_plan_and_its_context_travel(bound):
    option = option_with()
    _, context = option.expand([bound])
    assert CdrContext.model_validate_json(context.model_dump_json()) == context
    assert pickle.loads(pickle.dumps(context)) == context


def test_a_symmetrys_shift_is_taken_off():
    """Without field Z of a qubit in the equator is 0 in every training circuit as well."""
    circuit = QuantumCircuit(2)
    circuit.ry(np.pi / 2, [0, 1])
    circuit.rzz(0.4, 0, 1)
    placed = Binding((0, 1), "", None, ())
    asked = Experiment(circuit, np.empty((1, 0)), (SparsePauliOp("IZ"),), None, placed)
    outcome = depolarised(option_with(), asked, 0.2, shift=0.05)
    assert outcome.values[0, 0] == pytest.approx(0.0, abs=1e-9)


def test_values_stay_as_measured_where_nothing_could_be_learnt(exact):
    outcome = depolarised(option_with(), ideal(), 1.0, shift=0.3)  # noise erases everything
    assert outcome.values == pytest.approx(np.full_like(exact, 0.3))
    assert "6 of 6 values are kept as measured" in outcome.diagnostics[-1].warning


def test_a_value_outside_of_the_training_circuits_values_is_pointed_out():
    option = option_with()
    planned, context = option.expand([ideal()])
    trained = np.array(context.exact[0]).reshape(-1, 3)
    far = ExpectationValues(np.full((2, 3), 1.5), np.zeros((2, 3)))
    near = ExpectationValues(trained * 0.5, np.zeros_like(trained))
    (outcome,) = option.reduce(context, [far, near])
    assert len(planned) == 2
    assert "6 of 6 measured values lie outside" in outcome.diagnostics[-1].warning


def test_the_training_circuits_are_plotted_with_the_line(bound):
    outcome = depolarised(option_with(), ideal(), 0.4, shots_variance=1e-4)
    (plot,) = CliffordDataRegression.plots(outcome.diagnostics[-1].figures)
    training, line, _ = plot.series
    assert len(training.x) == len(training.errors) == 16
    assert (line.y[1] - line.y[0]) / (line.x[1] - line.x[0]) == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"training": 3}, "greater than or equal to 4"),
        ({"scale_factors": [3, 1]}, "must rise from 1"),
        ({"scale_factors": [1, 3], "fit": "proportional"}, "proportional fit is for"),
        ({"scale_factors": [1, 2, 3], "training": 5}, "need 6 training circuits"),
        ({"fit": "cubic"}, "fit"),
    ],
)
def test_bad_settings_are_refused(twin, settings, complaint):
    with pytest.raises(OptionError, match=complaint):
        stack_on(twin, settings, 1)


def test_an_instruction_that_cannot_be_trained_on_is_named_before_anything_runs(bound):
    circuit = bound.circuit.copy()
    circuit.reset(0)
    with pytest.raises(MitigationError, match="has reset"):
        option_with().expand([replace(bound, circuit=circuit)])
