"""The ground state of H2 by a variational quantum eigensolver, raw and mitigated.

Run it:  qcpaas run examples/h2_vqe.py --backend FakeKolkata

The Hamiltonian is H2 in the STO-3G basis at 0.735 Å under the Jordan-Wigner mapping, spin orbitals
in blocks (qubits 0 and 1 spin up, 2 and 3 spin down), energies in hartree. Its coefficients come
from the one- and two-electron integrals of a restricted Hartree-Fock calculation.
"""

from itertools import pairwise

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qcpaas import RuntimeWorkerBase

THIRDS = 2 * np.pi / 3 * np.array([-1, 0, 1])
NUCLEAR_REPULSION = 0.7199689944489797
HAMILTONIAN = SparsePauliOp.from_list(
    [
        ("IIII", -0.81054798160531 + NUCLEAR_REPULSION),
        ("IIIZ", 0.17218393261915566),
        ("IIZI", -0.22575349222402358),
        ("IZII", 0.17218393261915566),
        ("ZIII", -0.22575349222402358),
        ("IIZZ", 0.12091263261776633),
        ("IZIZ", 0.16892753870087907),
        ("ZIIZ", 0.16614543256382416),
        ("IZZI", 0.16614543256382416),
        ("ZIZI", 0.17464343068300453),
        ("ZZII", 0.12091263261776633),
        ("XXXX", 0.045232799946057826),
        ("YYXX", 0.045232799946057826),
        ("XXYY", 0.045232799946057826),
        ("YYYY", 0.045232799946057826),
    ]
)


def exact_energy() -> float:
    """The lowest eigenvalue, in hartree."""
    return float(np.linalg.eigvalsh(HAMILTONIAN.to_matrix())[0])


def ansatz() -> QuantumCircuit:
    """Hartree-Fock state, both single excitations, and the double one, as Pauli rotations."""
    circuit = QuantumCircuit(4, name="h2")
    circuit.x([0, 2])
    rotate(circuit, "YX", [0, 1], Parameter("single_up"))
    rotate(circuit, "YX", [2, 3], Parameter("single_down"))
    rotate(circuit, "YXXX", [0, 1, 2, 3], Parameter("double"))
    return circuit


def rotate(circuit: QuantumCircuit, paulis: str, qubits: list[int], angle: Parameter) -> None:
    """Append exp(-i angle/2 P), the first letter of P on the first qubit."""
    basis = QuantumCircuit(circuit.num_qubits)
    for letter, qubit in zip(paulis, qubits, strict=True):
        if letter == "Y":
            basis.sdg(qubit)
        basis.h(qubit)
    ladder = QuantumCircuit(circuit.num_qubits)
    for control, target in pairwise(qubits):
        ladder.cx(control, target)
    circuit.compose(basis, inplace=True)
    circuit.compose(ladder, inplace=True)
    circuit.rz(angle, qubits[-1])
    circuit.compose(ladder.inverse(), inplace=True)
    circuit.compose(basis.inverse(), inplace=True)


def lowest(angle: float, energies: np.ndarray) -> tuple[float, float]:
    """The minimum over one angle, and the energy there.

    An energy is ``a + b cos(angle - c)`` in the angle of a Pauli rotation, so its values at three
    evenly spread angles, the middle one first given, say where the minimum is.

    Source: Ostaszewski et al., Quantum 5, 391 (2021), Rotosolve.
    """
    wave = 2 / 3 * np.sum(energies * np.exp(1j * (angle + THIRDS)))
    minimum = np.angle(-wave)
    return float(minimum), float(energies.mean() - abs(wave))


class H2GroundState(RuntimeWorkerBase):
    """VQE on raw values, then the energy at its minimum raw and with the job's options."""

    backend_name = "FakeKolkata"
    options = ("ZeroNoiseExtrapolation", "ReadoutMitigation")
    shots = 4096

    def run(self, sweeps: int = 15, final_shots: int = 100_000) -> dict[str, object]:
        circuit = ansatz()
        raw = self.estimator_with([])
        angles = np.zeros(circuit.num_parameters)
        energies: list[float] = []
        steps = sweeps * len(angles)
        for step in range(steps):
            turned = step % len(angles)
            points = np.tile(angles, (3, 1))
            points[:, turned] += THIRDS
            values = raw.run([(circuit, HAMILTONIAN, points)]).result()[0].data.evs
            angles[turned], energy = lowest(angles[turned], values)
            energies.append(energy)
            self.progress(step + 1, steps, energy=energy)
        pub = (circuit, HAMILTONIAN, angles, 1 / np.sqrt(final_shots))
        plain = raw.run([pub]).result()[0].data
        mitigated = self.estimator.run([pub]).result()[0].data
        return {
            "exact_energy": exact_energy(),
            "raw_energy": float(plain.evs),
            "raw_energy_std_error": float(plain.stds),
            "mitigated_energy": float(mitigated.evs),
            "mitigated_energy_std_error": float(mitigated.stds),
            "angles": angles,
            "energies": energies,
        }
