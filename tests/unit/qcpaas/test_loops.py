"""Loops whose body uses the loop's variable."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Statevector

from qcpaas.errors import CircuitError
from qcpaas.loops import without_loop_variables, without_loops


def test_a_counting_loop_is_unrolled_and_does_the_same():
    circuit = QuantumCircuit(2)
    with circuit.for_loop(range(1, 4)) as step:
        circuit.rx(0.1 * step, 0)
        circuit.cx(0, 1)
    plain = QuantumCircuit(2)
    for step in range(1, 4):
        plain.rx(0.1 * step, 0)
        plain.cx(0, 1)
    unrolled = without_loop_variables(circuit)
    assert unrolled.num_parameters == 0
    assert np.abs(Statevector(unrolled).inner(Statevector(plain))) == pytest.approx(1)


def test_loops_in_loops_and_in_branches_keep_the_circuits_own_parameters():
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with (
        circuit.if_test((circuit.clbits[0], True)),
        circuit.for_loop(range(2)) as outer,
        circuit.for_loop(range(3)) as inner,
    ):
        circuit.rx(angle + outer + 10 * inner, 0)
    unrolled = without_loop_variables(circuit)
    assert [parameter.name for parameter in unrolled.parameters] == ["angle"]
    (_, branch) = unrolled.data
    angles = sorted(
        float(step.operation.params[0].bind({angle: 0.5})) for step in branch.operation.blocks[0]
    )
    assert angles == pytest.approx([0.5, 1.5, 10.5, 11.5, 20.5, 21.5])


def test_other_circuits_stay_as_they_are():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(3)):
        circuit.x(0)
    assert without_loop_variables(circuit) is circuit
    plain = QuantumCircuit(1)
    assert without_loop_variables(plain) is plain


def test_a_counting_loop_that_ends_early_is_refused():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(3)) as step:
        circuit.rx(0.1 * step, 0)
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], True)):
            circuit.break_loop()
    with pytest.raises(CircuitError, match="ends early"):
        without_loop_variables(circuit)


def test_every_loop_can_be_unrolled_but_those_that_end_early():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(3)):
        circuit.x(0)
    with circuit.for_loop(range(2)):
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], True)):
            circuit.break_loop()
    assert dict(without_loops(circuit).count_ops()) == {"x": 3, "for_loop": 1}
