"""Circuits side by side count what each counts alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from pipeline.sharing.side_by_side import (
    apart,
    can_join,
    check_disjoint,
    joined,
    marginal,
    side_by_side,
)
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Counts, Distribution, Experiment


def experiment(circuit: QuantumCircuit, rows: Sequence[Sequence[float]] = ((),), shots: int = 100):
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    return Experiment(circuit, values, shots=shots)


def measured(width: int, depth: int, seed: int) -> QuantumCircuit:
    circuit = random_circuit(width, depth, max_operands=2, seed=seed)
    circuit.measure_all()
    return circuit


def exact(one: Experiment) -> Counts:
    """Probabilities of every point from the state vector."""
    width = one.circuit.num_clbits
    points = []
    for row in one.parameter_values:
        bound = one.circuit.assign_parameters(row) if len(row) else one.circuit
        where = {
            bound.find_bit(step.clbits[0]).index: bound.find_bit(step.qubits[0]).index
            for step in bound.data
            if step.name == "measure"
        }
        state = Statevector(bound.remove_final_measurements(inplace=False))
        found = state.probabilities_dict([where[clbit] for clbit in range(width)])
        points.append(Distribution.from_dict(found, width, None))
    return Counts(tuple(points), (("c", width),))


def same(found: Distribution, expected: Distribution) -> None:
    one, other = found.to_dict(), expected.to_dict()
    for bits in {*one, *other}:
        assert one.get(bits, 0.0) == pytest.approx(other.get(bits, 0.0), abs=1e-10)


@settings(max_examples=15)
@given(
    jobs=st.lists(
        st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    seed=st.integers(0, 1000),
)
def test_each_job_is_given_what_its_circuits_count_alone(jobs, seed: int) -> None:
    planned = [
        [experiment(measured(width, depth, seed + n)) for n, (width, depth) in enumerate(own)]
        for own in jobs
    ]
    joints = side_by_side(planned)
    found = apart(joints, [exact(joint.experiment) for joint in joints], planned)
    assert len(joints) == max(map(len, planned))
    for own, counts in zip(planned, found, strict=True):
        for one, count in zip(own, counts, strict=True):
            same(count.points[0], exact(one).points[0])


def test_points_of_unequal_number_are_paired_as_far_as_they_go() -> None:
    def rotated(name: str) -> QuantumCircuit:
        circuit = QuantumCircuit(1)
        circuit.ry(Parameter(name), 0)
        circuit.measure_all()
        return circuit

    # The same name in both jobs: each keeps its own values.
    planned = [
        [experiment(rotated("a"), [[0.1], [0.7], [1.3]])],
        [experiment(rotated("a"), [[2.0], [2.5]])],
    ]
    joints = side_by_side(planned)
    assert [joint.experiment.points for joint in joints] == [2, 1]
    found = apart(joints, [exact(joint.experiment) for joint in joints], planned)
    for own, counts in zip(planned, found, strict=True):
        assert len(counts[0].points) == own[0].points
        for point, row in zip(counts[0].points, own[0].parameter_values, strict=True):
            assert point.to_dict().get("1", 0.0) == pytest.approx(np.sin(row[0] / 2) ** 2)


def test_circuits_with_other_shots_do_not_share_a_circuit() -> None:
    planned = [[experiment(measured(1, 1, 1), shots=100)], [experiment(measured(1, 1, 2), shots=9)]]
    joints = side_by_side(planned)
    assert [joint.experiment.shots for joint in joints] == [100, 9]
    assert all(len(joint.shares) == 1 for joint in joints)


def test_a_circuit_that_measures_on_the_way_goes_by_itself() -> None:
    early = QuantumCircuit(1, 2)
    early.measure(0, 0)
    early.x(0)
    early.measure(0, 1)
    assert not can_join(experiment(early))
    joints = side_by_side([[experiment(early)], [experiment(measured(1, 1, 1))]])
    assert [len(joint.shares) for joint in joints] == [1, 1]


def test_nothing_is_measured_before_everything_is_computed() -> None:
    short, long = QuantumCircuit(1, 1), QuantumCircuit(1, 1)
    short.measure(0, 0)
    for _ in range(3):
        long.sx(0)
    long.measure(0, 0)
    names = [step.name for step in joined([experiment(short), experiment(long)]).circuit.data]
    assert names == ["sx", "sx", "sx", "barrier", "measure", "measure"]


def test_each_job_gets_its_own_registers_back() -> None:
    qubits = QuantumRegister(3, "q")
    named = QuantumCircuit(qubits, ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))
    named.x(1)
    named.measure(range(3), range(3))
    planned = [[experiment(measured(2, 0, 1))], [experiment(named)]]
    joints = side_by_side(planned)
    found = apart(joints, [exact(joint.experiment) for joint in joints], planned)
    assert found[1][0].registers == (("a", 1), ("b", 2))
    assert found[1][0].points[0].to_dict() == {"010": pytest.approx(1.0)}


@given(
    counts=st.dictionaries(st.integers(0, 2**19 - 1), st.integers(1, 50), min_size=1, max_size=30),
    low=st.integers(0, 18),
    width=st.integers(1, 19),
)
def test_a_marginal_keeps_every_shot(counts: dict[int, int], low: int, width: int) -> None:
    width = min(width, 19 - low)
    shots = sum(counts.values())
    whole = Distribution.from_dict(
        {f"{key:019b}": float(n) for key, n in counts.items()}, 19, shots
    )
    expected: dict[str, float] = {}
    for key, n in counts.items():
        bits = f"{(key >> low) & ((1 << width) - 1):0{width}b}"
        expected[bits] = expected.get(bits, 0.0) + n
    found = marginal(whole, low, width)
    assert found.to_dict() == expected
    assert found.shots == shots


def test_jobs_on_one_qubit_are_refused() -> None:
    def on(*qubits: int) -> Experiment:
        binding = Binding(qubits, "s", None, ("sx",))
        one = experiment(measured(len(qubits), 1, 1))
        return Experiment(one.circuit, one.parameter_values, binding=binding)

    check_disjoint([[on(0, 1), on(1, 2)], [on(4)]])
    with pytest.raises(MitigationError, match="both use qubit 1"):
        check_disjoint([[on(0, 1)], [on(1, 2)]])


def test_expectation_values_are_not_joined() -> None:
    circuit = QuantumCircuit(1)
    asked = Experiment(circuit, np.zeros((1, 0)), observables=(SparsePauliOp("Z"),))
    assert not can_join(asked)
