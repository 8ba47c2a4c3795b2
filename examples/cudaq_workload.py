"""CUDA-Q finds the angle on its CPU simulator; the device measures the energy there.

Run it:  qcpaas run examples/cudaq_workload.py --backend FakeKolkata

It needs a worker with CUDA-Q, which is no part of the base environment:
deployments/images/cudaq holds the image of one.

The Hamiltonian is that of the deuteron in a basis of two states, in MeV.
Source: Dumitrescu et al., PRL 120, 210501 (2018).
"""

import cudaq
import numpy as np
from cudaq import spin
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qcpaas import RuntimeWorkerBase

COEFFICIENTS = {"II": 5.907, "XX": -2.1433, "YY": -2.1433, "IZ": 0.21829, "ZI": -6.125}
HAMILTONIAN = SparsePauliOp.from_list(list(COEFFICIENTS.items()))


@cudaq.kernel
def trial(theta: float):  # noqa: ANN201 - a kernel without a result has no annotation
    """The trial state with its one angle."""
    qubits = cudaq.qvector(2)
    x(qubits[0])  # noqa: F821 - CUDA-Q's gates are known inside kernels
    ry(theta, qubits[1])  # noqa: F821
    x.ctrl(qubits[1], qubits[0])  # noqa: F821


def same_circuit() -> QuantumCircuit:
    """What `trial` does, for the platform to compile."""
    circuit = QuantumCircuit(2, name="deuteron")
    circuit.x(0)
    circuit.ry(Parameter("theta"), 1)
    circuit.cx(1, 0)
    return circuit


def spin_operator() -> "cudaq.SpinOperator":
    """The Hamiltonian in CUDA-Q's terms; Qiskit writes qubit 0 last."""
    pauli = {"X": spin.x, "Y": spin.y, "Z": spin.z, "I": spin.i}
    return sum(
        weight * pauli[label[1]](0) * pauli[label[0]](1) for label, weight in COEFFICIENTS.items()
    )


def exact_energy() -> float:
    """The lowest eigenvalue, in MeV."""
    return float(np.linalg.eigvalsh(HAMILTONIAN.to_matrix())[0])


class Deuteron(RuntimeWorkerBase):
    """The ground state's energy: the angle from CUDA-Q's simulator, the energy from the device."""

    backend_name = "FakeKolkata"
    options = ("ZeroNoiseExtrapolation", "ReadoutMitigation")
    shots = 20_000

    def run(self) -> dict[str, object]:
        cudaq.set_target("qpp-cpu")
        hamiltonian = spin_operator()
        angles = np.array([0.0, np.pi / 2, np.pi])
        energies = [cudaq.observe(trial, hamiltonian, angle).expectation() for angle in angles]
        # The energy is a + b cos(theta) + c sin(theta), so that three values give its minimum.
        a, b = (energies[0] + energies[2]) / 2, (energies[0] - energies[2]) / 2
        c = energies[1] - a
        theta = float(np.arctan2(-c, -b))
        simulated = cudaq.observe(trial, hamiltonian, theta).expectation()
        self.progress(1, 2, energy=simulated)
        measured = self.estimator.run([(same_circuit(), HAMILTONIAN, [theta])]).result()[0].data
        self.progress(2, 2, energy=float(measured.evs))
        return {
            "theta": theta,
            "exact_energy": exact_energy(),
            "simulated_energy": simulated,
            "energy": float(measured.evs),
            "energy_std_error": float(measured.stds),
            "target": cudaq.get_target().name,
        }
