"""The twin against Aer's own device noise model, which is built from the vendor's backend."""

import functools

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.providers import BackendV2
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay, TimeUnitConversion

from adapters.contract import Submission
from adapters.target import restrict
from adapters.twins import TwinProvider
from qcpaas.execution import Binding, Experiment

BACKENDS = {
    "FakeKolkata": ("FakeKolkataV2", (1, 4, 7, 10, 12)),  # CX
    "FakeSherbrooke": ("FakeSherbrooke", (20, 33, 39, 40, 41)),  # ECR, one direction
    "FakeTorino": ("FakeTorino", (4, 5, 6, 7, 8)),  # CZ
}


@functools.cache
def vendor_backend(name):
    from qiskit_ibm_runtime import fake_provider

    return getattr(fake_provider, BACKENDS[name][0])()


class PartOf(BackendV2):
    """A few qubits of a vendor's backend, since Aer's noise model of all takes a minute."""

    def __init__(self, target):
        super().__init__()
        self._target = target

    @property
    def target(self):
        return self._target

    @property
    def max_circuits(self):
        return None

    @classmethod
    def _default_options(cls):
        return None

    def run(self, run_input, **options):
        raise NotImplementedError


@functools.cache
def part(name):
    return PartOf(restrict(vendor_backend(name).target, BACKENDS[name][1]))


@functools.cache
def aer_noise_model(name):
    from qiskit_aer.noise import NoiseModel

    return NoiseModel.from_backend(part(name), readout_error=False)


def ghz(width):
    circuit = QuantumCircuit(width, name=f"ghz_{width}")
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def random_layers(width, seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(width, name=f"random_{width}")
    for layer in range(4):
        for qubit in range(width):
            circuit.u(*rng.uniform(0, 2 * np.pi, 3), qubit)
        for qubit in range(layer % 2, width - 1, 2):
            circuit.cx(qubit, qubit + 1)
    return circuit


def qaoa(width):
    circuit = QuantumCircuit(width, name=f"qaoa_{width}")
    circuit.h(range(width))
    for qubit in range(width - 1):
        circuit.rzz(0.7, qubit, qubit + 1)
    circuit.rx(0.9, range(width))
    return circuit


def waiting():
    """One qubit of a Bell pair waits 40 us, while one works."""
    circuit = QuantumCircuit(3, name="waiting")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.delay(40_000, 0, unit="ns")
    circuit.x(0)
    for _ in range(9):
        circuit.sx(2)
        circuit.cx(1, 2)
    circuit.barrier()
    circuit.h([0, 2])
    return circuit


CIRCUITS = [ghz(2), ghz(5), random_layers(3, 5), random_layers(4, 6), qaoa(4), waiting()]


def compiled(name, circuit):
    measured = circuit.copy()
    measured.measure_all()
    return transpile(
        measured,
        target=part(name).target,
        initial_layout=list(range(circuit.num_qubits)),
        optimization_level=1,
        seed_transpiler=3,
    )


def by_aer(name, isa):
    """Probabilities of the clbits from Aer's noise model, Qiskit's scheduling, exact."""
    from qiskit_aer import AerSimulator
    from qiskit_aer.library import SaveProbabilities

    target = part(name).target
    schedule = [TimeUnitConversion(target=target), ALAPScheduleAnalysis(target=target)]
    padded = PassManager([*schedule, PadDelay(target=target)]).run(isa)
    circuit = padded.copy_empty_like()
    measured = {}
    for instruction in padded.data:
        if instruction.name == "measure":
            clbit = padded.find_bit(instruction.clbits[0]).index
            measured[clbit] = padded.find_bit(instruction.qubits[0]).index
        else:
            circuit.append(instruction)
    qubits = [measured[clbit] for clbit in sorted(measured)]
    circuit.append(SaveProbabilities(len(qubits)), qubits)
    simulator = AerSimulator(method="density_matrix", noise_model=aer_noise_model(name))
    result = simulator.run(circuit).result()
    assert result.success, result.status
    physical = [BACKENDS[name][1][qubit] for qubit in qubits]
    return with_readout(name, result.data(0)["probabilities"], physical)


def with_readout(name, probabilities, physical_qubits):
    properties = vendor_backend(name).properties()
    confusion = np.eye(1)
    for qubit in physical_qubits:
        p10 = properties.qubit_property(qubit, "prob_meas1_prep0")[0]
        p01 = properties.qubit_property(qubit, "prob_meas0_prep1")[0]
        confusion = np.kron([[1 - p10, p01], [p10, 1 - p01]], confusion)
    return confusion @ probabilities


def by_twin(name, isa):
    binding = Binding(BACKENDS[name][1], "", None, ())
    return run_exactly(name, Experiment(isa, np.zeros((1, 0)), shots=None, binding=binding))


def run_exactly(name, experiment):
    twin = TwinProvider().open(name)
    result = twin.result(twin.submit(Submission((experiment,), seed=1), token="t"))
    return as_vector(result.counts[0].points[0])


def as_vector(distribution):
    vector = np.zeros(2**distribution.num_bits)
    for bits, weight in distribution.to_dict().items():
        vector[int(bits, 2)] = weight
    return vector


def hellinger(p, q):
    return np.sqrt(max(0.0, 1 - np.sum(np.sqrt(np.clip(p, 0, 1) * np.clip(q, 0, 1)))))


@pytest.mark.parametrize("circuit", CIRCUITS, ids=lambda circuit: circuit.name)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_twin_agrees_with_aers_device_noise_model(name, circuit):
    isa = compiled(name, circuit)
    expected, found = by_aer(name, isa), by_twin(name, isa)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert hellinger(expected, found) < 0.02
    # Alike in model and schedule, the two differ by the rounding of durations to dt alone.
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_circuit_numbered_as_the_device_runs_gate_for_gate():
    compact = compiled("FakeKolkata", qaoa(4))
    places = BACKENDS["FakeKolkata"][1]
    wide = QuantumCircuit(27, compact.num_clbits)
    wide.compose(compact, qubits=list(places), clbits=range(4), inplace=True)
    found = run_exactly("FakeKolkata", Experiment(wide, np.zeros((1, 0)), shots=None))
    np.testing.assert_allclose(found, by_twin("FakeKolkata", compact), atol=1e-12)


def test_the_comparison_would_notice_missing_idle_noise():
    isa = compiled("FakeKolkata", waiting())
    without = isa.copy_empty_like()
    for instruction in isa.data:
        if instruction.name not in {"delay", "barrier"}:
            without.append(instruction)
    assert hellinger(by_aer("FakeKolkata", isa), by_twin("FakeKolkata", without)) > 0.02
