import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from pipeline.zne import ZeroNoiseExtrapolation
from qcpaas.errors import MitigationError
from qcpaas.execution import ExecutionBackend, ExpectationValues, Experiment, Plan

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
    assert option(scale_factors=(1, 3, 5, 7)).circuit_factor() == 4
