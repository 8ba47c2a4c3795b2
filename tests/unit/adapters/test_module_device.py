from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate, Parameter

from adapters.contract import Submission, Unsupported
from adapters.module_device import is_module
from adapters.registry import open_device
from adapters.target import build_target
from qcpaas.errors import ExecutionFailed, SubmissionRefused, UnknownDevice
from qcpaas.execution import Binding, Experiment

EXAMPLE = Path(__file__).parents[3] / "examples" / "homemade_device.py"
SLIPS = """
from examples.homemade_device import Trio

class WrongBits(Trio):
    def run(self, circuit, qubits, shots, seed):
        return {"0": shots}

class TooFew(Trio):
    def run(self, circuit, qubits, shots, seed):
        return {"00": shots - 1}

class Raises(Trio):
    def run(self, circuit, qubits, shots, seed):
        raise OSError("the laser is off")

class Needs(Trio):
    def __init__(self, argument):
        pass
"""


@pytest.fixture(scope="module")
def trio():
    return open_device(f"module:{EXAMPLE}:Trio")


def half_swap(qubits=(0, 1), shots=4000):
    """|01> and |10> are equally likely after half a swap of |01>."""
    circuit = QuantumCircuit(2, 2)
    for _ in range(2):
        circuit.append(Gate("r90", 1, [0.0]), [0])
    circuit.append(Gate("siswap", 2, []), [0, 1])
    circuit.measure([0, 1], [0, 1])
    binding = Binding(qubits, "", None, ())
    return Submission((Experiment(circuit, np.zeros((1, 0)), shots=shots, binding=binding),), 5)


def test_a_labs_own_gates_run_by_their_names(trio):
    (counts,) = trio.result(trio.submit(half_swap(), "token")).counts
    found = counts.points[0].to_dict()
    # Readout errors of 1 to 1.5 % on two qubits; five standard deviations of 4,000 shots.
    assert found["01"] / 4000 == pytest.approx(0.5, abs=0.015 + 5 * 0.5 / 4000**0.5)
    assert found["01"] + found["10"] >= 4000 * (1 - 0.025 - 5 * 0.16 / 4000**0.5)
    assert counts.registers == (("c", 2),)


def test_circuits_of_standard_gates_are_compiled_for_its_gates(trio):
    trio.capabilities()
    angle = Parameter("angle")
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.ry(angle, 1)
    circuit.measure_all()
    isa = transpile(circuit, target=build_target(trio.calibration()), seed_transpiler=1)
    assert set(isa.count_ops()) - {"barrier"} == {"r90", "rz", "siswap", "measure"}
    points = np.array([[0.0], [np.pi]])
    bound = Experiment(isa, points, shots=2000)
    (counts,) = trio.result(trio.submit(Submission((bound,), 1), "token")).counts
    for point, one in zip(counts.points, "01", strict=True):
        found = point.to_dict()
        likely = found.get(f"0{one}0", 0) + found.get(f"1{one}1", 0)
        # Three readout errors of at most 1.5 %, and five standard deviations.
        assert likely / 2000 >= 1 - 0.045 - 5 * (0.045 / 2000) ** 0.5


def test_a_gate_where_the_device_has_none_is_refused(trio):
    with pytest.raises(SubmissionRefused, match=r"siswap on \(0, 2\)"):
        trio.submit(half_swap(qubits=(0, 2)), "token")


def test_it_says_what_it_has_not(trio):
    handle = trio.submit(half_swap(shots=10), "token")
    assert isinstance(trio.cancel(handle), Unsupported)
    assert isinstance(trio.open_session(), Unsupported)
    assert isinstance(trio.calibration(trio.calibration().taken_at), Unsupported)
    assert trio.find_by_token("token") is not None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("WrongBits", "'0', which is no string of 2 bits"),
        ("TooFew", "9 outcomes for 10 shots"),
        ("Raises", "the laser is off"),
    ],
)
def test_a_slip_in_a_labs_code_fails_the_job(tmp_path, name, told):
    file = tmp_path / "slips.py"
    file.write_text(SLIPS)
    device = open_device(f"module:{file}:{name}")
    with pytest.raises(ExecutionFailed, match=told):
        device.result(device.submit(half_swap(shots=10), "token"))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("missing.py:Device", "cannot be loaded"),
        ("slips.py:Nothing", "has no device class Nothing"),
        ("slips.py:Needs", "cannot be made"),
        ("broken.py:Device", "ZeroDivisionError"),
    ],
)
def test_a_class_that_cannot_be_opened_is_told(tmp_path, place, told):
    (tmp_path / "slips.py").write_text(SLIPS)
    (tmp_path / "broken.py").write_text("1 / 0")
    from adapters.module_device import open_module

    with pytest.raises(UnknownDevice, match=told):
        open_module(str(tmp_path / place))


def test_names_of_devices_are_told_from_classes():
    assert is_module("lab.py:Device")
    assert is_module("path/to/lab.py:Device")
    assert is_module("package.module:Device")
    assert is_module("module:lab.py:Device")
    for name in ("FakeAthens", "iqm:garnet", "qpu:http://a.b:80", "braket:arn:aws:x/y", "a.py"):
        assert not is_module(name), name
