import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qcpaas.calibration import Quantity
from qcpaas.execution import Experiment
from tasks.bind import bind_experiments
from tasks.estimate import estimate_plan, scheduled_s
from tasks.transpile import transpile_experiments


def bound(run, *experiments):
    portfolios = transpile_experiments(experiments, run.device, run.job.execution)
    placed = bind_experiments(experiments, portfolios, run.device, run.job.execution.binding)
    return [each.experiment for each in placed]


def ghz(measure=True):
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    if measure:
        circuit.measure_all()
    return circuit


def asap_s(experiment, snapshot):
    """Each instruction starts when all its qubits are free."""
    free = {}
    for step in experiment.circuit.data:
        qubits = [
            experiment.binding.physical_qubits[experiment.circuit.find_bit(q).index]
            for q in step.qubits
        ]
        start = max(free.get(q, 0.0) for q in qubits)
        if step.name == "barrier":
            lasts = 0.0
        elif step.name == "measure":
            lasts = snapshot.get(Quantity.READOUT_DURATION_S, *qubits)
        else:
            lasts = snapshot.get(Quantity.GATE_DURATION_S, *qubits, gate=step.name)
        free |= dict.fromkeys(qubits, start + lasts)
    return max(free.values())


def test_device_seconds_are_shots_times_duration_and_rep_delay(start):
    run = start()
    rows = np.zeros((1, 0))
    planned = bound(run, Experiment(ghz(), rows, shots=1000), Experiment(ghz(), rows, shots=500))
    found = estimate_plan(planned, run.device)
    one = asap_s(planned[0], run.device.snapshot())
    delay = run.device.capabilities.rep_delay_s
    assert found.duration_s == pytest.approx(one)
    assert found.qpu_s == pytest.approx(1500 * (one + delay))
    assert found.qpu_s_hi > found.qpu_s
    assert (found.circuits, found.shots) == (2, 1500)


def test_the_estimate_is_what_the_twin_then_spends(start):
    run = start()
    planned = bound(run, Experiment(ghz(), np.zeros((1, 0)), shots=1000))
    run.backend.execute(planned)
    assert run.journal.spent_qpu_s == pytest.approx(estimate_plan(planned, run.device).qpu_s)


def test_a_circuit_on_a_device_is_not_certain_to_succeed(start):
    run = start()
    shallow = estimate_plan(bound(run, Experiment(ghz(), np.zeros((1, 0)))), run.device)
    deep_circuit = ghz(measure=False)
    for _ in range(10):
        deep_circuit.barrier()
        deep_circuit.cx(0, 1)
    deep_circuit.measure_all()
    deep = estimate_plan(bound(run, Experiment(deep_circuit, np.zeros((1, 0)))), run.device)
    assert deep.log_esp < shallow.log_esp < 0
    assert np.exp(shallow.log_esp) > 0.8


def test_exact_probabilities_cost_no_device_time(start):
    run = start()
    planned = bound(run, Experiment(ghz(), np.zeros((1, 0)), shots=None))
    found = estimate_plan(planned, run.device)
    assert (found.qpu_s, found.shots) == (0.0, 0)


def test_an_ideal_simulator_costs_nothing(start):
    run = start("statevector")
    planned = bound(run, Experiment(ghz(), np.zeros((1, 0)), shots=1000))
    found = estimate_plan(planned, run.device)
    assert (found.qpu_s, found.log_esp, found.duration_s) == (0.0, 0.0, 0.0)
    assert scheduled_s(planned[0], run.device) == 0.0


def test_circuits_without_measurement_count_their_readout(start):
    run = start()
    observable = (SparsePauliOp("ZZZ"),)
    (plain,) = bound(run, Experiment(ghz(measure=False), np.zeros((1, 0)), observable))
    reads = max(
        run.device.snapshot().get(Quantity.READOUT_DURATION_S, q)
        for q in plain.binding.physical_qubits
    )
    assert plain.binding.duration_s == pytest.approx(asap_s(plain, run.device.snapshot()) + reads)
