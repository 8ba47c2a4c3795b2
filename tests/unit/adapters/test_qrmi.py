"""QRMI's operations over an ideal device with sessions, a twin, and a device that loses replies."""

import json
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm3
from qiskit.circuit import Parameter
from qiskit_ibm_runtime import RuntimeEncoder
from qiskit_ibm_runtime.utils.result_decoder import ResultDecoder

from adapters.contract import (
    DeviceAdapter,
    DeviceJobState,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.qrmi import OperationUnsupported, Payload, QuantumResource, TaskStatus
from adapters.registry import open_device
from qcpaas.errors import AcceptanceUnknown, InputError, ResultPending, UnknownDeviceJob

SHOTS = 1000


class Keeper(DeviceAdapter):
    """The ideal simulator with sessions; wayward on request."""

    name = "keeper"

    def __init__(self):
        self.inner = open_device("statevector")
        self.submitted: list[Submission] = []
        self.closed: list[str] = []
        self.loses, self.searches, self.pending = False, True, False

    def capabilities(self):
        return replace(self.inner.capabilities(), token_lag_s=0.0)

    def calibration(self, at: datetime | None = None):
        return Unsupported("calibration", "it is ideal")

    def submit(self, submission, token):
        self.submitted.append(submission)
        handle = self.inner.submit(submission, token)
        if self.loses:
            raise AcceptanceUnknown("no answer came")
        return handle

    def status(self, handle):
        return DeviceJobState.RUNNING if self.pending else self.inner.status(handle)

    def result(self, handle, timeout_s=None):
        return self.inner.result(handle, timeout_s)

    def cancel(self, handle):
        return None

    def find_by_token(self, token) -> JobHandle | Unsupported | None:
        if not self.searches:
            return Unsupported("find_by_token", "it cannot search")
        return self.inner.find_by_token(token)

    def open_session(self):
        return DeviceSession("session-1")

    def close_session(self, session):
        self.closed.append(session.session_id)


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
def resource(keeper):
    return QuantumResource(keeper)


def payload(*pubs, **options):
    given = {"pubs": list(pubs), "options": options, "version": 2, "support_qiskit": True}
    return Payload.QiskitPrimitive(json.dumps(given, cls=RuntimeEncoder), "sampler")


def two_registers():
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(QuantumRegister(2), low, high)
    circuit.rx(Parameter("t"), 0)
    circuit.x(1)
    circuit.measure(0, low[0])
    circuit.measure(1, high[1])
    return circuit


def bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_a_samplers_input_runs_and_its_result_is_read_by_ibms_decoder(resource):
    points = np.array([[0.0], [np.pi]])
    task = resource.task_start(payload((two_registers(), points, SHOTS), (bell(), None, 500)))
    assert resource.task_status(task) is TaskStatus.Completed
    first, second = ResultDecoder.decode(resource.task_result(task).value)
    assert first.data.low.shape == first.data.high.shape == (2,)
    assert first.data.low.get_counts(0) == {"0": SHOTS}
    assert first.data.low.get_counts(1) == {"1": SHOTS}
    assert first.data.high.get_counts() == {"10": 2 * SHOTS}
    assert second.data.meas.shape == ()
    counts = second.data.meas.get_counts()
    assert counts.keys() == {"00", "11"}
    assert abs(counts["00"] - 250) < 5 * np.sqrt(500) / 2


def test_a_circuit_may_be_openqasm_and_shots_the_default(resource, keeper):
    resource.task_start(payload([qasm3.dumps(bell())], default_shots=77))
    (experiment,) = keeper.submitted[0].experiments
    assert experiment.shots == 77
    assert experiment.circuit.num_qubits == 2


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (Payload.QiskitPrimitive("{}", "estimator"), "estimator"),
        (Payload.QiskitPrimitive("{", "sampler"), "not JSON"),
        (Payload.QiskitPrimitive("[]", "sampler"), "no list of pubs"),
        (Payload.QiskitPrimitive('{"pubs": [["OPENQASM 3; nonsense"]]}', "sampler"), "OpenQASM"),
        (Payload.QiskitPrimitive('{"pubs": [[3]]}', "sampler"), "PUB"),
        (payload((bell(),), twirling={"enable_gates": True}), "twirling"),
        (object(), "object"),
    ],
)
def test_what_is_no_samplers_input_is_refused_before_anything_is_sent(
    resource, keeper, given, match
):
    with pytest.raises(InputError, match=match):
        resource.task_start(given)
    assert keeper.submitted == []


def test_tasks_run_in_the_session_that_was_acquired_until_it_is_released(resource, keeper):
    token = resource.acquire()
    resource.task_start(payload((bell(),)))
    resource.release(token)
    resource.task_start(payload((bell(),)))
    sessions = [submission.session for submission in keeper.submitted]
    assert sessions == [DeviceSession("session-1"), None]
    assert keeper.closed == ["session-1"]


def test_a_device_without_sessions_cannot_be_acquired():
    with pytest.raises(OperationUnsupported, match="open_session: FakeAthens has no sessions"):
        QuantumResource.open("FakeAthens").acquire()


def test_a_task_whose_reply_was_lost_is_found_or_told(resource, keeper):
    keeper.loses = True
    task = resource.task_start(payload((bell(),)))
    assert resource.task_status(task) is TaskStatus.Completed
    keeper.searches = False
    with pytest.raises(AcceptanceUnknown, match="cannot search"):
        resource.task_start(payload((bell(),)))


def test_a_result_that_is_not_there_is_not_waited_for(resource, keeper):
    task = resource.task_start(payload((bell(),)))
    keeper.pending = True
    assert resource.task_status(task) is TaskStatus.Running
    with pytest.raises(ResultPending, match="is running"):
        resource.task_result(task)


def test_an_unknown_task_and_missing_operations_are_told(resource):
    with pytest.raises(UnknownDeviceJob, match="no-such-task"):
        resource.task_status("no-such-task")
    with pytest.raises(OperationUnsupported, match="no logs"):
        resource.task_logs("no-such-task")
    twin = QuantumResource.open("FakeAthens")
    circuit = QuantumCircuit(5, 1)
    circuit.x(3)
    circuit.measure(3, 0)
    task = twin.task_start(payload((circuit,)))
    with pytest.raises(OperationUnsupported, match="cancel"):
        twin.task_stop(task)


def test_a_target_holds_capabilities_and_calibration():
    twin = QuantumResource.open("FakeAthens")
    told = json.loads(twin.target().value)
    assert told["capabilities"]["num_qubits"] == 5
    assert "cx" in told["capabilities"]["basis_gates"]
    snapshot = open_device("FakeAthens").calibration()
    values = {
        (value["quantity"], value["gate"], tuple(value["qubits"])): value["value"]
        for value in told["calibration"]["values"]
    }
    assert values == dict(zip(snapshot.keys, snapshot.values.tolist(), strict=True))
    assert twin.metadata() == {
        "backend_name": "FakeAthens",
        "num_qubits": "5",
        "simulator": "true",
    }
    assert twin.is_accessible()
    assert twin.resource_id() == "FakeAthens"
    ideal = json.loads(QuantumResource.open("statevector").target().value)
    assert ideal["calibration"] is None
