"""Error-corrected machines, against Microsoft's estimator asked directly."""

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qcpaas.circuits import to_payload
from qcpaas.schemas import CircuitItem, CircuitJob, ExecutionSettings
from tasks.estimation import Estimation
from tasks.estimation.fault_tolerant import error_corrected


@pytest.fixture
def circuit():
    made = QuantumCircuit(3, 3)
    made.h(0)
    made.t(0)
    made.cx(0, 1)
    made.ccx(0, 1, 2)
    made.rz(0.3, 2)
    made.measure(range(3), range(3))
    return made


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_physical_qubits_and_runtime_are_those_of_the_circuits_logical_counts(circuit):
    from qdk.estimator import LogicalCounts

    counts = {
        "numQubits": 3,
        "tCount": 1,
        "rotationCount": 1,
        "rotationDepth": 1,
        "cczCount": 1,
        "measurementCount": 3,
    }
    asked = LogicalCounts(counts).estimate()["physicalCounts"]
    found = error_corrected(circuit)
    assert found.physical_qubits == asked["physicalQubits"]
    assert found.runtime_s == pytest.approx(asked["runtime"] * 1e-9)  # it tells ns


def test_it_is_told_where_it_was_asked_for_and_adds_up_over_points_and_shots(store):
    angle = QuantumCircuit(1)
    angle.rz(Parameter("a"), 0)
    angle.measure_all()
    item = CircuitItem(circuit=to_payload(angle), parameter_values=((0.3,), (0.5,)))
    job = CircuitJob(items=(item,), execution=ExecutionSettings(backend="", shots=100))
    estimation = Estimation(store)
    (unasked,) = estimation.estimate(job, ["statevector"])
    assert (unasked.physical_qubits, unasked.fault_tolerant_s) == (None, None)
    (asked,) = estimation.estimate(job, ["statevector"], fault_tolerant=True)
    shot = error_corrected(angle.assign_parameters([0.3]))
    assert asked.physical_qubits == shot.physical_qubits
    assert asked.fault_tolerant_s == pytest.approx(200 * shot.runtime_s)


def test_without_the_package_it_says_so(circuit, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "qdk", None)
    assert "qdk is not installed" in error_corrected(circuit)
