import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator

from adapters.parameters import tabulate

angles = st.floats(-7, 7)


def mixed_circuit():
    a, b, c = Parameter("a"), Parameter("b"), Parameter("c")
    circuit = QuantumCircuit(2)
    circuit.rx(a, 0)
    circuit.rz(2 * a - b + 0.5, 1)
    circuit.u(a * b, b.sin(), -c / 3, 0)
    circuit.cx(0, 1)
    circuit.ry(c**2, 1)
    circuit.rz(2 * a - b + 0.5, 0)
    return circuit


@given(st.lists(st.tuples(angles, angles, angles), min_size=1, max_size=3))
def test_placeholders_take_the_values_of_their_expressions(rows):
    circuit, points = mixed_circuit(), np.array(rows)
    replaced, table = tabulate(circuit, circuit.parameters)
    binds = table.binds(points)
    for index, point in enumerate(points):
        found = replaced.assign_parameters({p: v[index] for p, v in binds.items()})
        assert Operator(found).equiv(Operator(circuit.assign_parameters(point)))


def test_equal_expressions_share_a_placeholder_and_linear_ones_are_no_loop():
    circuit = mixed_circuit()
    replaced, table = tabulate(circuit, circuit.parameters)
    assert len(table.placeholders) == replaced.num_parameters == 6
    assert len(table.curved) == 3  # a*b, sin(b), c**2


def test_columns_beyond_the_circuits_own_parameters_are_ignored():
    extra, own = Parameter("a_first"), Parameter("z_last")
    circuit = QuantumCircuit(1)
    circuit.rx(own, 0)
    _, table = tabulate(circuit, [extra, own])
    assert list(table.binds(np.array([[1.0, 2.0]])).values()) == [[2.0]]
