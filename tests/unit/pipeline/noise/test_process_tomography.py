"""Process tomography finds the processes that Qiskit's own channels describe."""

import itertools

import numpy as np
import pytest
from qiskit.circuit.library import CXGate, SwapGate, iSwapGate
from qiskit.quantum_info import PTM, Choi, Kraus, Operator, SuperOp
from qiskit_aer.noise import NoiseModel, ReadoutError, amplitude_damping_error, pauli_error

from adapters.backend import DeviceBackend
from adapters.twins import TwinProvider
from pipeline.noise.learning import learn, learning_experiments
from pipeline.noise.process_tomography import LayerProcesses, nearest_physical
from pipeline.pauli.transfer import ideal_transfer, transfer_matrix
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding
from qcpaas.noise import GateLayer, LayerGate, NoiseLearning

READOUT = (0.03, 0.08)
BASIS = ("cx", "swap", "rz", "sx", "x")
# Qiskit has the letters of a transfer matrix in the order I, X, Y, Z.
ORDER = np.array([4 * (0, 1, 3, 2)[i // 4] + (0, 1, 3, 2)[i % 4] for i in range(16)])


def layer(*pairs, name="cx"):
    return GateLayer(gates=tuple(LayerGate(name=name, qubits=pair) for pair in pairs))


def binding(qubits, errors=READOUT):
    return Binding(qubits, "snapshot", np.tile(errors, (len(qubits), 1)), BASIS)


def noisy(errors):
    """A noise model with a channel after gates."""
    model = NoiseModel()
    for (name, pair), error in errors.items():
        model.add_quantum_error(error, name, list(pair))
    p10, p01 = READOUT
    for qubit in range(5):
        model.add_readout_error(ReadoutError([[1 - p10, p10], [p01, 1 - p01]]), [qubit])
    return model.to_dict(serializable=True)


def device(noise, seed):
    return DeviceBackend(TwinProvider().open("FakeLima"), lambda: seed, noise)


def transfer_of(channel):
    """A Qiskit channel's transfer matrix, its letters in our order."""
    matrix = np.real(PTM(channel).data)
    return matrix[np.ix_(ORDER, ORDER)]


@pytest.mark.parametrize("gate", [CXGate(), iSwapGate()])
def test_transfer_matrices_are_qiskits(gate):
    assert transfer_matrix(Operator(gate).data) == pytest.approx(transfer_of(gate))
    assert ideal_transfer(gate.name) == pytest.approx(transfer_of(gate))


@pytest.mark.parametrize("name", ["cx", "swap"])
def test_a_gate_with_relaxation_is_found_behind_bad_readout(name):
    damping = amplitude_damping_error(0.08).tensor(amplitude_damping_error(0.03))
    gate = {"cx": CXGate(), "swap": SwapGate()}[name]
    truth = transfer_of(SuperOp(gate).compose(SuperOp(damping)))
    ran = device(noisy({(name, (0, 1)): damping}), 5)
    settings = NoiseLearning(method="process_tomography", shots=1000)
    experiments, context = learning_experiments(
        [layer((0, 1), name=name)], settings, place=lambda one: binding(one.qubits)
    )
    (counts,) = ran.run(experiments)
    (one,) = context.layers
    (process,) = one.processes(iter(counts.points), context.bindings[0])
    error = 2 / np.sqrt(16000)  # of one entry, roughly: inverting the states doubles it
    assert np.abs(process.transfer - truth).max() < 5 * error
    assert np.abs(process.physical - truth).max() < 5 * error
    assert 0 < process.distance < 0.15
    fidelities = np.diag(ideal_transfer(name).T @ truth)[1:]
    scores = (process.fidelities - fidelities) / np.sqrt(np.diag(process.covariance))
    assert 0.2 < (scores**2).mean() < 2.2


def test_gates_side_by_side_give_each_its_own_rates():
    labels = ["".join(letters) for letters in itertools.product("IXYZ", repeat=2)]
    first = pauli_error([("II", 0.9), ("ZZ", 0.1)])
    second = pauli_error([("II", 0.85), ("IX", 0.15)])
    noise = noisy({("cx", (1, 0)): first, ("cx", (3, 4)): second})
    both = layer((1, 0), (3, 4))
    settings = NoiseLearning(method="process_tomography")
    experiments, context = learning_experiments(
        [both], settings, place=lambda one: binding(one.qubits)
    )
    (found,) = learn(context, device(noise, 1).run(experiments))
    assert found.method == "process_tomography"
    assert len(found.paulis) == 30
    rates = dict(zip(found.paulis, zip(found.rates, found.std_errors, strict=True), strict=True))
    # After the gate: ZZ was Z on the target before it, which is qubit 0; X of control 3 was XX.
    expected = {"IIIZ": -np.log(0.8) / 2, "IIZZ": 0.0, "IXII": 0.0, "XXII": -np.log(0.7) / 2}
    assert labels[0] == "II"
    for label, truth in expected.items():
        rate, error = rates[label]
        assert abs(rate - truth) < 4 * error
    others = [rate / error for label, (rate, error) in rates.items() if label not in expected]
    assert max(others) < 4


def test_the_nearest_physical_process_is_physical_and_not_farther_than_the_truth():
    truth = transfer_of(Kraus([np.diag([1, 1, 1, -1])]))
    assert nearest_physical(truth)[0] == pytest.approx(truth)
    assert nearest_physical(truth)[1] == pytest.approx(0, abs=1e-12)
    disturbed = truth + np.random.default_rng(0).normal(0, 0.02, (16, 16))
    disturbed[0] = truth[0]
    physical, distance = nearest_physical(disturbed)
    assert 0 < distance < 0.2
    assert np.linalg.norm(physical - disturbed) <= np.linalg.norm(truth - disturbed)
    choi = Choi(PTM(physical[np.ix_(np.argsort(ORDER), np.argsort(ORDER))]))
    assert np.linalg.eigvalsh(choi.data).min() > -1e-9


def test_an_unread_qubit_is_named():
    one = LayerProcesses.of(layer((3, 4)))
    errors = np.array([[0.1, 0.1], [np.nan, 0.1]])
    blind = Binding((3, 4), "", errors, BASIS)
    with pytest.raises(MitigationError, match="readout errors of qubit 4"):
        one.processes(iter(()), blind)


def test_a_gate_that_nobody_knows_is_refused():
    with pytest.raises(MitigationError, match="magic cannot be learnt"):
        LayerProcesses.of(layer((0, 1), name="magic"))
