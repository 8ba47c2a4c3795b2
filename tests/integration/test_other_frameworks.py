"""One circuit of each framework through the platform, compared with the framework's own simulator.

All circuits are one job: on the ideal simulator, and on a noisy twin.
"""

import functools
from collections import Counter

import cirq
import numpy as np
import pennylane as qml
import pyqir
import pytest
import qirrunner
import sympy
from braket.circuits import Circuit, FreeParameter, Observable
from braket.devices import LocalSimulator
from pyquil import Program, gates

from qcpaas.errors import CircuitError

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
SHOTS = 4000
ANGLE = 0.9
DEVICE = qml.device("default.qubit", wires=["u", "v"])
# Five standard errors of a share of one half, of each of two samples.
TOLERANCE = 5 * np.sqrt(0.5 / SHOTS)


def of_cirq():
    a, b, c = cirq.LineQubit.range(3)
    return cirq.Circuit(
        cirq.rx(sympy.Symbol("angle")).on(a),
        cirq.CX(a, b),
        cirq.X(c),
        cirq.measure(c, a, key="first", invert_mask=(True,)),
        cirq.measure(b, key="second"),
    )


@qml.qnode(DEVICE)
def counted(angle):
    qml.RX(angle, wires="u")
    qml.CNOT(["u", "v"])
    return qml.counts(), qml.probs(wires=["v"])


@qml.qnode(DEVICE)
def valued(angle):
    qml.RX(angle, wires="u")
    qml.CNOT(["u", "v"])
    return qml.expval(qml.Z("u") @ qml.Z("v") + 0.5 * qml.Y("v")), qml.var(qml.Z("u"))


def of_pyquil():
    program = Program()
    readout = program.declare("ro", "BIT", 3)
    angle = program.declare("angle", "REAL", 1)
    program += [gates.RX(angle, 4), gates.CNOT(4, 9), gates.X(2)]
    program += [gates.MEASURE(4, readout[2]), gates.MEASURE(9, readout[0])]
    program += gates.MEASURE(2, readout[1])
    return program


def of_braket():
    return Circuit().rx(2, FreeParameter("turn")).cnot(2, 5).x(7)


def of_qir():
    module = pyqir.SimpleModule("pair", 2, 2)
    builder = pyqir.BasicQisBuilder(module.builder)
    builder.rx(ANGLE, module.qubits[0])
    builder.cx(module.qubits[0], module.qubits[1])
    for qubit, result in zip(module.qubits, reversed(module.results), strict=True):
        builder.mz(qubit, result)
    return module.bitcode()


@pytest.fixture(scope="module", params=["statevector", "FakeKolkata"])
def job(request, platform):
    """Counts of every framework; those with symbols at two points."""
    points = [[0.0], [ANGLE]]
    submitted = platform.run_circuits(
        [of_cirq(), functools.partial(counted, ANGLE), of_pyquil(), of_braket(), of_qir()],
        parameter_values=[points, None, points, points, None],
        backend=request.param,
        shots=SHOTS,
        seed=11,
    )
    submitted.wait(timeout=300)
    # The twin's readout and gate errors move a share by a few percent.
    return submitted, 0.0 if request.param == "statevector" else 0.12


def shares(rows):
    """Share of each distinct row."""
    found = Counter("".join(map(str, row)) for row in np.asarray(rows, dtype=int))
    return {key: count / len(rows) for key, count in found.items()}


def assert_alike(ours, theirs, noise):
    for key in {*ours, *theirs}:
        assert ours.get(key, 0.0) == pytest.approx(theirs.get(key, 0.0), abs=TOLERANCE + noise)


def test_cirq_results_have_cirqs_keys(job):
    job, noise = job
    still, turned = job.native(0)
    assert turned.params == cirq.ParamResolver({"angle": ANGLE})
    assert set(turned.measurements) == {"first", "second"}
    exact = cirq.Simulator(seed=1).run(of_cirq(), turned.params, repetitions=SHOTS)

    def joined(result):
        return shares(np.hstack([result.measurements["first"], result.measurements["second"]]))

    assert_alike(joined(turned), joined(exact), noise)
    assert joined(still)["000"] > 1 - noise - 1e-9


def test_pennylane_results_are_what_the_qnode_returns(job):
    job, noise = job
    counts, probabilities = job.native(1)
    sampled = qml.set_shots(counted, shots=SHOTS)(ANGLE)
    ours = {key: n / SHOTS for key, n in counts.items()}
    assert_alike(ours, {key: n / SHOTS for key, n in sampled[0].items()}, noise)
    assert probabilities == pytest.approx(sampled[1], abs=TOLERANCE + noise)


def test_pyquil_results_are_arrays_by_region(job):
    job, noise = job
    still, turned = job.native(2)
    assert set(turned) == {"ro"}
    assert turned["ro"].shape == (SHOTS, 3)
    chance = np.sin(ANGLE / 2) ** 2
    assert_alike(shares(turned["ro"]), {"010": 1 - chance, "111": chance}, noise)
    assert shares(still["ro"])["010"] > 1 - noise - 1e-9


def test_braket_results_are_in_brakets_order(job):
    job, noise = job
    _, turned = job.native(3)
    exact = LocalSimulator().run(of_braket(), shots=SHOTS, inputs={"turn": ANGLE}).result()
    assert turned.measured_qubits == exact.measured_qubits == [2, 5, 7]
    assert sum(turned.measurement_counts.values()) == SHOTS
    assert turned.measurements.shape == exact.measurements.shape
    assert_alike(turned.measurement_probabilities, exact.measurement_probabilities, noise)


def test_qir_results_are_recorded_outputs(job):
    job, noise = job
    records = job.native(4)
    ours = Counter(
        "".join(line.split("\t")[2] for line in shot.splitlines() if line.startswith("OUTPUT"))
        for shot in records.split("START\n")[1:]
    )
    output = qirrunner.OutputHandler()
    qirrunner.run_bytes(of_qir(), shots=4, rng_seed=1, output_fn=output.handle)
    assert output.get_output().count("END\t0") == 4  # the runner takes what we were given
    chance = np.sin(ANGLE / 2) ** 2
    found = {key: n / SHOTS for key, n in ours.items()}
    assert_alike(found, {"00": 1 - chance, "11": chance}, noise)


def test_observables_of_tapes_and_result_types_are_answered(platform):
    circuit = Circuit().rx(0, ANGLE).cnot(0, 1)
    circuit.expectation(Observable.Z() @ Observable.Z(), target=[0, 1])
    circuit.variance(Observable.Z(), target=0)
    job = platform.run_circuits(
        [functools.partial(valued, ANGLE), circuit], backend="statevector", exact=True, seed=1
    )
    assert job.native(0, timeout=300) == pytest.approx(valued(ANGLE), abs=1e-9)
    assert job.native(1) == pytest.approx([1.0, np.sin(ANGLE) ** 2], abs=1e-9)
    assert job.manifest().job.items[1].circuit.format == "braket"


def branching():
    """Puts qubit 1 to 1 where qubit 0 was measured as 0: no list of gates does that."""
    module = pyqir.SimpleModule("branching", 2, 2)
    builder = pyqir.BasicQisBuilder(module.builder)
    builder.h(module.qubits[0])
    builder.mz(module.qubits[0], module.results[0])
    builder.if_result(module.results[0], zero=lambda: builder.x(module.qubits[1]))
    builder.mz(module.qubits[1], module.results[1])
    pointer = pyqir.result(module.context, 0).type
    record = module.add_external_function(
        "__quantum__rt__result_record_output",
        pyqir.FunctionType(pyqir.Type.void(module.context), [pointer] * 2),
    )
    null = pyqir.Constant.null(pointer)
    for result in module.results:
        module.builder.call(record, [result, null])
    return module.ir()


def test_qir_that_branches_runs_on_simulators_only(platform):
    job = platform.run_circuits(branching(), backend="statevector", shots=400, seed=2)
    (answer,) = job.result(timeout=300)
    (point,) = answer["counts"]
    assert set(point["outputs"]) == {"01", "10"}
    assert abs(point["outputs"]["01"] - 200) < 50  # five standard errors
    assert job.native().count("END\t0") == 400
    refused = platform.run_circuits(branching(), backend="FakeKolkata", shots=10)
    with pytest.raises(CircuitError, match="it branches"):
        refused.result(timeout=300)
