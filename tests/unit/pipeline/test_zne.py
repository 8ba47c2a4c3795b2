from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from adapters.contract import Submission
from adapters.registry import open_device
from pipeline.stack import build_stack
from pipeline.zne import ZeroNoiseExtrapolation
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, ExecutionBackend, ExpectationValues, Experiment, Plan
from qcpaas.schemas import OptionSpec

OBSERVABLES = (SparsePauliOp(["ZZ", "II"], [1.0, 0.25]), SparsePauliOp("XX"))


class Below(ExecutionBackend):
    """The place below an option that is planned and combined, and never run."""

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        raise AssertionError("nothing is executed here")

    def combine(self, plan, outcomes):
        return tuple(outcomes)


def option(**settings):
    return ZeroNoiseExtrapolation(Below(), ZeroNoiseExtrapolation.Settings(**settings))


def experiment(gates):
    circuit = QuantumCircuit(2)
    for _ in range(gates):
        circuit.cx(0, 1)
        circuit.barrier()
    return Experiment(circuit, np.zeros((2, 0)), OBSERVABLES)


def decayed(scale, rate=0.07):
    """Both points and observables decay to what the identity's part leaves."""
    ideal, mixed = np.array([[1.25, 0.6], [-0.5, 0.9]]), np.array([0.25, 0.0])
    values = mixed + (ideal - mixed) * np.exp(-rate * scale)
    return ExpectationValues(values, np.zeros((2, 2)))


def test_values_that_decay_to_the_mixed_state_are_brought_back():
    zne = option(scale_factors=(1, 2, 3, 5))
    expanded, context = zne.expand([experiment(4), experiment(2)])
    assert [e.circuit.count_ops()["cx"] for e in expanded] == [4, 8, 12, 20, 2, 4, 6, 10]
    outcomes = zne.reduce(context, [decayed(s) for s in (1, 2, 3, 5)] * 2)
    for outcome in outcomes:
        assert outcome.values == pytest.approx(np.array([[1.25, 0.6], [-0.5, 0.9]]), abs=1e-9)
        assert outcome.raw_values == pytest.approx(decayed(1).values)


def test_the_fit_uses_the_scales_that_were_reached_not_those_that_were_wanted():
    zne = option(scale_factors=(1, 2, 3), fit="linear")
    expanded, context = zne.expand([experiment(3)])
    reached = [e.circuit.count_ops()["cx"] / 3 for e in expanded]
    assert reached[1] != 2.0  # three gates cannot be doubled by whole folds
    assert context.scales[0] == pytest.approx(reached)
    line = [ExpectationValues(np.full((2, 2), 0.9 - 0.1 * s), np.zeros((2, 2))) for s in reached]
    assert zne.reduce(context, line)[0].values == pytest.approx(0.9)


def test_the_diagnostic_tells_of_fits_that_were_replaced():
    zne = option()
    _, context = zne.expand([experiment(2)])
    crossing = [
        ExpectationValues(np.full((2, 2), value), np.full((2, 2), 1e-4))
        for value in (0.4, -0.3, 0.2)
    ]
    (outcome,) = zne.reduce(context, crossing)
    figures = outcome.diagnostics[-1].figures
    assert figures["fits_replaced"] == 4
    assert "cross" in figures["why_replaced"]


def test_too_few_gates_for_the_wanted_scales_are_refused():
    zne = option(scale_factors=(1.0, 1.5, 3.0), fit="quadratic")
    with pytest.raises(MitigationError, match="only 2 distinct noise scales"):
        zne.expand([experiment(1)])


def test_the_cost_is_one_circuit_a_scale():
    assert option(scale_factors=(1, 3, 5, 7)).cost(experiment(1)) == (4, 4)


def bound(gates, log_fidelity, shots=4096):
    placed = Binding((0, 1), "", None, ("cx",), log_fidelity=log_fidelity)
    return replace(experiment(gates), binding=placed, shots=shots)


def test_automatic_scales_follow_the_expected_fidelity_of_each_circuit():
    zne = option(scale_factors="auto")
    expanded, context = zne.expand([bound(20, -0.05), bound(20, -4.0)])
    counts = [e.circuit.count_ops()["cx"] for e in expanded]
    assert counts[:2] == counts[3:5] == [20, 20]
    assert counts[2] > counts[5] > 20
    assert context.scales == tuple(
        tuple(count / 20 for count in counts[first : first + 3]) for first in (0, 3)
    )
    assert zne.cost(bound(20, -0.05)).circuits == 3
    decays = [decayed(scale) for scales in context.scales for scale in scales]
    for outcome in zne.reduce(context, decays):
        assert outcome.values == pytest.approx(np.array([[1.25, 0.6], [-0.5, 0.9]]), abs=1e-9)


def test_where_no_fidelity_is_expected_automatic_scales_are_the_usual_ones():
    zne = option(scale_factors="auto")
    _, context = zne.expand([experiment(4), bound(4, None)])
    assert context.scales == ((1.0, 3.0, 5.0),) * 2


def test_a_circuit_of_one_gate_is_amplified_as_far_as_it_must_be():
    _, context = option(scale_factors="auto").expand([bound(1, -9.0), bound(0, -9.0)])
    assert context.scales == ((1.0, 1.0, 3.0), (1.0, 1.0, 1.0))


def test_automatic_scales_are_for_exponential_fits_alone():
    with pytest.raises(ValueError, match="a quadratic fit needs them given"):
        option(scale_factors="auto", fit="quadratic")


def test_the_plain_circuit_that_runs_twice_is_drawn_twice():
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.cx(0, 1)
    twin = open_device("FakeLima")
    placed = Binding((0, 1), "", None, twin.capabilities().basis_gates, log_fidelity=-0.1)
    asked = Experiment(circuit, np.zeros((1, 0)), OBSERVABLES[1:], 4096, placed)
    stack = build_stack(
        [OptionSpec(name="ZeroNoiseExtrapolation", settings={"scale_factors": "auto"})],
        Below(),
        "expectation",
    )
    planned = stack.plan([asked]).experiments
    result = twin.result(twin.submit(Submission(experiments=planned, seed=1), "once"))
    first, second, _ = (counts.points[0].to_dict() for counts in result.counts)
    assert first != second
