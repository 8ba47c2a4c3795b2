import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import DensityMatrix, Operator, Pauli, SparsePauliOp, Statevector

from pipeline.noise.circuit_noise import NoiseSite
from pipeline.pauli.algebra import codes_of
from pipeline.tensor_networks.noise_inverse import noise_inverse, transfer_matrix
from pipeline.tensor_networks.operator_chain import OperatorChain, largest_components
from qcpaas.errors import MitigationError

STRINGS = ("ZZII", "XYZI", "IIIX")


def brickwork(num_qubits, depth, seed, rate=0.01):
    """Random rotations and joint gates in layers, each with Pauli errors over the whole layer."""
    rng = np.random.default_rng(seed)
    circuit, sites = QuantumCircuit(num_qubits), []
    for layer in range(depth):
        circuit.barrier()
        for qubit in range(num_qubits):
            circuit.rz(rng.uniform(-3, 3), qubit)
            circuit.sx(qubit)
            circuit.rz(rng.uniform(-3, 3), qubit)
        index = {}
        # The last pair of every third layer is not next to each other.
        pairs = [(0, 3), (1, 2)] if layer % 3 == 2 else [(q, q + 1) for q in range(layer % 2, 3, 2)]
        for pair in pairs:
            index.update(dict.fromkeys(pair, len(circuit.data)))
            getattr(circuit, rng.choice(["cx", "ecr", "cz"]))(*pair)
        qubits = sorted(index)
        labels = ["I" * (len(qubits) - 2) + "ZX", "Y" + "I" * (len(qubits) - 1)]
        labels.append("X" + "I" * (len(qubits) - 2) + "Z")  # errors across two gates of a layer
        rates = rng.uniform(0, 2 * rate, len(labels))
        places = tuple((index[qubit], qubit) for qubit in qubits)
        sites.append(NoiseSite(places, codes_of(labels), rates))
    sites.append(NoiseSite(((len(circuit.data), 1),), codes_of(["X", "Z"]), np.array([rate, rate])))
    return circuit, sites


def noisy_state(circuit, sites):
    """Simulated layer by layer: the rotations, the errors, then the gates."""
    state = DensityMatrix.from_label("0" * circuit.num_qubits)
    waiting = list(sites)
    gates = list(enumerate(circuit.data))
    for index, step in [*gates, (len(gates), None)]:
        while waiting and min(place[0] for place in waiting[0].places) == index:
            site = waiting.pop(0)
            for codes, rate in zip(site.codes, site.rates, strict=True):
                letters = ["I"] * circuit.num_qubits
                for (_, qubit), code in zip(site.places, codes, strict=True):
                    letters[circuit.num_qubits - 1 - qubit] = "IXZY"[code]
                error = Operator(Pauli("".join(letters))).data
                flipped = (1 - np.exp(-2 * rate)) / 2
                mixed = (1 - flipped) * state.data + flipped * error @ state.data @ error
                state = DensityMatrix(mixed)
        if step is not None:
            qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
            state = state.evolve(step.operation, qubits)
    return state


def value(state, terms):
    return state.expectation_value(SparsePauliOp(list(terms), list(terms.values()))).real


@pytest.mark.parametrize("seed", range(3))
def test_the_changed_observable_has_in_the_noisy_state_its_ideal_value(seed):
    circuit, sites = brickwork(4, 4, seed)
    inverse = noise_inverse(circuit, sites, max_bond=256, cutoff=0.0)
    noisy, ideal = noisy_state(circuit, sites), Statevector(circuit)
    away = []
    for string in STRINGS:
        terms, rest = inverse.of(string, 256)
        truth = ideal.expectation_value(SparsePauliOp(string)).real
        assert value(noisy, terms) == pytest.approx(truth, abs=1e-6)
        assert rest == pytest.approx(0.0, abs=1e-9)
        away.append(abs(value(noisy, {string: 1.0}) - truth))
    assert max(away) > 2e-3  # there is something to correct


def test_cut_bonds_lose_about_what_they_say():
    circuit, sites = brickwork(4, 4, 5)
    noisy, ideal = noisy_state(circuit, sites), Statevector(circuit)
    losses = []
    for bond in (4, 16, 64):
        inverse = noise_inverse(circuit, sites, max_bond=bond, cutoff=0.0)
        assert inverse.chain.largest_bond == bond
        for string in STRINGS:
            terms, _ = inverse.of(string, 256)
            truth = ideal.expectation_value(SparsePauliOp(string)).real
            assert abs(value(noisy, terms) - truth) < 3 * inverse.loss
        losses.append(inverse.loss)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.2 * losses[0]


def test_terms_that_are_left_out_are_accounted_for():
    circuit, sites = brickwork(4, 3, 7)
    inverse = noise_inverse(circuit, sites, max_bond=256, cutoff=0.0)
    everything, _ = inverse.of("XYZI", 256)
    few, rest = inverse.of("XYZI", 5)
    sizes = sorted(map(abs, everything.values()), reverse=True)
    assert sorted(map(abs, few.values()), reverse=True) == pytest.approx(sizes[:5])
    assert rest == pytest.approx(sum(size**2 for size in sizes[5:]), rel=1e-6)


def test_a_circuit_without_noise_leaves_observables_as_they_are():
    circuit, _ = brickwork(4, 3, 1)
    inverse = noise_inverse(circuit, [], max_bond=4, cutoff=1e-12)
    terms, rest = inverse.of("XYZI", 10)
    assert {string: v for string, v in terms.items() if abs(v) > 1e-9} == pytest.approx(
        {"XYZI": 1.0}
    )
    assert rest == pytest.approx(0.0, abs=1e-12)
    assert inverse.chain.largest_bond == 1


def test_gates_on_three_qubits_are_refused():
    circuit = QuantumCircuit(3)
    circuit.ccx(0, 1, 2)
    with pytest.raises(MitigationError, match="ccx acts on 3 qubits"):
        noise_inverse(circuit, [], 8, 0.0)


def test_transfer_matrices_carry_pauli_strings_as_qiskit_does():
    circuit = QuantumCircuit(2)
    circuit.ecr(0, 1)
    matrix = transfer_matrix(Operator(circuit).data)
    labels = [high + low for high in "IXYZ" for low in "IXYZ"]
    for column, label in enumerate(labels):
        moved = Pauli(label).evolve(circuit, frame="s").to_label()
        sign, string = (-1, moved[1:]) if moved.startswith("-") else (1, moved)
        assert matrix[labels.index(string), column] == pytest.approx(sign)


def test_maps_on_distant_qubits_are_those_of_the_whole_matrix():
    rng = np.random.default_rng(2)
    chain = OperatorChain([2, 0, 1], max_bond=4096, cutoff=0.0)
    whole = np.eye(64).reshape((4,) * 6)  # qubits 0, 1, 2 out, then in
    for first, second in ((2, 1), (0, 2), (1, 0)):
        left, right = rng.normal(size=(2, 16, 16))
        chain.multiply_two(first, second, left, right)
        whole = np.tensordot(left.reshape((4,) * 4), whole, axes=([2, 3], [first, second]))
        whole = np.moveaxis(whole, (0, 1), (first, second))
        whole = np.tensordot(whole, right.reshape((4,) * 4), axes=([3 + first, 3 + second], [0, 1]))
        whole = np.moveaxis(whole, (4, 5), (3 + first, 3 + second))
    one = rng.normal(size=(4, 4))
    chain.multiply(1, one)
    chain.settle()
    whole = np.moveaxis(np.tensordot(one, whole, axes=([1], [1])), 0, 1)
    letters, values, _ = largest_components(chain.image([1, 2, 3]), 64)
    into = dict(zip(chain.sites, (1, 2, 3), strict=True))
    column = whole[:, :, :, into[0], into[1], into[2]]
    for found, entry in zip(letters, values, strict=True):
        out = dict(zip(chain.sites, found, strict=True))
        assert entry == pytest.approx(column[out[0], out[1], out[2]], rel=1e-6, abs=1e-6)
