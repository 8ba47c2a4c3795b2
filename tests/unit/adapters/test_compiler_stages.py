"""Vendors' compiler stages: late, and there all the same."""

import subprocess
import sys

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
