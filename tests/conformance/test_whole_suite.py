"""Every device under test meets the whole suite, and so does anybody's by one command."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from conformance import suite

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SUBJECTS = sorted((ROOT / "tests" / "vendors").glob("*_subject.py"))


def command(*arguments):
    """``pytest tests/conformance`` with arguments, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests/conformance", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda path: path.stem)
def test_every_subject_meets_the_whole_suite(subject):
    tests = HERE / f"test_{subject.stem.removesuffix('_subject')}.py"
    assert "from conformance.suite import *" in tests.read_text()


def test_the_suite_exports_all_of_its_tests():
    modules = [module for _, module in inspect.getmembers(suite, inspect.ismodule)]
    defined = {
        name
        for module in modules
        for name, found in inspect.getmembers(module, inspect.isclass)
        if name.startswith("Test") and found.__module__ == module.__name__
    }
    assert defined == set(suite.__all__)


def test_one_command_tests_the_given_device_and_no_other():
    ran = command(
        "--device", "statevector", "-k", "TestReservations or too_many or no_shots", "-vv"
    )
    assert ran.returncode == 0, ran.stdout
    tests = [line.partition(" ")[0] for line in ran.stdout.splitlines() if "::" in line]
    assert len(tests) >= 5
    assert {test.partition("::")[0] for test in tests} == {"tests/conformance/test_given_device.py"}
    assert all("[given" in test for test in tests)


def test_a_device_that_does_not_conform_fails(tmp_path):
    (tmp_path / "lab.py").write_text(
        "from adapters.simulators import SimulatorAdapter\n\n"
        "class Careless(SimulatorAdapter):\n"
        "    def __init__(self):\n"
        "        super().__init__('careless', 'statevector')\n\n"
        "    def reservations(self):\n"
        "        return None\n"
    )
    ran = command("--device", f"module:{tmp_path / 'lab.py'}:Careless", "-k", "TestReservations")
    assert ran.returncode == 1, ran.stdout
    assert "test_reservations_are_windows_from_now_on_or_not_supported" in ran.stdout
