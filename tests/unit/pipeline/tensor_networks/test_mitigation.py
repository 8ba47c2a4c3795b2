from itertools import count

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import NoiseModel, depolarizing_error

from adapters.backend import AdapterServices, DeviceBackend
from adapters.registry import open_device
from pipeline.pauli.algebra import all_labels
from pipeline.stack import build_stack
from pipeline.tensor_networks.mitigation import TensorNetworkMitigation
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, Experiment
from qcpaas.noise import LayerNoise
from qcpaas.schemas import OptionSpec

DEPOLARISING = 0.03
OBSERVABLES = (
    SparsePauliOp(["ZZII", "IZZI", "XIII", "IIII"], [1.0, 0.5, 0.3, 0.2]),
    SparsePauliOp("XXXX"),
)


class LearntServices(AdapterServices):
    """Depolarising noise of every gate is what was learnt, and there is no calibration."""

    def calibration(self, binding):
        return None

    def learnt_noise(self, binding, layers):
        return tuple(map(learnt, layers))


def learnt(layer):
    rate = -np.log1p(-DEPOLARISING) / 16
    qubits, rates = layer.qubits, {}
    for gate in layer.gates:
        places = [len(qubits) - 1 - qubits.index(qubit) for qubit in gate.qubits]
        for label in all_labels(2):
            letters = ["I"] * len(qubits)
            letters[places[0]], letters[places[1]] = label[1], label[0]
            rates["".join(letters)] = rate
    return LayerNoise(layer=layer, qubits=qubits, paulis=tuple(rates), rates=tuple(rates.values()))


class LearntBackend(DeviceBackend):
    @property
    def services(self):
        return LearntServices(self.adapter, self._seed_source())


def depolarised():
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(DEPOLARISING, 2), ["cx"])
    seeds = count(70)
    return LearntBackend(
        open_device("FakeLima"), lambda: next(seeds), model.to_dict(serializable=True)
    )


def stacked(*options, device=None, **settings):
    specs = [OptionSpec(name="TensorNetworkMitigation", settings=settings)]
    return build_stack([*specs, *map(OptionSpec.parse, options)], device, "expectation")


def trotter(steps=3):
    """Of an Ising chain on Lima's line 0 - 1 - 3 - 4; ends with joint gates."""
    angle, circuit = Parameter("angle"), QuantumCircuit(4)
    for qubit in range(4):
        circuit.sx(qubit)
    for _ in range(steps):
        for pairs in ((0, 1), (2, 3)), ((1, 2),):
            for first, second in pairs:
                circuit.cx(first, second)
                circuit.rz(angle, second)
                circuit.cx(first, second)
        if _ < steps - 1:
            for qubit in range(4):
                circuit.rz(np.pi / 2, qubit)
                circuit.sx(qubit)
                circuit.rz(angle, qubit)
    return circuit


def bound(shots, points=((0.7,),), observables=OBSERVABLES, circuit=None, readout=None):
    place = (0, 1, 3, 4)
    placed = Binding(place, "s", readout, ("cx", "rz", "sx", "x", "measure"))
    return Experiment(circuit or trotter(), np.array(points), observables, shots, placed)


def test_known_pauli_noise_is_taken_out_at_every_point(exact_values):
    asked = bound(None, ((0.7,), (0.2,)), circuit=trotter(2))
    (outcome,) = stacked(device=depolarised(), bases=81, max_bond=128, twirl=False).run([asked])
    truth = exact_values(asked.circuit, asked.parameter_values, OBSERVABLES)
    assert np.abs(outcome.raw_values - truth).max() > 0.07
    assert outcome.values == pytest.approx(truth, abs=2e-3)
    # Exact probabilities: what is left is what was cut or not measured, and is within its bar.
    assert np.all(np.abs(outcome.values - truth) < 3 * np.sqrt(outcome.variances) + 1e-9)
    figures = outcome.diagnostics[-1].figures
    assert 1.2 < figures["growth"] < 4
    assert figures["learnt_layers"] == 8
    assert TensorNetworkMitigation.plots(figures)[0].series[0].y[0] > 1


def test_values_are_unbiased_and_within_their_error_bars_as_often_as_they_say(repeat, exact_values):
    asked = bound(6400)
    outcomes = repeat(stacked(device=depolarised()), asked, plans=1, draws=150)
    truth = exact_values(asked.circuit, asked.parameter_values, OBSERVABLES)[0]
    deviations = np.array([outcome.values[0] for outcome in outcomes]) - truth
    errors = np.sqrt([outcome.variances[0] for outcome in outcomes])
    coverage = (np.abs(deviations) < errors).mean(axis=0)  # standard error 3.3 %
    assert np.all((coverage > 0.58) & (coverage < 0.80)), coverage
    assert np.all(np.abs((deviations / errors).mean(axis=0)) < 0.35)


def test_a_devices_calibrated_noise_is_mostly_taken_out(exact_values):
    twin = open_device("FakeLima")
    snapshot = twin.calibration()
    readout = np.array([snapshot.readout_error(qubit) for qubit in (0, 1, 3, 4)])
    device = DeviceBackend(twin, lambda: 3)
    asked = bound(None, readout=readout)
    (outcome,) = stacked("ReadoutMitigation", device=device).run([asked])
    truth = exact_values(asked.circuit, asked.parameter_values, OBSERVABLES)
    assert abs(outcome.raw_values[0, 0] - truth[0, 0]) > 0.15
    # Without shots, what is left is what so many twirls leave: 0.012 from draw to draw.
    assert np.all(np.abs(outcome.values - truth) < 0.06)


def test_the_shots_are_shared_and_the_cost_is_an_upper_limit():
    stack = stacked(device=depolarised(), bases=20)
    asked = bound(1000, ((0.7,), (0.2,)))
    plan = stack.plan([asked])
    assert sum(experiment.shots for experiment in plan.experiments) == 2000
    assert len(plan.experiments) <= 2 * stack.cost(asked).circuits
    assert all(e.parameter_values.shape == (1, 0) for e in plan.experiments)
    assert "times the shots" in plan.contexts[0].announcement


def test_a_circuit_that_is_too_deep_for_the_bond_is_refused():
    with pytest.raises(MitigationError, match=r"54 joint gates\) loses .* at bond 2"):
        stacked(device=depolarised(), max_bond=2, max_loss=0.01).plan(
            [bound(1000, circuit=trotter(9))]
        )


def test_it_makes_no_sense_with_what_removes_the_same_noise():
    with pytest.raises(OptionError, match="both remove the noise of gates"):
        build_stack(
            [
                OptionSpec.parse("ZeroNoiseExtrapolation"),
                OptionSpec.parse("TensorNetworkMitigation"),
            ],
            depolarised(),
            "expectation",
        )


def test_multiples_of_the_identity_stay_exact():
    (outcome,) = stacked(device=depolarised()).run(
        [bound(100, observables=(SparsePauliOp("IIII", 2.5),))]
    )
    assert outcome.values[0, 0] == pytest.approx(2.5)
    assert outcome.variances[0, 0] < 1e-3
