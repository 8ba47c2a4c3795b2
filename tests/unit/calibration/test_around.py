from dataclasses import replace

import pytest
from qiskit import QuantumCircuit

from adapters.fake_backends import read_snapshot
from adapters.target import CONTROL_FLOW, out_of_order
from calibration.around import compile_around
from calibration.template import leaves
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.snapshot import Reading, Snapshot


@pytest.fixture(scope="module")
def snapshot():
    return read_snapshot("FakeKolkata")


def broken(snapshot, qubits=(), pairs=()):
    """The snapshot with qubits and couplers out of order, the latter without an error."""
    kept = [
        reading
        for reading in snapshot.readings()
        if not (
            reading.quantity is Quantity.GATE_ERROR
            and reading.gate == "cx"
            and tuple(sorted(reading.qubits)) in pairs
        )
        and not (reading.quantity is Quantity.OPERATIONAL and reading.qubits[0] in qubits)
    ]
    date = kept[0].measured_at
    kept += [Reading(Quantity.OPERATIONAL, (qubit,), 0.0, date) for qubit in qubits]
    return Snapshot.of(snapshot.device, snapshot.num_qubits, kept, snapshot.taken_at, snapshot.dt_s)


def ring(num_qubits):
    circuit = QuantumCircuit(num_qubits)
    for qubit in range(num_qubits):
        circuit.cx(qubit, (qubit + 1) % num_qubits)
    circuit.measure_all()
    return circuit


def test_what_is_out_of_order_is_told(snapshot):
    assert out_of_order(snapshot) == ()
    faulty = broken(snapshot, qubits=(12,), pairs=((1, 4), (3, 5)))
    assert out_of_order(faulty) == ((12,), (1, 4), (3, 5))


def test_routings_keep_clear_of_what_is_out_of_order(snapshot):
    faulty = broken(snapshot, qubits=(7, 12), pairs=((19, 22),))
    portfolio = compile_around(ring(8), faulty, CONTROL_FLOW, "key")
    assert portfolio.snapshot_id == faulty.content_id
    for template in portfolio.templates:
        assert {7, 12}.isdisjoint(template.home)
        for operation, qubits, _ in leaves(template.circuit):
            place = tuple(template.home[qubit] for qubit in qubits)
            if len(place) == 2 and operation.name != "barrier":
                assert operation.name == "cx"
                assert place in snapshot.gates["cx"]
                assert set(place) != {19, 22}


def test_too_little_that_works_is_refused_with_what_is_out_of_order(snapshot):
    few = broken(snapshot, qubits=tuple(range(20)))
    with pytest.raises(CalibrationError, match=r"needs 8 qubits that work together.*0, 1, 2"):
        compile_around(ring(8), few, CONTROL_FLOW)
    # Qubits 0 to 5 lie apart from the others: neither side has room for 22.
    apart = broken(snapshot, pairs=((4, 7), (5, 8)))
    with pytest.raises(CalibrationError, match="4-7, 5-8"):
        compile_around(ring(22), apart, CONTROL_FLOW)


def test_with_errors_the_place_follows_the_calibration(snapshot):
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    values = snapshot.values.copy()
    for row, (quantity, gate, qubits) in enumerate(snapshot.keys):
        if quantity == "gate_error" and gate == "cx":
            values[row] = 1e-4 if set(qubits) == {8, 11} else 0.3
    best = replace(snapshot, values=values)
    portfolio = compile_around(circuit, best, CONTROL_FLOW, with_errors=True)
    assert set(portfolio.templates[0].home) == {8, 11}
