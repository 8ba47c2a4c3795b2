"""What a circuit would give without noise, by matrix product states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate
from qiskit.quantum_info import Operator, SparsePauliOp

from pipeline.measuring.bases import letters_at, real_coefficients
from pipeline.measuring.physical_states import PAULIS
from qcpaas.errors import MitigationError

if TYPE_CHECKING:
    from quimb.tensor import CircuitMPS

LARGEST_INFIDELITY = 1e-4  # a value is then off by at most 0.02 of its observable's largest one
PASSIVE = frozenset({"barrier", "delay", "measure", "id"})


class MpsReference:
    """A circuit's values without noise at any points, as `adapters.exact.Reference` gives them."""

    def __init__(
        self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], max_bond: int
    ) -> None:
        self._circuit = circuit
        self._observables = observables
        self._max_bond = max_bond

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values, shape ``(points, observables)``.

        Raises:
            MitigationError: The circuit is too entangled for the bond.
        """
        rows = []
        for point in points:
            bound = self._circuit.assign_parameters(point)
            values, infidelity = mps_values(bound, self._observables, self._max_bond)
            if infidelity > LARGEST_INFIDELITY:
                raise MitigationError(
                    f"a circuit near {self._circuit.name} loses {infidelity:.2g} of its fidelity "
                    f"at max_bond {self._max_bond}; {LARGEST_INFIDELITY:g} may be lost. Raise "
                    "max_bond, or keep fewer rotations."
                )
            rows.append(values)
        return np.array(rows)


def mps_values(
    circuit: QuantumCircuit,
    observables: Sequence[SparsePauliOp],
    max_bond: int = 64,
    cutoff: float = 1e-10,
) -> tuple[NDArray[np.float64], float]:
    """Expectation values of a bound circuit without noise, starting from all zeros.

    Time and memory grow with the entanglement across a line through the qubits, and not with
    their number: 50 qubits of a shallow circuit take seconds.

    Args:
        circuit: In a device's gates on one and two qubits; final measurements are left out.
        observables: On the circuit's qubits.
        cutoff: What one gate may lose of the state's squared norm.

    Returns:
        Values, shape ``(observables,)``, and the infidelity that cutting bonds has cost: a value
        is off by up to ``2 sqrt(infidelity)`` times its observable's largest one.

    Raises:
        MitigationError: The circuit has parameters, or something that is no gate on one or two
            qubits.
    """
    state = _evolved(circuit, max_bond, cutoff)
    infidelity = max(0.0, 1.0 - float(np.real(state.fidelity_estimate())))
    tensors = _in_line(state)
    strings = sorted({string for each in observables for string in real_coefficients(each)})
    norm = _overlap(tensors, {})
    known = {string: _overlap(tensors, _letters(string)) / norm for string in strings}
    values = [
        sum(coefficient * known[string] for string, coefficient in real_coefficients(each).items())
        for each in observables
    ]
    return np.array(values, dtype=np.float64), infidelity


def _evolved(circuit: QuantumCircuit, max_bond: int, cutoff: float) -> CircuitMPS:
    from quimb.tensor import CircuitMPS

    if circuit.num_parameters:
        raise MitigationError(
            f"circuit {circuit.name} has {circuit.num_parameters} unbound parameters; a matrix "
            "product state needs their values. Assign them first."
        )
    state = CircuitMPS(circuit.num_qubits, max_bond=max_bond, cutoff=cutoff)
    for step in circuit.data:
        if step.name in PASSIVE:
            continue
        if not isinstance(step.operation, Gate) or len(step.qubits) > 2:
            raise MitigationError(
                f"circuit {circuit.name} has {step.name} on {len(step.qubits)} qubits; a matrix "
                "product state takes gates on one and two. Compile it first, or leave it out."
            )
        # Qiskit's first qubit is the lowest digit of a matrix' index, quimb's the highest.
        where = [circuit.find_bit(qubit).index for qubit in reversed(step.qubits)]
        state.apply_gate_raw(Operator(step.operation).data, where)
    return state


def _in_line(state: CircuitMPS) -> list[NDArray[np.complex128]]:
    """Tensors of shape ``(left, 2, right)``; the outer bonds are 1."""
    psi = state.psi
    psi.permute_arrays("lpr")
    found = [np.asarray(array) for array in psi.arrays]
    left = [1] + [array.shape[-1] for array in found[:-1]]
    return [array.reshape(bond, 2, -1) for array, bond in zip(found, left, strict=True)]


def _letters(string: str) -> dict[int, NDArray[np.complex128]]:
    return {q: PAULIS["IXYZ".index(string[-1 - q])] for q in letters_at(string)}


def _overlap(
    tensors: Sequence[NDArray[np.complex128]], letters: Mapping[int, NDArray[np.complex128]]
) -> float:
    """``<psi| P |psi>`` of a product of one-qubit operators."""
    carried: NDArray[np.complex128] = np.ones((1, 1), dtype=complex)
    for qubit, tensor in enumerate(tensors):
        moved = tensor
        if qubit in letters:
            moved = np.einsum("ab,lbr->lar", letters[qubit], tensor)
        half = np.tensordot(carried, moved, axes=1)
        carried = np.einsum("lps,lpr->sr", tensor.conj(), half)
    return float(carried[0, 0].real)
