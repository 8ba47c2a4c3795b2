"""The map that takes noise out of observables after they were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from pipeline.measuring.physical_states import PAULIS
from pipeline.noise.circuit_noise import NoiseSite
from pipeline.pauli.algebra import codes_of, label_of, pauli_fidelities
from pipeline.pauli.layers import layers_of
from pipeline.tensor_networks.operator_chain import Array, OperatorChain, largest_components
from qcpaas.errors import MitigationError

LETTERS = "IXYZ"
PASSIVE = frozenset({"barrier", "delay", "measure"})
PAIR_CODES = codes_of([first + second for first in LETTERS for second in LETTERS])


@dataclass(frozen=True, eq=False)
class NoiseInverse:
    """``M``, such that ``M(O)`` has in the noisy state the value that O has in the ideal one.

    Built from the middle outwards: with the noise of every layer the map is surrounded by the
    layer and its inverse, so that it stays close to the identity and needs small bonds.

    Attributes:
        chain: In the Pauli basis.
        loss: Its 2-norm's part that cutting bonds has taken away.

    Source: Filippov et al., arXiv:2307.11740 (2023).
    """

    chain: OperatorChain
    loss: float

    def of(self, string: str, count: int) -> tuple[dict[str, float], float]:
        """The largest terms of ``M(string)``, and the squared 2-norm of all others.

        Pauli noise keeps the identity as it is, and turns nothing else into it: what cut bonds
        say otherwise is dropped.
        """
        width = len(string)
        identity = "I" * width
        if string == identity:
            return {identity: 1.0}, 0.0
        sites = self.chain.sites
        letters = [LETTERS.index(string[width - 1 - qubit]) for qubit in sites]
        found, values, rest = largest_components(self.chain.image(letters), count)
        rows = np.zeros((len(found), width), dtype=np.intp)
        rows[:, [width - 1 - qubit for qubit in sites]] = found
        labels = np.array(list(LETTERS))[rows]
        terms = zip(map("".join, labels), values.tolist(), strict=True)
        return {label: value for label, value in terms if label != identity}, rest


def noise_inverse(
    circuit: QuantumCircuit, sites: Sequence[NoiseSite], max_bond: int, cutoff: float
) -> NoiseInverse:
    """The inverse of a bound circuit's noise.

    Args:
        sites: Where in the circuit which Pauli errors happen.

    Raises:
        MitigationError: A gate acts on more than two qubits, or errors on more than two at once.
    """
    chain = OperatorChain(_along_a_line(circuit), max_bond, cutoff)
    order = _layer_by_layer(circuit)
    noise = _noise_by_step(circuit, sites, order)
    for index in order:
        for site in noise.get(index, ()):
            _undo(chain, site)
        if index < len(circuit.data):
            _surround(chain, circuit, index)
    chain.settle()
    return NoiseInverse(chain, float(np.sqrt(chain.lost)))


def _surround(chain: OperatorChain, circuit: QuantumCircuit, index: int) -> None:
    """``R M R^T`` with the gate's Pauli transfer matrix R."""
    step = circuit.data[index]
    qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
    if len(qubits) > 2:
        raise MitigationError(
            f"gate {step.name} acts on {len(qubits)} qubits; noise is taken out of gates on one "
            "and two. Leave TensorNetworkMitigation out."
        )
    transfer = transfer_matrix(Operator(step.operation).data)
    if len(qubits) == 1:
        chain.multiply(qubits[0], transfer, transfer.T)
    else:
        chain.multiply_two(qubits[1], qubits[0], transfer, transfer.T)


def transfer_matrix(unitary: NDArray[np.complex128]) -> Array:
    """Pauli components of ``U P U†``, shape ``(4**k, 4**k)``; the highest qubit counts most."""
    paulis = PAULIS
    if len(unitary) == 4:
        paulis = np.array([np.kron(high, low) for high in PAULIS for low in PAULIS])
    moved = unitary @ paulis @ unitary.conj().T
    transfer: Array = np.einsum("pij,qji->pq", paulis, moved).real / len(unitary)
    return transfer


def _undo(chain: OperatorChain, site: NoiseSite) -> None:
    """``D^-1 M``, pair by pair; what acts on the same qubits goes together."""
    supports: dict[tuple[int, ...], list[int]] = {}
    for row, codes in enumerate(site.codes):
        supports.setdefault(tuple(np.flatnonzero(codes).tolist()), []).append(row)
    for places, rows in supports.items():
        qubits = [site.places[place][1] for place in places]
        codes, rates = site.codes[np.ix_(rows, places)], site.rates[rows]
        if len(places) == 1:
            diagonal = 1 / pauli_fidelities(codes, rates, codes_of(list(LETTERS)))
            chain.multiply(qubits[0], np.diag(diagonal))
        elif len(places) == 2:
            diagonal = 1 / pauli_fidelities(codes, rates, PAIR_CODES)
            chain.multiply_two(qubits[1], qubits[0], np.diag(diagonal))
        else:
            raise MitigationError(
                f"errors {label_of(codes[0])} act on {len(places)} qubits at once; only those on "
                "one and two are taken out. Learn the noise with such generators, or set "
                "noise='calibration'."
            )


def _noise_by_step(
    circuit: QuantumCircuit, sites: Sequence[NoiseSite], order: Sequence[int]
) -> Mapping[int, list[NoiseSite]]:
    """Sites by the first gate that they act just before; the circuit's length is its end.

    A place says before which instruction; that one need not act on the place's qubit.
    """
    end = len(circuit.data)
    gates: list[list[int]] = [[] for _ in circuit.qubits]
    for index, step in enumerate(circuit.data):
        for qubit in step.qubits if step.name not in PASSIVE else ():
            gates[circuit.find_bit(qubit).index].append(index)
    time = {index: number for number, index in enumerate(order)}
    noise: dict[int, list[NoiseSite]] = {}
    for site in sites:
        steps = [next((g for g in gates[q] if g >= index), end) for index, q in site.places]
        noise.setdefault(min(steps, key=time.__getitem__), []).append(site)
    return noise


def _layer_by_layer(circuit: QuantumCircuit) -> list[int]:
    """Gates in an order in which those of one layer follow each other at once, and the end.

    Errors of a layer may join qubits of its different gates, so all that comes before must be
    done before the first of them. Gates on one qubit come just before their qubit's next layer.
    """
    end = len(circuit.data)
    layers = layers_of(circuit, range(circuit.num_qubits))
    number = {index: time for time, layer in enumerate(layers) for index in layer.instructions}
    ahead: dict[int, int] = {}
    keys: dict[int, tuple[int, int]] = {}
    for index, step in reversed(list(enumerate(circuit.data))):
        qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
        if step.name in PASSIVE:
            continue
        if index in number:
            ahead.update(dict.fromkeys(qubits, number[index]))
        keys[index] = (ahead.get(qubits[0], end), int(index in number))
    return [*sorted(keys, key=lambda index: (keys[index], index)), end]


def _along_a_line(circuit: QuantumCircuit) -> list[int]:
    """Qubits in an order that keeps those near each other that gates join."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    joined = np.zeros((circuit.num_qubits, circuit.num_qubits), dtype=np.int8)
    for step in circuit.data:
        if len(step.qubits) == 2 and step.name not in PASSIVE:
            first, second = (circuit.find_bit(qubit).index for qubit in step.qubits)
            joined[first, second] = joined[second, first] = 1
    order = reverse_cuthill_mckee(csr_array(joined), symmetric_mode=True)
    return [int(qubit) for qubit in order]
