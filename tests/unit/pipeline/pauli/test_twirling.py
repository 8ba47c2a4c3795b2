"""Twirled circuits share the shots of one, and answer as it does without noise."""

from itertools import count

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.pauli.random_circuits import mean_of_draws, share, summed_counts
from pipeline.pauli.twirling import PauliTwirling
from pipeline.stack import build_stack
from qcpaas.execution import (
    Binding,
    Counts,
    Distribution,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Plan,
)
from qcpaas.schemas import OptionSpec

BASIS = ("cx", "rz", "sx", "x", "measure")
OBSERVABLES = (SparsePauliOp(["ZZ", "XI"], [1.0, 0.5]), SparsePauliOp("XX"))


class Below(ExecutionBackend):
    """The place below an option that is planned and combined, and never run."""

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        raise AssertionError("nothing is executed here")

    def combine(self, plan, outcomes):
        return tuple(outcomes)


def option(**settings):
    return PauliTwirling(Below(), PauliTwirling.Settings(**settings))


def ansatz():
    circuit = QuantumCircuit(2)
    theta = Parameter("theta")
    for _ in range(2):
        circuit.rz(theta, 0)
        circuit.sx([0, 1])
        circuit.rz(2 * theta + 0.3, 1)
        circuit.cx(0, 1)
    return circuit


def experiment(circuit, rows=((0.7,), (-1.1,)), shots=4001, observables=OBSERVABLES):
    placed = Binding((0, 1), "", None, BASIS)
    return Experiment(circuit, np.array(rows, dtype=float), observables, shots, placed)


def stack(level):
    seeds = count(50)
    device = DeviceBackend(open_device("statevector"), lambda: next(seeds))
    return build_stack([OptionSpec(name="PauliTwirling", settings={"twirls": 12})], device, level)


def test_without_noise_twirled_values_are_the_state_vectors_at_every_point():
    circuit = ansatz()
    (outcome,) = stack("expectation").run([experiment(circuit, shots=None)])
    truth = [
        [Statevector(circuit.assign_parameters(row)).expectation_value(o).real for o in OBSERVABLES]
        for row in ([0.7], [-1.1])
    ]
    assert outcome.values == pytest.approx(np.array(truth), abs=1e-9)
    assert outcome.variances == pytest.approx(0, abs=1e-12)


def test_counts_of_all_twirls_are_added_up():
    circuit = ansatz()
    circuit.measure_all()
    asked = experiment(circuit, shots=4001, observables=None)
    (outcome,) = stack("counts").run([asked])
    (exact,) = stack("counts").run([experiment(circuit, shots=None, observables=None)])
    for found, expected in zip(outcome.points, exact.points, strict=True):
        assert found.weights.sum() == found.shots == 4001
        assert expected.weights.sum() == pytest.approx(1)
        shares = {key: value / 4001 for key, value in found.to_dict().items()}
        for key, value in expected.to_dict().items():
            assert shares.get(key, 0.0) == pytest.approx(value, abs=5 * np.sqrt(0.25 / 4001))
    state = Statevector(circuit.remove_final_measurements(inplace=False).assign_parameters([0.7]))
    assert exact.points[0].to_dict() == pytest.approx(state.probabilities_dict(), abs=1e-9)


def test_the_plan_costs_what_was_said_and_keeps_parameters_and_points():
    asked = experiment(ansatz())
    twirling = option(twirls=25)
    planned, context = twirling.expand([asked])
    cost = twirling.cost(asked)
    assert sum(e.points for e in planned) == cost.circuits * asked.points == 25 * 2
    assert sum(e.shots for e in planned) == cost.shots * asked.shots == 4001
    assert all(e.circuit.parameters == asked.circuit.parameters for e in planned)
    assert all(e.source == asked.source and e.binding is asked.binding for e in planned)
    assert len(context.circuits[0].draws) == 25


def test_equal_twirls_run_once_with_the_shots_of_all():
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    planned, context = option(twirls=200).expand([experiment(circuit, [()], shots=2000)])
    assert len(planned) <= 16
    draws = context.circuits[0].draws
    assert sum(draws) == 200
    assert [e.shots for e in planned] == [10 * number for number in draws]


def test_few_shots_are_not_spread_over_more_twirls_than_they_suffice_for():
    asked = experiment(ansatz(), shots=30)
    planned, _ = option(twirls=32).expand([asked])
    assert sum(e.shots for e in planned) == 30
    assert min(e.shots for e in planned) >= 4
    assert option(twirls=32).cost(asked).circuits == len(planned) == 7


def test_gates_that_cannot_be_twirled_are_told():
    circuit = QuantumCircuit(2)
    circuit.rzz(0.3, 0, 1)
    twirling = option()
    planned, context = twirling.expand([experiment(circuit, [()])])
    assert [e.circuit for e in planned] == [circuit]
    values = np.zeros((1, 2))
    (outcome,) = twirling.reduce(context, [ExpectationValues(values, values)])
    assert outcome.diagnostics[-1].figures["untwirled"] == ["rzz"]
    assert outcome.diagnostics[-1].figures["gates"] == 0


@pytest.mark.parametrize("chances", [[0.6, 0.2, 0.1, 0.1], [0.02] * 50], ids=["few", "many"])
def test_the_error_of_a_mean_counts_shots_and_the_choice_of_circuits(chances):
    rng = np.random.default_rng(4)
    truth = rng.normal(0.3, 0.3, len(chances))
    found = []
    for _ in range(3000):
        draws = rng.multinomial(20, chances)
        values, draws = truth[draws > 0], draws[draws > 0]
        of_shots = 0.5 / draws
        measured = values + rng.normal(0, np.sqrt(of_shots))
        found.append(mean_of_draws(measured[:, None], of_shots[:, None], draws))
    means, variances = np.array(found)[:, :, 0].T
    assert np.mean(means) == pytest.approx(truth @ chances, abs=5 * np.std(means) / np.sqrt(3000))
    # Never too small; somewhat too large where shots alone explain the spread of a sample.
    assert 0.93 < np.mean(variances) / np.var(means) < 1.25


def test_shots_are_shared_by_draws_and_none_is_lost():
    assert share(100, [1, 1, 1]) == [33, 34, 33]
    assert share(7, [4, 2, 1]) == [4, 2, 1]
    assert share(None, [4, 2]) == [None, None]


def test_probabilities_of_random_circuits_are_averaged():
    def told(weights):
        return Counts((Distribution.from_dict(weights, 2, None),), (("meas", 2),))

    whole = summed_counts([told({"00": 1.0}), told({"00": 0.5, "11": 0.5})], [1, 3])
    assert whole.points[0].to_dict() == pytest.approx({"00": 0.625, "11": 0.375})
