"""Amplified noise is that of the device, times the scale; its curve leads back to none."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from pipeline.cancellation.amplification import ProbabilisticAmplification
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, Experiment
from qcpaas.schemas import OptionSpec

BASIS = ("cx", "rz", "sx", "x", "measure")
NOISE = {(0, 1): {"XI": 0.01, "ZZ": 0.02, "IY": 0.015, "YX": 0.01, "IZ": 0.01}}
OBSERVABLES = tuple(map(SparsePauliOp, ("ZZ", "XY", "ZI")))


def circuit():
    made, theta = QuantumCircuit(2), Parameter("theta")
    for _ in range(2):
        made.cx(0, 1)
        made.rz(theta, 1)
        made.cx(0, 1)
        for qubit in range(2):
            made.sx(qubit)
            made.rz(np.pi - 0.8, qubit)
            made.sx(qubit)
    return made


def experiment(rows=((0.7,),), shots=None):
    placed = Binding((0, 1), "", None, BASIS)
    return Experiment(circuit(), np.array(rows, dtype=float), OBSERVABLES, shots, placed)


def truth(rows=((0.7,),)):
    states = [Statevector(circuit().assign_parameters(list(row))) for row in rows]
    return np.array([[s.expectation_value(o).real for o in OBSERVABLES] for s in states])


def option(device, **settings):
    return ProbabilisticAmplification(device, ProbabilisticAmplification.Settings(**settings))


def scaled(factor):
    return {pair: {p: factor * r for p, r in rates.items()} for pair, rates in NOISE.items()}


def test_values_at_a_scale_are_those_of_a_device_with_so_much_more_noise(pauli_device):
    asked = experiment()
    pea = option(pauli_device(NOISE), scale_factors=(1, 2.5), samples=400)
    (found,) = pea.run([asked])
    figures = found.diagnostics[-1].figures
    for scale, value, error in zip((1, 2.5), figures["values"], figures["std_errors"], strict=True):
        (expected,) = pauli_device(scaled(scale)).execute([asked])
        assert value == pytest.approx(expected.values[0, 0], abs=4 * error + 1e-9)
    assert figures["std_errors"][1] < 0.03


def test_extrapolated_values_are_nearer_to_the_truth_and_errors_cover_it(pauli_device):
    rows = ((0.7,), (-0.4,))
    exact, scores, errors = truth(rows), [], []
    for seed in range(8):
        pea = option(pauli_device(NOISE, 0.01, seed), scale_factors=(1, 2), samples=40)
        (found,) = pea.run([experiment(rows, shots=4000)])
        scores.append((found.values - exact) / np.sqrt(found.variances))
        errors.append([found.values - exact, found.raw_values - exact])
    assert np.mean(np.abs(scores) < 1) > 0.6  # the fit's form is in the errors, too
    mitigated, raw = np.abs(np.mean(errors, axis=0)).mean(axis=(1, 2))
    assert mitigated < 0.35 * raw


def test_the_plan_costs_what_was_said_and_keeps_parameters_and_points(pauli_device):
    asked = experiment(((0.7,), (0.1,)), shots=4100)
    pea = option(pauli_device(NOISE, 0.001), scale_factors=(3, 1, 1.5), samples=41)
    planned, context = pea.expand([asked])
    cost = pea.cost(asked)
    assert sum(e.shots for e in planned) == cost.shots * asked.shots == 3 * 4100
    assert 0.9 * cost.circuits < len(planned) <= cost.circuits == 3 * 41
    assert all(e.circuit.parameters == asked.circuit.parameters for e in planned)
    assert context.circuits[0].scales == (1, 1.5, 3)
    assert type(context).model_validate_json(context.model_dump_json()) == context


def test_where_there_is_no_noise_nothing_is_extrapolated(pauli_device):
    (found,) = option(pauli_device({(0, 1): {}})).run([experiment()])
    assert found.values == pytest.approx(truth(), abs=1e-9)


def test_wrong_settings_and_stacks_are_refused(pauli_device):
    device = pauli_device(NOISE)
    with pytest.raises(ValueError, match="must contain 1"):
        option(device, scale_factors=(2, 3))
    with pytest.raises(ValueError, match="needs 3 scale factors"):
        option(device, scale_factors=(1, 2), fit="quadratic")
    with pytest.raises(MitigationError, match="30 shots are too few"):
        option(device).expand([experiment(shots=30)])
    both = [OptionSpec(name=n) for n in ("ZeroNoiseExtrapolation", "ProbabilisticAmplification")]
    with pytest.raises(OptionError, match="both remove the noise of gates"):
        build_stack(both, device, "expectation")


def test_layers_are_learnt_first_where_that_is_asked(pauli_device):
    device = pauli_device(NOISE)
    (layer,) = option(device, noise="learnt").wanted_noise([experiment()])
    assert [gate.qubits for gate in layer.gates] == [(0, 1)]
    (found,) = option(device, noise="learnt").run([experiment()])
    figures = found.diagnostics[-1].figures
    assert (figures["layers_learnt"], figures["layers_calibrated"]) == (4, 0)
    assert option(device).plots(figures)
