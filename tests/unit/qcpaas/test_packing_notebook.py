"""Packing from a real IPython shell: what cells define travels, what they do does not."""

import subprocess
import sys

NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
cells = [
    "import math\\nfrom qcpaas import RuntimeWorkerBase",
    "TURNS = 3\\ndef angle(step):\\n    return TURNS * math.pi * step",
    "submitted = []",
    '''class Turning(RuntimeWorkerBase):
    backend_name = 'statevector'

    def run(self):
        return angle(2)''',
    "submitted.append('a job')",
    '''from qcpaas.packing import pack
bundle = pack(Turning)
(source,) = bundle.modules.values()''',
]
for cell in cells:
    ran = shell.run_cell(cell, store_history=True)
    ran.raise_error()

from qcpaas.unpacking import load

source, bundle = shell.user_ns["source"], shell.user_ns["bundle"]
assert "def angle" in source and "TURNS = 3" in source, source
assert "submitted" not in source and "pack(" not in source, source
worker = load(bundle)
assert abs(worker.run(None) - 6 * 3.141592653589793) < 1e-12
print("packed")
"""


def test_class_of_a_notebook_cell_travels_with_what_it_uses(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        env={"PATH": "/usr/bin:/bin", "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip().endswith("packed")
