"""The conversion matrix notices a circuit that was changed, and trusts no gate of its own."""

from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2
from qiskit.quantum_info import Operator

from benchmarks import frontends_circuits as circuits
from benchmarks.frontends import Cells, equal, read
from benchmarks.frontends_forms import Target, targets

FAMILIES = {family.name: family for family in circuits.families()}
OWN = [target for target in targets() if target.name == "circuit"]


def test_phases_are_the_same_and_other_unitaries_are_not():
    unitary = np.diag([1, 1j, -1, 1])
    assert equal(np.exp(0.3j) * unitary, unitary)
    assert not equal(np.diag([1, 1j, -1, np.exp(0.01j)]), unitary)
    assert not equal(np.eye(2), unitary)


@pytest.mark.parametrize("name", ["openqasm2", "openqasm3", "qiskit"])
def test_cells_of_the_packages_own_forms_are_equal(name):
    cells = Cells(FAMILIES[name], OWN, 4, 3, symbolic=False)
    assert not sum(cells.unequal.values()), cells.why


def test_matrices_of_the_standard_are_qiskits():
    rng = np.random.default_rng(5)
    case = FAMILIES["openqasm2"].make(rng, False)
    loaded = qasm2.loads(case.circuit[1], custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    assert equal(Operator(loaded.reverse_bits()).data, case.unitary)


def test_changed_circuit_is_noticed():
    def spoilt(circuit: QuantumCircuit, values: list[float]) -> circuits.Matrix:
        circuit = circuit.copy()
        circuit.rz(1e-3, 0)
        return OWN[0].turn(circuit, values)

    cells = Cells(FAMILIES["openqasm2"], [Target("spoilt", spoilt)], 3, 3, symbolic=False)
    assert cells.unequal["spoilt"] == 3


def test_symbols_are_counted_as_kept_by_their_names():
    cells = Cells(FAMILIES["qiskit"], OWN, 2, 3, symbolic=True)
    assert cells.kept == 2
    case = FAMILIES["openqasm3"].make(np.random.default_rng(2), True)
    renamed = replace(case, circuit=("qasm3", case.circuit[1].replace("alpha", "gamma")))
    assert {p.name for p in read(renamed).parameters} != set(case.values)
