import pickle

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qcpaas.circuits import parse_observable, to_payload
from qcpaas.errors import CircuitError, InputError, ObservableError, OptionError, ShotsError
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, OptionSpec
from tasks.batch import read_batch
from tasks.bind import bind_experiments, calibration_uses
from tasks.mitigate import answers, mitigate_outcomes
from tasks.plan import plan_batch
from tasks.transpile import transpile_experiments

QASM = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[2]; creg low[1]; creg high[1];
x q[1];
measure q[0] -> low[0]; measure q[1] -> high[0];
"""


def rotated(measure=False, width=1):
    circuit = QuantumCircuit(width, name="rotated")
    circuit.ry(Parameter("a"), 0)
    if measure:
        circuit.measure_all()
    return circuit


def item(circuit, observable=None, **given):
    observables = None if observable is None else (parse_observable(observable),)
    return CircuitItem(circuit=to_payload(circuit), observables=observables, **given)


def job(run, *items, **execution):
    settings = run.job.execution.model_copy(update=execution)
    return CircuitJob(execution=settings, items=items)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda: item(QuantumCircuit(28), "I" * 28), CircuitError, "28 qubits; FakeKolkata has 27"),
        (lambda: item(QuantumCircuit(1)), CircuitError, "no measurement"),
        (lambda: item(rotated(), "Z"), CircuitError, "1 unbound parameter"),
        (
            lambda: item(rotated(), "Z", parameter_values=((0.1, 0.2),)),
            CircuitError,
            "has 1 parameter .* have 2",
        ),
        (
            lambda: item(rotated(), "Z", parameter_values=((0.1,), (0.2, 0.3))),
            InputError,
            "rows of equal length",
        ),
        (lambda: item(QuantumCircuit(2), "Z"), ObservableError, "acts on 1 qubit"),
        (lambda: item(QuantumCircuit(1), "Z", shots=0), ShotsError, "0 shots were asked"),
        (lambda: item(QuantumCircuit(1), "Z", shots=-5), ShotsError, "-5 shots were asked"),
        (lambda: item(QuantumCircuit(1), "Z", shots=10**8), ShotsError, "takes 1 to"),
        (
            lambda: CircuitItem(circuit=to_payload(QuantumCircuit(1)), observables=()),
            ObservableError,
            "empty list of observables",
        ),
        (
            lambda: CircuitItem(circuit=CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg")),
            CircuitError,
            "broken OpenQASM 2",
        ),
    ],
)
def test_bad_input_has_one_clear_message_and_spends_nothing(start, given, error, message):
    run = start()
    with pytest.raises(error, match=message):
        read_batch(job(run, given())).checked(run.device)
    assert run.journal.count == 0


def test_an_option_that_a_circuit_cannot_have_is_refused(start):
    run = start()
    zne = (OptionSpec(name="ZeroNoiseExtrapolation"),)
    plain = item(rotated(), "Z", parameter_values=((0.1,),))
    batch = read_batch(job(run, plain, item(QuantumCircuit(1), "Z", options=zne)))
    assert [len(options) for options in batch.options] == [0, 1]
    counting = QuantumCircuit(1)
    counting.measure_all()
    batch = read_batch(job(run, item(counting, options=zne)))
    with pytest.raises(OptionError, match="ZeroNoiseExtrapolation"):
        batch.stacks(run.backend)


def answered(run, *items, **execution):
    """All stages, every one's output through pickle, as it travels between tasks."""
    asked = job(run, *items, **execution)
    batch = pickle.loads(pickle.dumps(read_batch(asked).checked(run.device)))
    portfolios = transpile_experiments(batch.experiments, run.device, asked.execution)
    portfolios = pickle.loads(pickle.dumps(portfolios))
    placed = bind_experiments(batch.experiments, portfolios, run.device, asked.execution.binding)
    plan = plan_batch(batch, pickle.loads(pickle.dumps(placed)), run.backend)
    run.journal.placed(calibration_uses(plan.experiments, run.device))
    counts = run.backend.execute(plan.experiments)
    outcomes = mitigate_outcomes(
        batch, pickle.loads(pickle.dumps(plan)), pickle.loads(pickle.dumps(counts)), run.backend
    )
    return answers(batch, outcomes)


def test_a_batch_of_unlike_circuits_is_one_submission_and_each_gets_its_own_answer(start):
    run = start("statevector")
    rows = ((0.3,), (1.2,))
    found = answered(
        run,
        item(rotated(), "Z", parameter_values=rows),
        CircuitItem(circuit=CircuitPayload(format="qasm2", text=QASM), shots=50),
        item(rotated(width=2), "0.5*IX + 2*II", parameter_values=rows[:1]),
        exact=False,
        shots=400_000,
    )
    assert run.journal.count == 1
    # Five standard errors of 400,000 shots: 0.008.
    assert found[0]["expectation_values"] == [
        [pytest.approx(np.cos(a), abs=0.008)] for (a,) in rows
    ]
    assert found[1]["counts"] == [{"low": {"0": 50}, "high": {"1": 50}}]
    assert found[2]["expectation_values"][0][0] == pytest.approx(2 + 0.5 * np.sin(0.3), abs=0.008)


def test_each_circuit_takes_its_own_options(start):
    run = start()
    readout = (OptionSpec(name="ReadoutMitigation"),)
    one = QuantumCircuit(1)
    one.x(0)
    found = answered(run, item(one, "Z"), item(one, "Z", options=readout), exact=True)
    assert found[0]["raw_values"] == found[0]["expectation_values"]
    assert [answer["circuit_executions"] for answer in found] == [1, 1]
    raw, mitigated = found[0]["expectation_values"][0][0], found[1]["expectation_values"][0][0]
    assert abs(mitigated + 1) < abs(raw + 1)
    assert found[1]["raw_values"][0][0] == pytest.approx(raw, abs=1e-9)


def test_final_measurements_are_taken_off_where_observables_are_asked(start):
    run = start()
    batch = read_batch(job(run, item(rotated(measure=True), "Z", parameter_values=((0.1,),))))
    assert batch.experiments[0].circuit.count_ops() == {"ry": 1}


def test_gate_for_gate_circuits_must_be_in_the_devices_gates(start):
    run = start(gate_for_gate=True)
    native, foreign = QuantumCircuit(2), QuantumCircuit(2)
    native.x(0)
    native.cx(0, 1)
    foreign.h(0)
    (answer,) = answered(run, item(native, "ZZ"))
    assert answer["expectation_values"][0][0] > 0.8
    assert run.journal.calibrations[0].physical_qubits == (0, 1)
    with pytest.raises(CircuitError, match="no h on qubits 0"):
        answered(run, item(foreign, "ZZ"))
