"""Circuits are read in processes that may die: the gateway tells why, and goes on."""

import os
import signal
import threading
import time

import pytest
from qiskit import QuantumCircuit

from gateway.reading.limits import ReadingLimits
from gateway.reading.readers import Readers
from qcpaas.circuits import to_payload
from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from tasks.estimation import estimate_job

LOOPS = 'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q;' + "x q[0];" * 400_000


def job(payload):
    execution = ExecutionSettings(backend="FakeLima", shots=100)
    return CircuitJob(items=(CircuitItem(circuit=payload),), execution=execution)


def bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return job(to_payload(circuit))


def test_a_bomb_and_a_killed_reader_are_told_and_the_next_job_is_read(store):
    readers = Readers(
        store.url.render_as_string(), ReadingLimits(cpu_s=1, memory_mib=2048), processes=1
    )
    try:
        expected = estimate_job(bell(), ["FakeLima"], store)
        assert readers.estimate(bell(), ["FakeLima"]) == expected
        bomb = job(CircuitPayload(format="qasm3", text=LOOPS))
        with pytest.raises(CircuitError, match=r"1 s of processor time.*several jobs"):
            readers.estimate(bomb, ["FakeLima"])
        assert readers.estimate(bell(), ["FakeLima"]) == expected
        reader = readers._free.queue[0]

        def kill():
            time.sleep(0.2)
            os.kill(reader.process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(CircuitError, match="ended it"):
            readers.estimate(bomb, ["FakeLima"])
        killer.join()
        assert readers.estimate(bell(), ["FakeLima"]) == expected
    finally:
        readers.close()
