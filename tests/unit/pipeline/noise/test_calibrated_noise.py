"""The calibrated Pauli noise is the twirled noise of the twins, to the last digit."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import PTM, SuperOp

from adapters.noise import DeviceErrors
from adapters.target import operation_named
from adapters.twins import TwinProvider
from pipeline.noise.calibrated import gate_rates, noise_from_calibration, relaxation_rates
from pipeline.noise.idle_noise import SCHEDULED_TWIRLS, idle_rates
from pipeline.pauli.algebra import codes_of, pauli_fidelities
from pipeline.pauli.frames import PauliFrames
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Experiment
from qcpaas.noise import GateLayer, LayerGate
from store.snapshot import Snapshot

PAULIS = ["".join(letters) for letters in itertools.product("IXYZ", repeat=2)]


@pytest.fixture(scope="module", params=[("FakeLima", "cx"), ("FakeSherbrooke", "ecr")])
def device(request):
    name, gate = request.param
    return TwinProvider().open(name).calibration(), gate


def test_a_gates_pauli_fidelities_are_those_of_the_twins_channel_before_the_gate(device):
    snapshot, gate = device
    for place in snapshot.gates[gate][:6]:
        layer = GateLayer(gates=(LayerGate(name=gate, qubits=place),))
        noise = noise_from_calibration(snapshot, layer)
        ideal = SuperOp(operation_named(gate, 2))
        channel = SuperOp(DeviceErrors(snapshot).of_gate(gate, place))
        twirled = np.diag(PTM(ideal.compose(channel).compose(ideal.adjoint())).data).real
        labels = PAULIS if noise.qubits == place else [label[::-1] for label in PAULIS]
        found = pauli_fidelities(codes_of(noise.paulis), noise.rates, codes_of(labels))
        assert found == pytest.approx(twirled, abs=1e-12)
        assert (noise.method, noise.device) == ("calibration", snapshot.device)
        assert noise.snapshot_id == snapshot.content_id


def test_single_qubit_gates_and_waiting_have_the_twins_noise_too(device):
    snapshot, _ = device
    channels = {
        "sx": (DeviceErrors(snapshot).of_gate("sx", (1,)), gate_rates(snapshot, "sx", (1,))),
        "idle": (
            DeviceErrors(snapshot).of_idling(1, 500_000),
            relaxation_rates(snapshot, 1, 5e-7),
        ),
    }
    for channel, rates in channels.values():
        found = pauli_fidelities(codes_of(list(rates)), list(rates.values()), codes_of("IXYZ"))
        assert found == pytest.approx(np.diag(PTM(channel).data).real, abs=1e-12)
    assert gate_rates(snapshot, "rz", (1,)) == {}


def test_gates_of_one_layer_keep_their_noise_to_themselves():
    snapshot = TwinProvider().open("FakeKolkata").calibration()
    gates = (LayerGate(name="cx", qubits=(1, 0)), LayerGate(name="cx", qubits=(4, 7)))
    noise = noise_from_calibration(snapshot, GateLayer(gates=gates))
    assert noise.qubits == (0, 1, 4, 7)
    for label in noise.paulis:
        touched = {
            q for q, letter in zip(noise.qubits, reversed(label), strict=True) if letter != "I"
        }
        assert touched <= {0, 1} or touched <= {4, 7}
    alone = noise_from_calibration(snapshot, GateLayer(gates=gates[1:]))
    shared = dict(zip(noise.paulis, noise.rates, strict=True))
    for label, rate in zip(alone.paulis, alone.rates, strict=True):
        assert shared[label + "II"] == rate


def test_what_is_not_calibrated_is_told_by_gate_and_qubits():
    snapshot = TwinProvider().open("FakeLima").calibration()
    layer = GateLayer(gates=(LayerGate(name="cx", qubits=(0, 4)),))
    with pytest.raises(MitigationError, match=r"cx on qubits 0, 4 .* no calibrated error"):
        noise_from_calibration(snapshot, layer)
    worst = [
        reading if reading.key != ("gate_error", "cx", (0, 1)) else replace(reading, value=1.0)
        for reading in snapshot.readings()
    ]
    broken = Snapshot.of("lima", 5, worst, snapshot.taken_at)
    layer = GateLayer(gates=(LayerGate(name="cx", qubits=(0, 1)),))
    with pytest.raises(MitigationError, match="nothing of its input is left"):
        noise_from_calibration(broken, layer)


def waiting(circuit, physical, twirled):
    """Noise of qubits that wait on a twin of FakeLima, by place."""
    snapshot = TwinProvider().open("FakeLima").calibration()
    binding = Binding(physical, "s", None, ("cx", "rz", "sx", "x", "measure"))
    experiment = Experiment(circuit, np.empty((1, 0)), None, None, binding)
    frames = PauliFrames(circuit, binding.basis_gates)
    return snapshot, dict(idle_rates(experiment, frames, snapshot, twirled=twirled))


def test_a_qubit_waits_after_its_last_gate_until_all_are_measured():
    circuit = QuantumCircuit(3, 1)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    snapshot, found = waiting(circuit, (0, 1, 3), twirled=False)
    second_s = snapshot.get(Quantity.GATE_DURATION_S, 1, 3, gate="cx")
    assert found.pop((3, 0)) == relaxation_rates(snapshot, 0, second_s)
    assert not any(found.values())
    circuit.measure(0, 0)
    _, read = waiting(circuit, (0, 1, 3), twirled=False)
    assert not any(qubit == 0 and index == 4 for index, qubit in read)


def test_a_qubit_waits_for_the_pulses_of_its_neighbours_twirls():
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    for _ in range(8):
        circuit.cx(1, 2)
    circuit.cx(0, 1)
    snapshot, plain = waiting(circuit, (0, 1, 3), twirled=False)
    _, twirled = waiting(circuit, (0, 1, 3), twirled=True)
    pulse_s = snapshot.get(Quantity.GATE_DURATION_S, 1, gate="x")
    longer = 4 * snapshot.get(Quantity.T1_S, 0) * (twirled[9, 0]["X"] - plain[9, 0]["X"])
    # A pulse in half of the twirls where one qubit decides, in 3 of 4 where two do; one of its own.
    spread = (7 * 3 / 16 + 3 / 4) / SCHEDULED_TWIRLS
    assert longer / pulse_s == pytest.approx(7 * 3 / 4 + 2 / 2 - 1 / 2, abs=3 * spread**0.5)
