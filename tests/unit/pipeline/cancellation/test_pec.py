"""Error cancellation against a device whose noise is known exactly, and against a twin."""

from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.twins import TwinProvider
from calibration.binding import bind_in_place
from pipeline.cancellation.pec import ProbabilisticErrorCancellation
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, Experiment
from qcpaas.schemas import OptionSpec

BASIS = ("cx", "rz", "sx", "x", "measure")
NOISE = {
    (0, 1): {"XI": 0.02, "ZZ": 0.03, "IY": 0.015, "YX": 0.01},
    (1, 2): {"IX": 0.01, "ZI": 0.04, "XZ": 0.02},
}
OBSERVABLES = tuple(map(SparsePauliOp, ("ZIZ", "XXX", "IYY", "ZII")))


def ising(steps=2):
    """An Ising chain of three qubits in a device's gates, with a parameter."""
    circuit, theta = QuantumCircuit(3), Parameter("theta")
    for _ in range(steps):
        for pair in ((0, 1), (1, 2)):
            circuit.cx(*pair)
            circuit.rz(theta, pair[1])
            circuit.cx(*pair)
        for qubit in range(3):
            circuit.sx(qubit)
            circuit.rz(np.pi - 0.8, qubit)
            circuit.sx(qubit)
    return circuit


def experiment(rows=((0.7,),), shots=None, circuit=None, basis=BASIS):
    placed = Binding((0, 1, 2), "", None, basis)
    return Experiment(circuit or ising(), np.array(rows, dtype=float), OBSERVABLES, shots, placed)


def truth(rows=((0.7,),)):
    states = [Statevector(ising().assign_parameters(list(row))) for row in rows]
    return np.array([[s.expectation_value(o).real for o in OBSERVABLES] for s in states])


def option(device, **settings):
    return ProbabilisticErrorCancellation(
        device, ProbabilisticErrorCancellation.Settings(**settings)
    )


@pytest.mark.parametrize("damping", [0.0, 0.02])
def test_cancelled_values_are_those_without_noise_and_errors_cover_them(pauli_device, damping):
    rows = ((0.7,), (-0.4,))
    exact, scores, improved = truth(rows), [], []
    asked = experiment(rows, shots=4000)
    for seed in range(10):
        pec = option(pauli_device(NOISE, damping, seed), samples=50)
        (found,) = pec.run([asked])
        scores.append((found.values - exact) / np.sqrt(found.variances))
        improved.append([found.values - exact, found.raw_values - exact])
    scores = np.array(scores)
    # 80 scores, of which those of a seed depend on each other.
    assert 0.55 < np.mean(np.abs(scores) < 1) < 0.85
    assert np.mean(scores**2) == pytest.approx(1, abs=0.5)
    mean_error, mean_raw = np.abs(np.mean(improved, axis=0)).mean(axis=(1, 2))
    assert mean_error < 0.35 * mean_raw


def test_with_many_circuits_nothing_is_left_of_the_noise(pauli_device):
    asked = experiment()
    (found,) = option(pauli_device(NOISE), samples=1200).run([asked])
    assert np.abs(found.values - truth()).max() < 4 * np.sqrt(found.variances).max() < 0.2
    assert np.abs(found.raw_values - truth()).max() > 0.25
    (plain,) = pauli_device(NOISE).execute([replace(asked, circuit=asked.circuit)])
    assert found.raw_values == pytest.approx(plain.values, abs=1e-9)  # noise is Pauli noise


def test_noise_that_is_no_pauli_noise_needs_twirled_circuits(pauli_device):
    asked = experiment()
    errors = [
        np.abs(option(pauli_device(NOISE, 0.03), samples=700, twirl=twirl).run([asked])[0].values)
        - np.abs(truth())
        for twirl in (True, False)
    ]
    assert np.abs(errors[0]).max() < 0.5 * np.abs(errors[1]).max()


def test_circuits_that_come_out_equal_run_once_with_their_shots(pauli_device):
    asked = experiment(shots=40_000)
    pec = option(pauli_device(NOISE), samples=2000, twirl=False)
    planned, context = pec.expand([asked])
    assert len(planned) < 400
    assert sum(e.shots for e in planned) == 40_000
    strata = context.circuits[0].strata
    assert sum(sum(stratum.draws) for stratum in strata) == 2000
    assert strata[0].draws == (planned[0].shots // 20,)
    assert sum(stratum.chance for stratum in strata) == pytest.approx(1)
    (found,) = pec.run([asked])
    assert np.all(np.abs(found.values - truth()) < 4 * np.sqrt(found.variances))


def test_the_plan_costs_what_was_said_and_keeps_parameters_and_points(pauli_device):
    asked = experiment(((0.7,), (0.1,)), shots=5000)
    pec = option(pauli_device(NOISE), samples=90)
    planned, context = pec.expand([asked])
    cost = pec.cost(asked)
    assert sum(e.points for e in planned) == cost.circuits * asked.points == 90 * 2
    assert sum(e.shots for e in planned) == cost.shots * asked.shots == 5000
    assert all(e.circuit.parameters == asked.circuit.parameters for e in planned)
    assert all(set(e.circuit.count_ops()) <= set(BASIS) for e in planned)
    assert type(context).model_validate_json(context.model_dump_json()) == context
    norm = np.exp(2 * (4 * sum(NOISE[0, 1].values()) + 4 * sum(NOISE[1, 2].values())))
    assert context.circuits[0].norm == pytest.approx(norm)
    assert f"norm γ = {norm:.3g}, so γ² = {norm**2:.3g} times the shots" in context.announcement


def test_without_noise_the_plain_circuit_runs(pauli_device):
    pec = option(pauli_device({pair: {} for pair in NOISE}))
    asked = experiment(shots=100)
    planned, _ = pec.expand([asked])
    assert [e.circuit for e in planned] == [asked.circuit]
    (found,) = pec.run([experiment()])
    assert found.values == pytest.approx(truth(), abs=1e-9)
    assert found.diagnostics[-1].warning == ""


def test_a_budget_that_is_too_small_is_refused_and_what_is_needed_said(pauli_device):
    noisy = {pair: {"XX": 0.06, "ZI": 0.08} for pair in NOISE}
    pec = option(pauli_device(noisy))
    norm = np.exp(2 * 8 * 0.14)
    needed = int(np.ceil((norm / 0.5) ** 2))
    with pytest.raises(MitigationError, match=rf"At least {needed} shots are needed for 0.5"):
        pec.expand([experiment(shots=200)])
    pec.expand([experiment(shots=needed)])
    with pytest.raises(MitigationError, match=r"max_overhead is 2. Raise it"):
        option(pauli_device(noisy), max_overhead=2).expand([experiment(shots=10**6)])
    with pytest.raises(MitigationError, match=r"At least 80 shots"):
        option(pauli_device(NOISE), max_std_error=10).expand([experiment(shots=70)])


def test_what_cannot_be_cancelled_is_told(pauli_device):
    device = pauli_device(NOISE)
    with pytest.raises(MitigationError, match="without calibration"):
        option(device, noise="calibration").expand([experiment()])
    with pytest.raises(MitigationError, match="not bound to a device"):
        option(device).expand([replace(experiment(), binding=None)])
    conditional = QuantumCircuit(3, 1)
    conditional.measure(0, 0)
    with conditional.if_test((0, 1)):
        conditional.x(1)
    with pytest.raises(MitigationError, match="'if_else', and the errors inside it"):
        option(device).expand([experiment([()], circuit=conditional)])
    both = [OptionSpec(name=n) for n in ("ProbabilisticErrorCancellation", "PauliTwirling")]
    with pytest.raises(OptionError, match="no sense together: error cancellation twirls"):
        build_stack(both, device, "expectation")


def test_layers_are_learnt_first_where_that_is_asked(pauli_device):
    device = pauli_device(NOISE)
    assert option(device).wanted_noise([experiment()]) == ()
    wanted = option(device, noise="learnt").wanted_noise([experiment(), experiment()])
    assert [[gate.qubits for gate in layer.gates] for layer in wanted] == [[(0, 1)], [(1, 2)]]
    _, context = option(device, noise="learnt").expand([experiment()])
    assert (context.circuits[0].learnt, context.circuits[0].calibrated) == (8, 0)


def test_errors_larger_than_the_correction_are_warned_of(pauli_device):
    weak = {pair: {"XX": 1e-4} for pair in NOISE}
    pec = option(pauli_device(weak), samples=40)
    (found,) = pec.run([experiment(shots=200)])
    assert "larger than what it corrected" in found.diagnostics[-1].warning
    (plot,) = pec.plots(found.diagnostics[-1].figures)
    assert plot.series[1].y == pytest.approx(found.values[0])


def test_a_twins_noise_is_cancelled_by_its_calibration():
    twin = TwinProvider().open("FakeLima")
    snapshot = twin.calibration()
    circuit = QuantumCircuit(2)
    circuit.rz(np.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(np.pi / 2, 0)
    for _ in range(5):
        circuit.cx(0, 1)
        circuit.barrier()
    basis = twin.capabilities().basis_gates
    asked = Experiment(
        circuit,
        np.empty((1, 0)),
        (SparsePauliOp("YY"),),
        None,
        bind_in_place(circuit, snapshot, basis),
    )
    options = [
        OptionSpec(name="ProbabilisticErrorCancellation", settings={"samples": 100}),
        OptionSpec(name="ReadoutMitigation"),
    ]
    device = DeviceBackend(twin, lambda: 3)
    (found,) = build_stack(options, device, "expectation").run([asked])
    (noisy,) = build_stack(options[1:], device, "expectation").run([asked])
    error = np.sqrt(found.variances)
    assert abs(found.values + 1) < 2.5 * error < abs(noisy.values + 1)
