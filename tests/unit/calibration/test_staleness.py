"""Whether a binding still holds under a newer calibration."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.fake_backends import read_snapshot
from adapters.target import build_target
from calibration import staleness
from calibration.binding import Binder
from calibration.placement import Placer
from calibration.portfolio import compile_portfolio
from qcpaas.binding import BindingPolicy
from qcpaas.calibration import Quantity

POLICY = BindingPolicy(max_element_change=0.02, min_gain=0.01)


@pytest.fixture(scope="module")
def snapshot():
    return read_snapshot("FakeKolkata")


@pytest.fixture(scope="module")
def portfolio(snapshot):
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(Parameter(f"a{qubit}"), qubit)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return compile_portfolio(circuit, build_target(snapshot), "key", snapshot.content_id)


@pytest.fixture(scope="module")
def placer():
    return Placer()


@pytest.fixture(scope="module")
def binding(snapshot, portfolio, placer):
    gates = (*snapshot.gates, "measure", "delay")
    return Binder(gates, placer).bind(portfolio, snapshot).binding


def assess(placer, portfolio, binding, *moments, policy=POLICY):
    then, now = moments
    return staleness.assess(placer, portfolio, binding, then=then, now=now, policy=policy)


def changed(snapshot, change):
    """The snapshot with ``change(quantity, gate, qubits, value)`` in place of each value."""
    values = snapshot.values.copy()
    for (quantity, gate, qubits), row in snapshot.index.items():
        values[row] = change(Quantity(quantity), gate, qubits, values[row])
    return replace(snapshot, values=values, taken_at=snapshot.taken_at + timedelta(hours=1))


def with_fault(snapshot, pair, error):
    return changed(
        snapshot,
        lambda quantity, gate, qubits, value: (
            error
            if quantity is Quantity.GATE_ERROR and gate == "cx" and set(qubits) == set(pair)
            else value
        ),
    )


def used_pairs(portfolio, binding):
    template = portfolio.templates[binding.routing]
    place = binding.physical_qubits
    return [(place[a], place[b]) for a, b, _ in template.interactions]


def test_an_unchanged_calibration_leaves_a_binding_as_it_is(placer, portfolio, binding, snapshot):
    found = assess(placer, portfolio, binding, snapshot, snapshot)
    assert not found.stale
    assert found.element_change == 0
    assert found.gain == pytest.approx(0, abs=1e-12)
    assert found.reason == "no used element lost anything; it is still the best"


def test_a_fault_on_any_used_coupler_is_never_missed(placer, portfolio, binding, snapshot):
    for pair in used_pairs(portfolio, binding):
        newer = with_fault(snapshot, pair, 0.1)
        found = assess(placer, portfolio, binding, snapshot, newer)
        assert found.stale
        # One cx: its contribution falls by log((1 - 0.1) / (1 - e)).
        before = snapshot.get(Quantity.GATE_ERROR, *pair, gate="cx")
        if before is None:
            before = snapshot.get(Quantity.GATE_ERROR, *pair[::-1], gate="cx")
        assert found.element_change == pytest.approx(np.log((1 - before) / 0.9), rel=1e-6)
        assert f"{min(pair)}-{max(pair)}" in found.reason
        assert found.gain > 0


def test_a_fault_hides_behind_no_improvement_elsewhere(placer, portfolio, binding, snapshot):
    pairs = used_pairs(portfolio, binding)
    better = changed(
        with_fault(snapshot, pairs[0], 0.06),
        lambda quantity, gate, qubits, value: (
            value / 3
            if quantity in {Quantity.READOUT_P01, Quantity.READOUT_P10}
            and qubits[0] in binding.physical_qubits
            else value
        ),
    )
    found = assess(placer, portfolio, binding, snapshot, better)
    assert found.stale
    assert found.element_change > POLICY.max_element_change


def test_a_broken_qubit_is_out_of_order(placer, portfolio, binding, snapshot):
    pair = used_pairs(portfolio, binding)[1]
    found = assess(placer, portfolio, binding, snapshot, with_fault(snapshot, pair, 1.0))
    assert found.stale
    assert "is out of order" in found.reason


def test_a_fault_elsewhere_leaves_the_binding_fresh(placer, portfolio, binding, snapshot):
    used = set(binding.physical_qubits)
    elsewhere = next(qubits for qubits in snapshot.gates["cx"] if not set(qubits) & used)
    found = assess(placer, portfolio, binding, snapshot, with_fault(snapshot, elsewhere, 0.5))
    assert not found.stale
    assert found.element_change == 0


def test_a_better_place_makes_a_binding_stale_though_nothing_of_it_moved(
    placer, portfolio, binding, snapshot
):
    used = set(binding.physical_qubits)
    better = changed(
        snapshot,
        lambda quantity, gate, qubits, value: (
            value / 20
            if not set(qubits) & used
            and quantity in {Quantity.GATE_ERROR, Quantity.READOUT_P01, Quantity.READOUT_P10}
            else value
        ),
    )
    found = assess(placer, portfolio, binding, snapshot, better)
    assert found.element_change == 0
    assert found.gain > POLICY.min_gain
    assert found.stale
    lax = POLICY.model_copy(update={"min_gain": 10.0})
    assert not assess(placer, portfolio, binding, snapshot, better, policy=lax).stale
