"""Which bases to measure, and the circuits that measure them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import count

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.quantum_info import PauliList, SparsePauliOp

from adapters.compiler_stages import compiling
from pipeline.pauli.gates import pauli_steps
from qcpaas.errors import ObservableError
from qcpaas.execution import Experiment, PlanContext

TABLES = 8  # of one basis; readout errors that are measured anew at each call make another each
AT_ONCE = 2**23  # numbers of 8 bytes; 10,000 strings of 100 bits would take 8 GB for 1,000 terms


class MeasuredBasis(PlanContext):
    """One measurement circuit.

    Attributes:
        qubits: Circuit qubits that it measures, each into a clbit of its own.
        first_clbit: Clbit of ``qubits[0]``; the others follow.
        supports: For each Pauli string, the places in ``qubits`` whose product it is.
        coefficients: For each observable, one coefficient a Pauli string.
    """

    qubits: tuple[int, ...]
    supports: tuple[tuple[int, ...], ...]
    coefficients: tuple[tuple[float, ...], ...]
    first_clbit: int = 0

    @classmethod
    def of(
        cls,
        label: str,
        members: Sequence[str],
        coefficients: Sequence[Sequence[float]],
        first_clbit: int = 0,
    ) -> MeasuredBasis:
        """A basis given as a Pauli label over all qubits; ``members`` are parts of it."""
        qubits = letters_at(label)
        place = {qubit: index for index, qubit in enumerate(qubits)}
        return cls(
            qubits=qubits,
            supports=tuple(tuple(place[q] for q in letters_at(member)) for member in members),
            coefficients=tuple(map(tuple, coefficients)),
            first_clbit=first_clbit,
        )

    @cached_property
    def factor_places(self) -> NDArray[np.intp]:
        """`supports` in one array; short strings are filled up with ``len(qubits)``."""
        longest = max(map(len, self.supports), default=0)
        places = np.full((len(self.supports), longest), len(self.qubits), dtype=np.intp)
        for row, support in zip(places, self.supports, strict=True):
            row[: len(support)] = support
        return places

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """`coefficients` as an array, shape ``(observables, strings)``."""
        return np.array(self.coefficients).reshape(len(self.coefficients), -1)

    @cached_property
    def tables(self) -> dict[bytes, NDArray[np.float64]]:
        """`value_table` by the readout model that it holds for."""
        return {}

    def value_table(self, readout: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """What every measured outcome says of every observable.

        Returns:
            Shape ``(2**len(qubits), observables)``; bit i of the row's number is ``qubits[i]``.
        """
        key = b"" if readout is None else readout.tobytes()
        table = self.tables.get(key)
        if table is None:
            if len(self.tables) >= TABLES:
                self.tables.clear()
            # By products of bits, each string is one entry: no product of all of its bits a row.
            places = [sum(1 << place for place in support) for support in self.supports]
            products = np.zeros((2 ** len(self.qubits), len(self.coefficients)))
            np.add.at(products, np.array(places, dtype=np.intp), self.weights.T)
            signs = [of_bit.T for of_bit in self._of_bits(readout)]
            table = self.tables[key] = transform_bits(products.T, signs).T
        return table

    def _of_bits(self, readout: NDArray[np.float64] | None) -> list[NDArray[np.float64]]:
        """For each measured qubit what a bit says of the identity and of Z, in that order."""
        plain = np.array([[1.0, 1.0], [1.0, -1.0]])
        if readout is None:
            return [plain] * len(self.qubits)
        inverse = readout[self.first_clbit : self.first_clbit + len(self.qubits)]
        return [np.array([[1.0, 1.0], each[0] - each[1]]) for each in inverse]

    def string_values(
        self, bits: NDArray[np.integer], readout: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Value of each Pauli string for measured bits.

        Without a readout model it is the parity, ±1. With one, each bit counts what the inverse
        of its assignment matrix makes of Z, which is exact when readout errors are independent.

        Args:
            bits: Shape ``(outcomes, len(qubits))``.
            readout: Inverse assignment matrix of every clbit of the circuit.

        Returns:
            Shape ``(outcomes, strings)``.
        """
        factors = np.ones((len(bits), len(self.qubits) + 1))  # the last fills up short strings
        if readout is None:
            factors[:, :-1] -= 2.0 * bits
        else:
            measured = slice(self.first_clbit, self.first_clbit + len(self.qubits))
            of_bit = (readout[:, 0, :] - readout[:, 1, :])[measured]  # Z, by the bit that was read
            factors[:, :-1] = np.where(bits == 0, of_bit[:, 0], of_bit[:, 1])
        step = max(1, AT_ONCE // max(1, self.factor_places.size))
        parts = [
            factors[start : start + step, self.factor_places].prod(axis=2)
            for start in range(0, max(len(bits), 1), step)
        ]
        values: NDArray[np.float64] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values


class MeasuredExperiment(PlanContext):
    """``constants`` are the observables' identity parts."""

    bases: tuple[MeasuredBasis, ...]
    constants: tuple[float, ...]


def choose_bases(
    observables: Sequence[SparsePauliOp], first_clbit: int = 0
) -> tuple[MeasuredExperiment, tuple[str, ...]]:
    """Group all Pauli strings of all observables into as few measurement circuits as found.

    Args:
        first_clbit: Classical bits that the circuit has already.

    Returns:
        What to measure, and each circuit's basis as a Pauli label over all qubits. An observable
        that is a multiple of the identity needs no circuit of its own, but one circuit is kept so
        that every experiment runs.

    Raises:
        ObservableError: A coefficient is not real.
    """
    coefficients = [real_coefficients(observable) for observable in observables]
    identity = "I" * observables[0].num_qubits
    constants = tuple(terms.pop(identity, 0.0) for terms in coefficients)
    labels = sorted({label for terms in coefficients for label in terms})
    if not labels:
        empty = MeasuredBasis(qubits=(0,), supports=(), coefficients=((),) * len(observables))
        return MeasuredExperiment(bases=(empty,), constants=constants), (identity,)
    groups = PauliList(labels).group_commuting(qubit_wise=True)
    bases, basis_labels = [], []
    for group in groups:
        members = group.to_labels()
        label = _joint_basis(members)
        shares = [[terms.get(member, 0.0) for member in members] for terms in coefficients]
        bases.append(MeasuredBasis.of(label, members, shares, first_clbit))
        basis_labels.append(label)
    return MeasuredExperiment(bases=tuple(bases), constants=constants), tuple(basis_labels)


def transform_bits(
    values: NDArray[np.float64], matrices: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Apply a 2x2 matrix to each bit of the number that counts the last axis, lowest bit first."""
    shape = values.shape
    for bit, matrix in enumerate(matrices):
        split = values.reshape(*shape[:-1], -1, 2, 2**bit)
        values = np.einsum("rc,...acb->...arb", matrix, split).reshape(shape)
    return values


def letters_at(label: str) -> tuple[int, ...]:
    """Qubits on which a Pauli label is not the identity."""
    return tuple(q for q, letter in enumerate(reversed(label)) if letter != "I")


def measure_in_basis(
    experiment: Experiment, label: str, qubits: tuple[int, ...], flipped: Sequence[int] = ()
) -> QuantumCircuit:
    """The experiment's circuit with rotations into a Pauli basis, in the device's own gates.

    Args:
        flipped: Qubits whose measured bit is flipped by an X gate.
    """
    circuit = experiment.circuit.copy()
    basis_gates = experiment.binding.basis_gates if experiment.binding else ()
    for qubit in qubits:
        rotation = _basis_change(label[-1 - qubit], basis_gates)
        if rotation is not None:
            circuit.compose(rotation, [qubit], inplace=True)
    for qubit in flipped:
        for step in pauli_steps("X", circuit.qubits[qubit], basis_gates):
            circuit.append(step)
    taken = {register.name for register in circuit.cregs}
    name = next(name for name in _register_names() if name not in taken)
    register = ClassicalRegister(len(qubits), name)
    circuit.add_register(register)
    for clbit, qubit in zip(register, qubits, strict=True):
        circuit.measure(qubit, clbit)
    return circuit


def real_coefficients(observable: SparsePauliOp) -> dict[str, float]:
    """Coefficient of each Pauli string.

    Raises:
        ObservableError: One is not real.
    """
    simplified = observable.simplify()
    if np.any(np.abs(simplified.coeffs.imag) > 1e-9 * np.abs(simplified.coeffs).max(initial=1.0)):
        raise ObservableError(
            f"the observable {simplified.to_list()[:4]} has complex coefficients, so that its "
            f"expectation value is not real. Measure its Hermitian parts one by one."
        )
    labels = simplified.paulis.to_labels()
    return dict(zip(labels, map(float, np.real(simplified.coeffs)), strict=True))


def _register_names() -> Iterator[str]:
    yield "meas"
    yield from (f"meas{number}" for number in count(1))


def _joint_basis(labels: Sequence[str]) -> str:
    """The label that each of a qubit-wise commuting group is a part of."""
    columns = zip(*labels, strict=True)
    return "".join(next((letter for letter in column if letter != "I"), "I") for column in columns)


@lru_cache(maxsize=64)
def _basis_change(letter: str, basis_gates: tuple[str, ...]) -> QuantumCircuit | None:
    """Rotation that turns a Z measurement into one of X or Y; ``None`` for Z."""
    if letter in {"I", "Z"}:
        return None
    rotation = QuantumCircuit(1)
    if letter == "Y":
        rotation.sdg(0)
    rotation.h(0)
    if not basis_gates:
        return rotation
    gates = [gate for gate in basis_gates if gate not in {"measure", "delay", "reset"}]
    with compiling():
        return transpile(rotation, basis_gates=gates, optimization_level=1, seed_transpiler=0)
