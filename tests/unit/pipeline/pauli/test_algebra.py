"""Pauli algebra and Pauli gates against their matrices."""

import itertools
from math import pi

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import (
    CXGate,
    CZGate,
    ECRGate,
    RZZGate,
    SwapGate,
    SXGate,
    TGate,
    iSwapGate,
)
from qiskit.quantum_info import Operator, Pauli

from pipeline.pauli.algebra import (
    all_labels,
    anticommute,
    clifford_table,
    codes_of,
    conjugate,
    label_of,
    pauli_fidelities,
)
from pipeline.pauli.gates import pauli_steps
from qcpaas.errors import MitigationError

BASES = [
    ("cx", "rz", "sx", "x", "measure"),
    ("ecr", "rz", "sx", "measure", "delay"),
    ("r", "cz", "measure"),
    ("rx", "rz", "iswap"),
    ("u3", "cx", "reset"),
    (),
]


@pytest.mark.parametrize(
    "gate",
    [CXGate(), CZGate(), ECRGate(), SwapGate(), iSwapGate(), RZZGate(pi / 2), SXGate()],
    ids=lambda gate: gate.name,
)
def test_conjugation_through_a_clifford_gate_is_that_of_its_matrix(gate):
    matrix = Operator(gate).data
    for label in all_labels(gate.num_qubits):
        sign, image = conjugate(gate, label)
        expected = matrix @ Pauli(label).to_matrix() @ matrix.conj().T
        assert np.allclose(sign * Pauli(image).to_matrix(), expected)


@pytest.mark.parametrize(
    "gate", [TGate(), RZZGate(0.3), RZZGate(Parameter("t")), Gate("own", 2, [])]
)
def test_gates_that_are_no_clifford_gates_are_told_apart(gate):
    assert clifford_table(gate) is None
    with pytest.raises(ValueError, match="no Clifford gate"):
        conjugate(gate, "X" * gate.num_qubits)


def test_strings_anticommute_where_their_matrices_do():
    labels = ["II", *all_labels(2)]
    codes = codes_of(labels)
    assert [label_of(row) for row in codes] == labels
    found = anticommute(codes, codes)
    for (i, left), (j, right) in itertools.product(enumerate(labels), repeat=2):
        assert found[i, j] == Pauli(left).anticommutes(Pauli(right))


def test_pauli_fidelities_are_those_of_the_channel_that_the_rates_generate():
    labels, rates = ["XI", "ZZ", "IY"], [0.02, 0.3, 0.11]
    paulis = all_labels(2)
    found = pauli_fidelities(codes_of(labels), rates, codes_of(paulis))
    for label, fidelity in zip(paulis, found, strict=True):
        matrix = image = Pauli(label).to_matrix()
        for generator, rate in zip(labels, rates, strict=True):
            flip = Pauli(generator).to_matrix()
            kept = (1 + np.exp(-2 * rate)) / 2
            image = kept * image + (1 - kept) * flip @ image @ flip
        assert np.allclose(image, fidelity * matrix)


@pytest.mark.parametrize("basis", BASES, ids="-".join)
@pytest.mark.parametrize("letter", "IXYZ")
def test_pauli_gates_are_made_of_the_devices_own_gates(basis, letter):
    circuit = QuantumCircuit(1)
    for step in pauli_steps(letter, circuit.qubits[0], basis):
        assert not basis or step.name in basis
        circuit.append(step)
    assert Operator(circuit).equiv(Pauli(letter))


def test_a_device_without_pauli_gates_is_told():
    with pytest.raises(MitigationError, match="Pauli X gate cannot be made"):
        pauli_steps("X", QuantumCircuit(1).qubits[0], ("rz", "cx"))
