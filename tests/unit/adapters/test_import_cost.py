"""Vendors' packages take seconds to import: nothing does until a device of theirs is used."""

import subprocess
import sys

VENDORS = (
    "antlr4",
    "boto3",
    "botocore",
    "braket",
    "cirq",
    "cudaq",
    "iqm",
    "pennylane",
    "pyqir",
    "pyquil",
    "qcs_sdk",
    "qiskit_aer",
    "qiskit_ibm_runtime",
    "qirrunner",
    "quil",
)
PACKAGES = ("braket", "ibm", "iqm", "open_hardware", "rigetti")


def imported_by(statement):
    """Packages of vendors that a fresh interpreter has imported after a statement.

    ``-X importtime`` tells of every import, also of one that is undone.
    """
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = (line.split("|") for line in ran.stderr.splitlines() if line.startswith("import time:"))
    tops = {parts[-1].strip().partition(".")[0] for parts in lines}
    assert "adapters" in tops
    return sorted(tops & set(VENDORS))


def test_listing_all_devices_imports_no_vendors_package():
    vendors = "\n".join(f"import adapters.{name}.vendor" for name in PACKAGES)
    listing = "from adapters.registry import list_devices, providers\nproviders()\nlist_devices()"
    assert imported_by(f"{vendors}\n{listing}") == []


def test_an_import_is_noticed():
    assert imported_by("import adapters, antlr4") == ["antlr4"]
