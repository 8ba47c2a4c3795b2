"""Bits of the local simulator, whatever order qubits are read in."""

from itertools import permutations

import numpy as np
import pytest
from qiskit import QuantumCircuit

from adapters.contract import Submission
from adapters.registry import open_device
from qcpaas.execution import Experiment


@pytest.fixture(scope="module")
def adapter():
    return open_device("braket:local:braket_sv")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_each_qubit_is_read_into_its_own_bit(adapter, order):
    circuit = QuantumCircuit(3, 3)
    circuit.x([0, 1])
    for clbit, qubit in enumerate(order):
        circuit.measure(qubit, clbit)
    experiment = Experiment(circuit, np.zeros((1, 0)), shots=10)
    result = adapter.result(adapter.submit(Submission((experiment,), seed=1), "order"))
    expected = "".join("1" if qubit in {0, 1} else "0" for qubit in reversed(order))
    assert result.counts[0].points[0].to_dict() == {expected: 10}
