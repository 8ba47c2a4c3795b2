import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.classical import types
from qiskit_aer import AerSimulator

from adapters.contract import Capabilities
from adapters.fake_backends import read_snapshot
from calibration.dynamic import adapt_circuit, refuse_unsupported
from qcpaas.errors import CircuitError

GATES = ("cx", "rz", "sx", "x", "measure", "delay")
ALL = Capabilities(27, basis_gates=(*GATES, "reset"))
NO_RESET = Capabilities(27, basis_gates=GATES)
STATIC = Capabilities(
    27, basis_gates=GATES, control_flow=frozenset(), mid_circuit_measurement=False
)


@pytest.fixture(scope="module")
def snapshot():
    return read_snapshot("FakeKolkata")


def adapted(circuit, capabilities, snapshot=None):
    return adapt_circuit(circuit, "device", capabilities, snapshot)


def used_twice():
    """A qubit that is measured, reset and used again, beside one whose outcome is not kept."""
    circuit = QuantumCircuit(2, 3)
    circuit.reset([0, 1])
    circuit.ry(1.2, 0)
    circuit.ry(0.5, 1)
    circuit.measure(0, 0)
    circuit.reset([0, 1])
    circuit.ry(0.9, 0)
    circuit.measure([0, 1], [1, 2])
    return circuit


def test_what_the_device_has_is_left_as_it_is():
    circuit = used_twice()
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    assert adapted(circuit, ALL).circuit is circuit
    assert adapted(circuit, ALL).notes == ()


def test_resets_become_measurement_and_a_conditional_x():
    circuit = used_twice()
    found = adapted(circuit, NO_RESET)
    assert "reset" not in found.circuit.count_ops()
    assert found.circuit.count_ops()["if_else"] == 2  # those at the start are of fresh qubits
    assert found.circuit.clbits == circuit.clbits
    assert found.notes == ("resets written as measurement and conditional X",)
    shots, simulator = 20_000, AerSimulator(seed_simulator=2)
    expected = simulator.run(circuit, shots=shots).result().get_counts()
    counts = simulator.run(found.circuit, shots=shots).result().get_counts()
    assert set(counts) == set(expected)
    for outcome, count in expected.items():
        # Five standard errors of the difference of two counts.
        assert abs(counts[outcome] - count) < 5 * np.sqrt(2 * count)


def test_a_reset_is_refused_where_it_cannot_be_written_otherwise():
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.reset(0)
    with pytest.raises(CircuitError, match=r"uses reset.*no classical bit is free"):
        adapted(circuit, NO_RESET)
    with pytest.raises(CircuitError, match="nor a conditional X"):
        adapted(circuit, STATIC)


def test_control_flow_that_the_device_lacks_is_refused_by_name():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    some = Capabilities(27, GATES, control_flow=frozenset({"for_loop"}))
    with pytest.raises(CircuitError, match="if_else, which device does not have; it has for_loop"):
        refuse_unsupported(circuit, "device", some)
    boxed = QuantumCircuit(2)
    with boxed.box():
        boxed.x(1)
    with pytest.raises(CircuitError, match="uses box"):
        refuse_unsupported(boxed, "device", ALL)


def test_loops_are_unrolled_where_the_device_has_none():
    circuit, turn = QuantumCircuit(1, 1), Parameter("turn")
    with circuit.for_loop((0.1, 0.2, 0.4), turn):
        circuit.rx(turn, 0)
    circuit.measure(0, 0)
    found = adapted(circuit, STATIC)
    angles = [float(step.params[0]) for step in found.circuit.data if step.name == "rx"]
    assert angles == [0.1, 0.2, 0.4]
    assert found.notes == ("for loops unrolled",)


def test_measurement_before_the_end_is_refused_where_the_device_cannot():
    circuit = used_twice()
    with pytest.raises(CircuitError):
        adapted(circuit, STATIC)
    again = QuantumCircuit(2, 2)
    again.measure(1, 0)
    again.cx(0, 1)
    with pytest.raises(CircuitError, match="qubit 1 goes on"):
        adapted(again, STATIC)
    last = QuantumCircuit(2)
    last.h(0)
    last.measure_all()
    last.barrier()
    assert adapted(last, STATIC).circuit is last


def test_delays_are_given_in_the_devices_time_steps(snapshot):
    circuit = QuantumCircuit(1)
    circuit.delay(160, 0, "ns")
    circuit.delay(0.3, 0, "ns")
    circuit.delay(Parameter("t"), 0, "us")
    found = adapted(circuit, ALL, snapshot)
    delays = [step.operation for step in found.circuit.data]
    assert [(delay.duration, delay.unit) for delay in delays[:2]] == [(720, "dt"), (1, "dt")]
    assert delays[2].unit == "us"
    assert found.notes == ("a delay of 3e-10 s rounded to 2.222e-10 s",)


def test_delays_without_a_length_on_the_device_are_refused():
    steps = QuantumCircuit(1)
    steps.delay(100, 0, "dt")
    with pytest.raises(CircuitError, match="Give it in seconds"):
        adapted(steps, ALL, read_snapshot("FakeLondon"))
    stretched = QuantumCircuit(1)
    stretched.delay(stretched.add_stretch("a"), 0)
    with pytest.raises(CircuitError, match="stretch"):
        adapted(stretched, ALL)
    none = Capabilities(27, basis_gates=("cx", "measure"))
    with pytest.raises(CircuitError, match="uses delay, which device does not have"):
        adapted(steps, none)


def test_classical_inputs_are_refused():
    circuit = QuantumCircuit(1, 1)
    circuit.add_input("bit", types.Bool())
    circuit.measure(0, 0)
    with pytest.raises(CircuitError, match="classical input bit"):
        adapted(circuit, ALL)


def test_simulators_take_everything():
    circuit = used_twice()
    circuit.delay(100, 0, "dt")
    assert adapted(circuit, Capabilities(28)).circuit is circuit
