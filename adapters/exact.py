"""What a circuit would give without noise: the reference that learning needs.

Few qubits are simulated as a state vector; many by carrying the observables backwards, which
takes Clifford circuits of any width, and others as long as few of their gates are not Clifford.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate, Parameter, Qubit
from qiskit.quantum_info import PauliList, SparsePauliOp

from adapters.compiler_stages import compiling
from adapters.parameters import tabulate
from adapters.pauli_paths import TooManyPaths, carry_back, is_clifford
from adapters.prepare import compacted
from qcpaas.errors import ExecutionFailed, MitigationError

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator

Array = NDArray[np.float64]

SMALL_QUBITS = 12  # a state vector takes less time than its observables' paths
STATE_QUBITS = 24  # 256 MiB
MAX_STRINGS = 2**17

_PASSIVE = frozenset({"barrier", "delay", "id"})


def exact_values(
    circuits: Sequence[QuantumCircuit], observables: Sequence[Sequence[SparsePauliOp]]
) -> list[Array]:
    """Expectation values of bound circuits without noise, starting from all zeros.

    Args:
        observables: For each circuit, on its qubits.

    Returns:
        For each circuit, shape ``(observables,)``.

    Raises:
        MitigationError: A circuit measures before its end, resets, has control flow, or is too
            wide and too far from Clifford.
    """
    point = np.empty((1, 0))
    return [
        exact_values_at(circuit, point, wanted)[0]
        for circuit, wanted in zip(circuits, observables, strict=True)
    ]


def exact_values_at(
    circuit: QuantumCircuit, points: Array, observables: Sequence[SparsePauliOp]
) -> Array:
    """As `exact_values`, of one circuit at many points.

    Args:
        points: Shape ``(points, circuit.num_parameters)``.

    Returns:
        Shape ``(points, observables)``.
    """
    return Reference(circuit, observables).at(points)


class Reference:
    """A circuit and its observables, ready for exact values at any points.

    What does not depend on the points is done once, for loops.

    Raises:
        MitigationError: The circuit measures before its end, resets, or has control flow.
    """

    def __init__(self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp]) -> None:
        self._name = circuit.name
        self._parameters = tuple(circuit.parameters)
        unitary = _unitary_part(circuit)
        self._compact, self._active = compacted(unitary, tuple(range(circuit.num_qubits)))
        self._observables = [_on_active(one, self._active) for one in observables]
        self._state: _State | None = None

    def at(self, points: Array) -> Array:
        """Exact values, shape ``(points, observables)``.

        Raises:
            MitigationError: The circuit is too wide and too far from Clifford.
        """
        width = len(self._active)
        if not width:
            constants = [float(one.coeffs.real.sum()) for one in self._observables]
            return np.tile(constants, (len(points), 1))
        if width <= SMALL_QUBITS:
            return self._by_state(points)
        bound = [_bound(self._compact, self._parameters, point) for point in points]
        try:
            return np.array([carry_back(one, self._observables, MAX_STRINGS) for one in bound])
        except TooManyPaths:
            if width <= STATE_QUBITS:
                return self._by_state(points)
            raise MitigationError(_too_wide(self._name, bound[0])) from None

    def _by_state(self, points: Array) -> Array:
        if self._state is None:
            self._state = _State(self._compact, self._parameters, self._observables)
        return self._state.at(points)


class _State:
    """A circuit that saves its observables' values in Aer."""

    def __init__(
        self,
        circuit: QuantumCircuit,
        parameters: Sequence[Parameter],
        observables: Sequence[SparsePauliOp],
    ) -> None:
        from qiskit_aer import AerSimulator

        # One thread: sums in another order would change the last bits.
        self._simulator = AerSimulator(
            method="statevector", max_parallel_threads=1, runtime_parameter_bind_enable=True
        )
        unrolled = _unrolled(circuit, self._simulator)
        self._circuit, self._table = tabulate(unrolled, list(parameters))
        self._names = [f"observable_{index}" for index in range(len(observables))]
        for name, observable in zip(self._names, observables, strict=True):
            self._circuit.save_expectation_value(observable, range(circuit.num_qubits), label=name)

    def at(self, points: Array) -> Array:
        binds = [self._table.binds(points)] if self._table.placeholders else None
        result = self._simulator.run(self._circuit, parameter_binds=binds, shots=1).result()
        if not result.success:
            raise ExecutionFailed(f"Aer could not simulate {self._circuit.name}: {result.status}")
        values = np.array(
            [[getattr(one.data, name) for name in self._names] for one in result.results]
        )
        return values if binds else np.repeat(values, len(points), axis=0)


def _unrolled(circuit: QuantumCircuit, simulator: AerSimulator) -> QuantumCircuit:
    """Gates that Aer does not know, by their definitions."""
    known = simulator.target.operation_names
    if all(name in known for name in circuit.count_ops()):
        return circuit
    with compiling():
        return transpile(circuit, simulator, optimization_level=0)


def _unitary_part(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without its final measurements and whatever only takes time."""
    unitary = circuit.copy_empty_like()
    measured: set[Qubit] = set()
    for step in circuit.data:
        if step.name in _PASSIVE:
            continue
        if step.name == "measure":
            measured.update(step.qubits)
        elif not isinstance(step.operation, Gate):
            raise MitigationError(
                f"circuit {circuit.name} has {step.name}, which is no unitary gate; its exact "
                f"values cannot be computed. Leave out the option that learns from them."
            )
        elif measured.intersection(step.qubits):
            raise MitigationError(
                f"circuit {circuit.name} acts on a qubit after measuring it; its exact values "
                f"cannot be computed. Leave out the option that learns from them."
            )
        else:
            unitary._append(step)  # noqa: SLF001 - the public append costs ten times as much
    return unitary


def _bound(
    circuit: QuantumCircuit, parameters: Sequence[Parameter], point: Array
) -> QuantumCircuit:
    if not len(point):
        return circuit
    present = set(circuit.parameters)
    values = {p: v for p, v in zip(parameters, point.tolist(), strict=True) if p in present}
    return circuit.assign_parameters(values)


def _on_active(observable: SparsePauliOp, active: Sequence[int]) -> SparsePauliOp:
    """The observable's part on some qubits, all others being in their ground state."""
    idle = np.setdiff1d(np.arange(observable.num_qubits), active)
    alive = ~observable.paulis.x[:, idle].any(axis=1)
    if not alive.any():
        return SparsePauliOp(["I" * len(active)], [0.0])
    paulis = PauliList.from_symplectic(
        observable.paulis.z[alive][:, list(active)], observable.paulis.x[alive][:, list(active)]
    )
    return SparsePauliOp(paulis, observable.coeffs[alive] * (-1j) ** observable.paulis.phase[alive])


def _too_wide(name: str, circuit: QuantumCircuit) -> str:
    others = Counter(s.name for s in circuit.data if not is_clifford(s.operation))
    listed = ", ".join(f"{count} {gate}" for gate, count in others.most_common())
    return (
        f"circuit {name} acts on {circuit.num_qubits} qubits with {others.total()} gates that are "
        f"not Clifford ({listed}). Exact values go to {STATE_QUBITS} qubits, or to circuits that "
        f"turn an observable into at most {MAX_STRINGS:,} Pauli strings: keep fewer such gates."
    )
