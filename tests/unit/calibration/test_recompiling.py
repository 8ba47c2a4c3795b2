"""Circuits compiled anew where their gates act the other way round."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from calibration.directions import turn
from calibration.portfolio import Portfolio, compile_portfolio
from calibration.recompiling import cost, recompiled

BASIS = ("ecr", "rz", "sx", "x", "id", "reset", "measure", "delay")


@pytest.fixture(scope="module")
def target():
    return topology_target(read_snapshot("FakeSherbrooke"))


def brickwork(width=5, layers=3):
    circuit = QuantumCircuit(width, global_phase=0.3)
    for layer in range(layers):
        for qubit in range(width):
            circuit.ry(Parameter(f"a{layer}{qubit}"), qubit)
            circuit.rz(Parameter(f"b{layer}{qubit}"), qubit)
        for qubit in range(layer % 2, width - 1, 2):
            circuit.cx(qubit, qubit + 1)
    return circuit


def every_way(template):
    """Each choice of some gates to turn, a few of them."""
    pairs = sorted(template.interactions)
    yield frozenset(pairs)
    yield frozenset(pairs[::2])
    yield frozenset(pairs[:1])


def wanted(template, turned):
    return {
        (second, first, gate) if (first, second, gate) in turned else (first, second, gate)
        for first, second, gate in template.interactions
    }


def test_it_is_the_same_circuit_with_fewer_gates_than_a_turned_one(target):
    circuit = brickwork()
    (template,) = compile_portfolio(circuit, target).templates
    values = np.random.default_rng(3).uniform(-3, 3, circuit.num_parameters)
    for turned in every_way(template):
        anew = recompiled(template, wanted(template, turned), BASIS)
        plain = turn(template.circuit, template.interactions, turned, BASIS)
        assert anew is not None
        assert cost(anew) <= cost(plain)
        used = {
            tuple(anew.find_bit(qubit).index for qubit in step.qubits)
            for step in anew.data
            if len(step.qubits) == 2
        }
        assert used == {(first, second) for first, second, _ in wanted(template, turned)}
        first, second = (Operator(each.assign_parameters(values)) for each in (anew, plain))
        assert first == second  # global phase included


def test_a_stored_portfolio_still_knows_its_source(target):
    portfolio = compile_portfolio(brickwork(), target, "key", "snapshot")
    (template,) = Portfolio.from_bytes(portfolio.to_bytes()).templates
    assert template.source is not None
    turned = frozenset(template.interactions)
    assert recompiled(template, wanted(template, turned), BASIS) is not None


def test_what_was_routed_or_goes_both_ways_is_not_compiled_anew(target):
    everybody = QuantumCircuit(5)
    for first in range(5):
        for second in range(first):
            everybody.cx(first, second)
    routed = compile_portfolio(everybody, target, seeds=(1, 2)).templates
    symmetric = topology_target(read_snapshot("FakeTorino"))
    (symmetric_template,) = compile_portfolio(brickwork(), symmetric).templates
    for template in (*routed, symmetric_template):
        assert template.source is None
        assert recompiled(template, set(template.interactions), BASIS) is None


def test_a_circuit_that_ends_elsewhere_than_it_begins_is_not_compiled_anew(target):
    circuit = brickwork(3)
    circuit.swap(0, 2)  # the compiler only renames the qubits
    (template,) = compile_portfolio(circuit, target).templates
    assert template.source is None
