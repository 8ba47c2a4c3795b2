"""Vendors' compiler stages: late, and there all the same. One compiler for all threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from qiskit import QuantumCircuit

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from calibration.portfolio import route

COMPILE = """
import sys
from qiskit import QuantumCircuit, transpile
from adapters.compiler_stages import defer_vendor_stages
defer_vendor_stages()
defer_vendor_stages()
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
line = {"basis_gates": ["rz", "sx", "cz"], "coupling_map": [[0, 1]], "optimization_level": 3}
assert transpile(bell, **line).count_ops()["cz"] == 1
print([name for name in ("iqm", "qiskit_ibm_runtime") if name in sys.modules])
transpile(bell, translation_method="ibm_fractional", **line)
print([name for name in ("iqm", "qiskit_ibm_runtime") if name in sys.modules])
"""


def test_a_vendors_stage_is_imported_when_it_is_named():
    told = subprocess.run(
        [sys.executable, "-c", COMPILE], check=True, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == ["[]", "['qiskit_ibm_runtime']"]


@pytest.fixture
def eager_switching():
    """Threads that change at every opportunity."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_switching")
def test_threads_compile_at_once():
    """Without turns, half of these fail: a library that they all read is borrowed already."""
    circuit = QuantumCircuit(4)
    circuit.ry(0.6, range(4))
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    target = topology_target(read_snapshot("FakeLima"))
    with ThreadPoolExecutor(4) as threads:
        routings = list(threads.map(lambda seed: route(circuit, target, seed), range(60)))
    assert all(routing.template.circuit.num_qubits == 4 for routing in routings)
