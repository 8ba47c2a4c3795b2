from math import comb

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator, SparsePauliOp

from pipeline.extrapolation.lre import (
    LayerwiseRichardson,
    LreContext,
    fold_patterns,
    richardson_weights,
)
from pipeline.mitiq_plugin.loading import load_mitiq
from qcpaas.errors import MitigationError
from qcpaas.execution import ExecutionBackend, ExpectationValues, Experiment, Plan

OBSERVABLES = (SparsePauliOp("ZZ"), SparsePauliOp(["XX", "II"], [0.5, 0.1]))


class Below(ExecutionBackend):
    """The place below an option that is planned and combined, and never run."""

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        raise AssertionError("nothing is executed here")

    def combine(self, plan, outcomes):
        return tuple(outcomes)


def option(**settings):
    return LayerwiseRichardson(Below(), LayerwiseRichardson.Settings(**settings))


def experiment(layers=4):
    circuit = QuantumCircuit(2)
    for layer in range(layers):
        circuit.rz(Parameter(f"angle{layer}"), 0)
        circuit.sx(0)
        circuit.cx(0, 1)
    return Experiment(circuit, np.ones((3, layers)), OBSERVABLES)


@pytest.mark.parametrize(
    ("degree", "fold_multiplier", "chunks"), [(1, 1, 4), (2, 1, 3), (2, 3, 2), (3, 2, 2)]
)
def test_weights_and_scales_are_those_of_mitiq(degree, fold_multiplier, chunks):
    load_mitiq()
    cirq = pytest.importorskip("cirq")
    inference = pytest.importorskip("mitiq.lre.inference")
    folding = pytest.importorskip("mitiq.lre.multivariate_scaling.layerwise_folding")
    qubits = cirq.LineQubit.range(2)
    circuit = cirq.Circuit([cirq.Moment(cirq.CNOT(*qubits))] * 4)
    theirs = folding.get_scale_factor_vectors(circuit, degree, fold_multiplier, chunks)
    ours = 2 * fold_multiplier * np.array(fold_patterns(chunks, degree)) + 1
    assert list(map(tuple, ours)) == list(map(tuple, theirs))
    expected = inference.multivariate_richardson_coefficients(
        circuit, degree, fold_multiplier, chunks
    )
    assert richardson_weights(ours, degree) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_chunks_are_folded_each_by_itself_and_parameters_stay():
    lre = option(degree=2, num_chunks=2)
    asked = experiment(5)
    planned, context = lre.expand([asked])
    assert len(planned) == comb(4, 2) == lre.cost(asked).circuits
    folds = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    gates = [2 * (2 * first + 1) + 3 * (2 * second + 1) for first, second in folds]
    assert [e.circuit.count_ops()["cx"] for e in planned] == gates
    assert context.scales[0] == pytest.approx([number / 5 for number in gates])
    plain = Operator(asked.circuit.assign_parameters([0.3] * 5))
    for each in planned:
        assert each.circuit.parameters == asked.circuit.parameters
        assert Operator(each.circuit.assign_parameters([0.3] * 5)).equiv(plain)
    assert LreContext.model_validate_json(context.model_dump_json()) == context


def polynomial(scales):
    """Of degree 2 in three scales, for 3 points and 2 observables; 0.9 and -0.4 at 0."""
    a, b, c = scales
    value = -0.02 * a - 0.05 * b - 0.03 * c + 0.001 * a * b + 0.002 * c**2
    return np.array([[0.9, -0.4]] * 3) + value * np.array([[1.0, -0.5]] * 3)


def test_a_polynomial_of_all_scales_is_extrapolated_exactly():
    lre = option(degree=2, num_chunks=3)
    _, context = lre.expand([experiment(6)])
    vectors = 2 * np.array(fold_patterns(3, 2)) + 1
    measured = [ExpectationValues(polynomial(v), np.full((3, 2), 1e-6)) for v in vectors]
    (outcome,) = lre.reduce(context, measured)
    assert outcome.values == pytest.approx(np.array([[0.9, -0.4]] * 3))
    assert outcome.raw_values == pytest.approx(polynomial((1, 1, 1)))
    weights = richardson_weights(vectors, 2)
    statistical = (weights**2).sum() * 1e-6
    assert (outcome.variances >= statistical * (1 - 1e-9)).all()
    (bare,) = option(num_chunks=3, systematic_error=False).reduce(context, measured)
    assert bare.variances == pytest.approx(statistical)
    assert outcome.diagnostics[-1].figures["norm"] == pytest.approx(np.abs(weights).sum())


def test_a_decay_in_every_chunk_is_within_the_error_bar():
    for degree in (1, 2, 3):
        lre = option(degree=degree, num_chunks=3)
        _, context = lre.expand([experiment(6)])
        vectors = 2 * np.array(fold_patterns(3, degree)) + 1
        values = np.exp(-vectors @ [0.03, 0.08, 0.05])
        measured = [ExpectationValues(np.full((3, 2), v), np.full((3, 2), 1e-8)) for v in values]
        (outcome,) = lre.reduce(context, measured)
        wrong = abs(outcome.values[0, 0] - 1.0)
        assert wrong < np.exp(-0.16) * 0.16 / 2**degree * 2
        assert wrong < 2 * np.sqrt(outcome.variances[0, 0])


def test_a_circuit_without_gates_to_fold_is_measured_as_it_is():
    lre = option()
    planned, context = lre.expand([experiment(0)])
    assert len(planned) == lre.cost(experiment(0)).circuits == 1
    value = ExpectationValues(np.full((3, 2), 0.5), np.full((3, 2), 1e-4))
    (outcome,) = lre.reduce(context, [value])
    assert outcome.values == pytest.approx(value.values)
    assert outcome.diagnostics[-1].warning == "no gate was folded"


def test_fewer_layers_than_chunks_are_a_chunk_each():
    planned, context = option(num_chunks=8).expand([experiment(2)])
    assert context.chunks == (2,)
    assert len(planned) == 6


def test_too_many_circuits_are_refused_before_anything_is_spent():
    with pytest.raises(MitigationError, match=r"60 chunks .* 1,891 circuits"):
        option(num_chunks=None).expand([experiment(60)])


def test_an_instruction_that_cannot_be_folded_is_named():
    circuit = QuantumCircuit(2, 1)
    circuit.cx(0, 1)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    asked = Experiment(circuit, np.zeros((1, 0)), OBSERVABLES)
    with pytest.raises(MitigationError, match=r"'if_else' on qubit.* \(number 2 of 2\)"):
        option().expand([asked])


def test_the_plots_show_the_values_and_their_weights():
    lre = option(degree=1, num_chunks=2)
    _, context = lre.expand([experiment(4)])
    measured = [
        ExpectationValues(np.full((3, 2), v), np.full((3, 2), 1e-4)) for v in (0.8, 0.7, 0.6)
    ]
    (outcome,) = lre.reduce(context, measured)
    values, weights = lre.plots(outcome.diagnostics[-1].figures)
    assert values.series[0].y == (0.8, 0.7, 0.6)
    assert values.series[1].y[0] == pytest.approx(outcome.values[0, 0])
    assert sum(weights.series[0].y) == pytest.approx(1.0)
