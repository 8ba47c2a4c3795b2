import importlib.util
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from adapters.target import restrict
from pipeline.regression.learned import LearnedContext, LearnedMitigation
from pipeline.regression.torch_learned import TorchMitigation, TorchRegressor
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, ExpectationValues, Experiment
from qcpaas.schemas import OptionSpec

OBSERVABLES = (
    SparsePauliOp(["ZZII", "IZZI", "IIZZ"], [1 / 3] * 3),
    SparsePauliOp(["XIII", "IXII", "IIXI", "IIIX"], [0.25] * 4),
)
POINTS = np.array([[0.3, 0.55], [0.7, 0.35], [0.5, 0.2]])
PHYSICAL = (0, 1, 3, 4)  # a chain of FakeLima's
TORCH = importlib.util.find_spec("torch") is not None


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
    target = restrict(twin.calibration(), PHYSICAL)
    isa = transpile(
        ising(), target=target, initial_layout=range(4), optimization_level=1, seed_transpiler=1
    )
    placed = Binding(PHYSICAL, "s", None, twin.capabilities().basis_gates, log_fidelity=-0.4)
    wanted = tuple(one.apply_layout(isa.layout) for one in OBSERVABLES)
    return Experiment(isa, POINTS, wanted, 4096, placed)


@pytest.fixture(scope="module")
def exact():
    states = [Statevector(ising().assign_parameters(point)) for point in POINTS]
    return np.array([[s.expectation_value(o).real for o in OBSERVABLES] for s in states])


def stack_on(device, name="LearnedMitigation", **settings):
    seeds = iter(range(1000))
    spec = OptionSpec(name=name, settings=settings)
    return build_stack([spec], DeviceBackend(device, lambda: next(seeds)), "expectation")


def ideal(circuit=None, points=POINTS):
    placed = Binding((0, 1, 2, 3), "", None, ())
    return Experiment(circuit or ising(), points, OBSERVABLES, None, placed)


def option_with(**settings):
    backend = DeviceBackend(open_device("statevector"), lambda: 3)
    return LearnedMitigation(backend, LearnedMitigation.Settings(**settings))


def shrunk(option, asked, factors, shots_variance=1e-6):
    """What the option makes of exact values times a factor for each noise scale."""
    inner = build_stack([], DeviceBackend(open_device("statevector"), lambda: 3), "expectation")
    planned, context = option.expand(asked)
    rng = np.random.default_rng(0)
    outcomes = []
    for place, each in enumerate(planned):
        factor = factors[place // 2 % len(factors)]
        values = factor * inner.run([each])[0].values
        noise = rng.normal(0, np.sqrt(shots_variance), values.shape)
        outcomes.append(ExpectationValues(values + noise, np.full_like(values, shots_variance)))
    return option.reduce(context, outcomes)


def test_errors_on_a_twin_fall_and_error_bars_hold(twin, bound, exact):
    asked = replace(bound, parameter_values=POINTS[:2])
    outcomes = stack_on(twin, training=24).run([asked] * 3)
    errors = np.array([outcome.values - exact[:2] for outcome in outcomes])
    raw = np.array([outcome.raw_values - exact[:2] for outcome in outcomes])
    assert np.sqrt((errors**2).mean()) < np.sqrt((raw**2).mean()) / 3
    bars = np.sqrt([outcome.variances for outcome in outcomes])
    # Training circuits, further from the mean, err more than the circuit of interest.
    assert (np.abs(errors) <= bars).mean() >= 0.6
    assert bars.mean() < np.abs(raw).mean()


def test_noise_that_shrinks_values_is_undone(exact):
    (outcome,) = shrunk(option_with(), [ideal()], (0.7, 0.4))
    assert outcome.values == pytest.approx(exact, abs=0.01)
    assert outcome.raw_values == pytest.approx(0.7 * exact, abs=0.01)
    figures = outcome.diagnostics[-1].figures
    assert figures["validation_errors"][0] < figures["noisy_errors"][0] / 10
    (plot,) = LearnedMitigation.plots(figures)
    assert len(plot.series[1].y) == 48


def test_values_stay_as_measured_where_there_is_no_noise_but_shots(exact):
    (outcome,) = shrunk(option_with(model="mlp"), [ideal()], (1.0, 1.0), 1e-4)
    assert np.array_equal(outcome.values, outcome.raw_values)
    assert "2 of 2 observables are kept as measured" in outcome.diagnostics[-1].warning


def far_away(option):
    planned, context = option.expand([ideal()])
    exact = np.array(context.exact[0]).reshape(-1, 2)
    near = ExpectationValues(0.5 * exact, np.zeros_like(exact))
    far = ExpectationValues(np.full((3, 2), 1.8), np.zeros((3, 2)))
    return option.reduce(context, [far, near] * (len(planned) // 2))[0]


def test_a_value_outside_of_the_training_range_stays_as_measured():
    outcome = far_away(option_with())
    assert outcome.values == pytest.approx(np.full((3, 2), 1.8))
    assert "3 of 3 points are kept as measured" in outcome.diagnostics[-1].warning


def test_a_value_outside_of_the_training_range_fails_the_job_where_that_is_asked():
    with pytest.raises(MitigationError, match="3 of 3 points lie outside"):
        far_away(option_with(outside="fail"))


def test_one_model_serves_circuits_together_and_tells_them_apart(exact):
    short = ideal(ising(steps=1))
    separate = shrunk(option_with(training=24), [ideal(), short], (0.7, 0.4))
    together = shrunk(option_with(training=24, together=True), [ideal(), short], (0.7, 0.4))
    assert len(separate[0].diagnostics[-1].figures["exact"]) == 24
    assert len(together[0].diagnostics[-1].figures["exact"]) == 48
    assert together[0].values == pytest.approx(exact, abs=0.01)


def test_the_cost_is_what_is_planned(bound):
    for settings in ({}, {"training": 20, "training_shots": 512, "noise_scales": (1.0,)}):
        option = option_with(**settings)
        planned, _ = option.expand([bound])
        cost = option.cost(bound)
        assert sum(e.points for e in planned) == cost.circuits * bound.points
        shots = sum(e.points * e.shots for e in planned)
        assert shots == pytest.approx(cost.shots * bound.points * bound.shots)


def test_the_context_travels(bound):
    _, context = option_with().expand([bound])
    assert LearnedContext.model_validate_json(context.model_dump_json()) == context
    assert pickle.loads(pickle.dumps(context)) == context


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"model": "oracle"}, "model"),
        ({"noise_scales": [2, 3]}, "must rise from 1"),
        ({"training": 10}, "8 folds need 16 training circuits"),
        ({"outside": "ignore"}, "outside"),
    ],
)
def test_bad_settings_are_refused(twin, settings, complaint):
    with pytest.raises(OptionError, match=complaint):
        stack_on(twin, **settings)


def test_options_that_learn_the_same_are_refused_together(twin):
    specs = [OptionSpec(name="CliffordDataRegression"), OptionSpec(name="LearnedMitigation")]
    with pytest.raises(OptionError, match="both learn a correction"):
        build_stack(specs, DeviceBackend(twin, lambda: 1), "expectation")


@pytest.mark.skipif(TORCH, reason="PyTorch is installed here")
def test_an_environment_without_pytorch_says_so(twin):
    with pytest.raises(OptionError, match="TorchMitigation needs torch"):
        stack_on(twin, "TorchMitigation")


@pytest.mark.skipif(not TORCH, reason="PyTorch is in an image of its own, deployments/images/torch")
def test_networks_of_pytorch_undo_noise_and_are_the_same_each_time(exact):
    backend = DeviceBackend(open_device("statevector"), lambda: 3)
    option = TorchMitigation(backend, TorchMitigation.Settings(networks=1, steps=100))
    first, second = (shrunk(option, [ideal()], (0.7, 0.4))[0] for _ in range(2))
    assert first.values == pytest.approx(exact, abs=0.05)
    assert np.array_equal(first.values, second.values)
    assert first.diagnostics[-1].option == "TorchMitigation"
    assert isinstance(option.regressor(1), TorchRegressor)


def test_the_image_pins_pytorch_and_the_base_environment_has_none():
    root = Path(__file__).parents[4]
    image = root / "deployments" / "images" / "torch"
    lines = (image / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if re.fullmatch(r"torch==[\d.]+", line)]
    assert "-r /tmp/torch.txt" in (image / "Containerfile").read_text()
    assert 'name = "torch"' not in (root / "uv.lock").read_text()
