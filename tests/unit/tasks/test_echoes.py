"""Echoes that calls carry along, and idle time that is decoupled."""

from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qcpaas.binding import BindingPolicy
from qcpaas.calibration import Quantity
from qcpaas.execution import Experiment
from store.calibrations import Calibrations
from store.ledger import LedgerReader
from store.snapshot import Snapshot

OBSERVABLES = (SparsePauliOp(["ZZ"]), SparsePauliOp(["XX"]))


def experiment(a=0.4):
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    return Experiment(circuit, np.array([[a]]), OBSERVABLES, 1000)


def executions(run, store):
    run.ledger.flush()
    return LedgerReader(store).executions(run.job.job_id, run.journal.calibrations)


def observations(run):
    return run.device.feedback.report().observations


@pytest.mark.parametrize("options", [(), ("ZeroNoiseExtrapolation", "ReadoutMitigation")])
def test_an_echo_rides_along_and_changes_nothing_of_the_answer(start, store, options):
    plain, echoing = start(), start(binding=BindingPolicy(echo_rate=1.0))
    (expected,) = plain.session(*options).run([replace(experiment(), shots=None)])
    (found,) = echoing.session(*options).run([replace(experiment(), shots=None)])
    np.testing.assert_allclose(found.values, expected.values, atol=1e-9)
    (without,), (with_echo,) = executions(plain, store), executions(echoing, store)
    assert len(with_echo.circuits) == len(without.circuits) + 1
    note = next(note for note in found.diagnostics if note.option == "EchoCheck")
    assert 0.8 < note.figures["survival"] < 1
    assert (observations(plain), observations(echoing)) == (1, 1)  # of one device


def test_a_share_of_the_calls_carry_echoes_and_a_replay_teaches_nothing_again(start, store):
    run = start(binding=BindingPolicy(echo_rate=0.3))
    session = run.session()
    for step in range(40):
        session.run([experiment(0.1 * step)])
    sizes = [len(record.circuits) for record in executions(run, store)]
    echoes = sum(size == max(sizes) for size in sizes)
    assert 4 <= echoes <= 20  # 12 of 40 expected, 2.9 standard deviations either way
    assert observations(run) == echoes
    again = start(job=run.job)
    session = again.session()
    for step in range(40):
        session.run([experiment(0.1 * step)])
    assert observations(again) == echoes


def test_a_circuit_that_cannot_be_echoed_says_why(start):
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    run = start(binding=BindingPolicy(echo_rate=1.0))
    (found,) = run.session().run([Experiment(circuit, np.zeros((1, 0)), shots=100)])
    (note,) = (note for note in found.diagnostics if note.option == "EchoCheck")
    assert note.figures["problem"]
    assert observations(run) == 0


@pytest.mark.parametrize("wanted", [True, False])
def test_idle_time_is_decoupled_where_the_calibration_shows_slow_dephasing(start, store, wanted):
    run = start(binding=BindingPolicy(decouple=wanted))
    told = run.device.snapshot()
    shown = [
        replace(reading, quantity=Quantity.T2_RAMSEY_S, value=reading.value / 10)
        for reading in told.readings()
        if reading.quantity is Quantity.T2_S
    ]
    measured = Snapshot.of(
        told.device, told.num_qubits, [*told.readings(), *shown], told.taken_at, told.dt_s
    )
    Calibrations(store).record(measured)
    run.device.newest()
    circuit = QuantumCircuit(3)
    circuit.h([0, 1, 2])
    circuit.cx(1, 2)
    for step in range(6):  # while the third qubit waits
        circuit.ry(Parameter(f"a{step}"), [0, 1])
        circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    asked = Experiment(circuit, np.zeros((1, 6)), shots=100)
    plan = run.session().plan([asked])
    (planned,) = plan.experiments
    assert ("delay" in planned.circuit.count_ops()) is wanted
    assert ("idle windows decoupled" in planned.binding.reason) is wanted
