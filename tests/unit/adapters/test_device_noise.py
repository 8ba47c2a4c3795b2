"""The noise model of a whole device against Aer's own, which takes minutes for a large one."""

import functools
from datetime import UTC, datetime

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.providers import BackendV2
from qiskit.quantum_info import DensityMatrix, SuperOp, average_gate_fidelity
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, thermal_relaxation_error

from adapters.device_noise import (
    device_noise_model,
    relaxation_kraus,
)
from adapters.fake_backends import read_snapshot
from adapters.gate_errors import depolarising_parameter, relaxation_fidelity
from adapters.target import build_target, restrict
from qcpaas.calibration import Quantity
from store.snapshot import Reading, Snapshot

PLACES = {
    "FakeKolkata": (1, 4, 7, 10),
    "FakeSherbrooke": (33, 39, 40, 41),
    "FakeTorino": (4, 5, 6, 7),
}
AT = datetime(2026, 11, 23, tzinfo=UTC)


class Part(BackendV2):
    """A few qubits of a device, as Aer wants to be told of them."""

    def __init__(self, target):
        super().__init__()
        self._target = target

    target = property(lambda self: self._target)
    max_circuits = None

    @classmethod
    def _default_options(cls):
        return None

    def run(self, run_input, **options):
        raise NotImplementedError


@functools.cache
def of_device(name):
    return device_noise_model(read_snapshot(name))


def errors_of(model):
    return {
        (name, place): SuperOp(error)
        for name, places in model._local_quantum_errors.items()
        for place, error in places.items()
    }


@pytest.mark.parametrize("name", PLACES)
def test_channels_are_those_of_aers_device_model(name):
    chosen = PLACES[name]
    target = restrict(build_target(read_snapshot(name), control_flow=()), chosen)
    theirs = NoiseModel.from_backend(Part(target))
    ours = of_device(name)
    expected = errors_of(theirs)
    assert len(expected) > 12
    for (gate, place), channel in expected.items():
        found = SuperOp(ours._local_quantum_errors[gate][tuple(chosen[q] for q in place)])
        np.testing.assert_allclose(found.data, channel.data, atol=1e-12, err_msg=f"{gate} {place}")
    for compact, physical in enumerate(chosen):
        wrong = [
            model._local_readout_errors[(qubit,)].probabilities[[0, 1], [1, 0]].mean()
            for model, qubit in ((ours, physical), (theirs, compact))
        ]  # a target knows the mean of the two errors alone
        assert wrong[0] == pytest.approx(wrong[1], abs=1e-12)


@pytest.mark.parametrize("name", PLACES)
def test_every_imperfect_place_has_an_error(name):
    snapshot = read_snapshot(name)
    found = of_device(name)._local_quantum_errors
    assert found.keys() == snapshot.gates.keys() - {"rz"}  # takes no time and is perfect
    for gate, places in found.items():
        assert set(places) == set(snapshot.gates[gate])


def test_a_circuit_with_a_delay_comes_out_as_with_aers_model():
    snapshot = read_snapshot("FakeAthens")
    target = build_target(snapshot, control_flow=())
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.delay(30_000, 1, unit="ns")
    circuit.cx(1, 2)
    circuit.sx(2)
    isa = transpile(circuit, target=target, optimization_level=0, initial_layout=[0, 1, 2])
    isa.save_density_matrix()
    states = [
        DensityMatrix(
            AerSimulator(method="density_matrix", noise_model=model)
            .run(isa)
            .result()
            .data(0)["density_matrix"]
        )
        for model in (device_noise_model(snapshot), NoiseModel.from_backend(Part(target)))
    ]
    np.testing.assert_allclose(states[0].data, states[1].data, atol=1e-10)
    assert states[0].purity().real < 0.9


@pytest.mark.parametrize(
    ("t1", "t2"), [(1e-4, 5e-5), (1e-4, 1e-4), (1e-4, 1.9e-4), (1e-4, 2e-4), (np.inf, 1e-4)]
)
def test_relaxation_is_that_of_aer(t1, t2):
    expected = SuperOp(thermal_relaxation_error(t1, t2, 3e-6))
    e1, e2 = np.exp(-3e-6 / t1), np.exp(-3e-6 / t2)
    found = sum(np.kron(k.conj(), k) for k in relaxation_kraus(e1, e2))
    np.testing.assert_allclose(found, expected.data, atol=1e-12)
    assert relaxation_fidelity([(e1, e2)]) == pytest.approx(average_gate_fidelity(expected))
    both = expected.tensor(expected)
    assert relaxation_fidelity([(e1, e2)] * 2) == pytest.approx(average_gate_fidelity(both))


def test_a_calibrated_error_below_relaxation_adds_nothing():
    assert depolarising_parameter(0.001, 0.99, 1) == 0.0


def test_an_error_of_one_is_cut_at_what_is_physical():
    assert depolarising_parameter(1.0, 1.0, 2) == pytest.approx(16 / 15)


def test_the_calibrated_error_is_the_channels():
    readings = [
        Reading(Quantity.T1_S, (0,), 1e-4, AT),
        Reading(Quantity.T2_RAMSEY_S, (0,), 8e-5, AT),  # where no other T2 is known
        Reading(Quantity.GATE_ERROR, (0,), 0.01, AT, "sx"),
        Reading(Quantity.GATE_DURATION_S, (0,), 1e-7, AT, "sx"),
        Reading(Quantity.GATE_ERROR, (0, 1), 0.03, AT, "cz"),  # qubit 1: no T1, no T2, no duration
    ]
    model = device_noise_model(Snapshot.of("device", 2, readings, AT))
    for place, error in errors_of(model).items():
        assert 1 - average_gate_fidelity(error) == pytest.approx(
            {"sx": 0.01, "cz": 0.03}[place[0]], rel=1e-9
        )


def test_what_is_out_of_order_has_no_noise():
    readings = [
        *(Reading(Quantity.GATE_ERROR, (q,), 0.01, AT, "sx") for q in range(2)),
        Reading(Quantity.OPERATIONAL, (1,), 0.0, AT),
    ]
    model = device_noise_model(Snapshot.of("device", 2, readings, AT))
    assert errors_of(model).keys() == {("sx", (0,))}
