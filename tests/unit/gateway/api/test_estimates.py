"""Estimates over HTTP, from the client's own side."""

import pytest
from qiskit import QuantumCircuit

from qcpaas.circuits import to_payload
from qcpaas.errors import InputError
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from tasks.estimation import estimate_job


def job(circuit=None, **payload):
    if circuit is None:
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure_all()
    text = CircuitPayload(**payload) if payload else to_payload(circuit)
    execution = ExecutionSettings(backend="", shots=500)
    return CircuitJob(items=(CircuitItem(circuit=text),), execution=execution)


def test_a_client_is_told_what_the_estimators_found_and_nothing_is_submitted(client_of, store):
    asked = job()
    ada = client_of("ada")
    found = ada.estimates(asked, ["FakeLima", "FakeNowhere"])
    assert list(found) == estimate_job(asked, ["FakeLima", "FakeNowhere"], store)
    assert found[0].qpu_s > 0.0 > found[0].log_esp
    assert "there is no device" in found[1].problems[0]
    assert ada.jobs() == []


def test_left_open_it_is_every_device_of_the_workers_but_ideal_ones(client_of):
    assert [one.device for one in client_of("ada").estimates(job())] == ["FakeLima"]


def test_what_no_job_may_hold_is_refused_before_it_is_read(client_of):
    huge = job(format="qasm3", text="OPENQASM 3.0; qubit[999999999] q;")
    with pytest.raises(InputError, match="register or an index of 999999999"):
        client_of("ada").estimates(huge, ["FakeLima"])
