"""The adapter with IBM's own client against the loopback server, which runs Aer without noise.

Its circuits are written in the device's gates: compiling is tested elsewhere.
"""

import socket
import time
import traceback
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector
from vendors import ibm as loopback
from vendors import ibm_device, ibm_subject

from adapters.contract import (
    DeviceJobState,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.ibm import transport
from adapters.ibm.credentials import IbmCredentials
from adapters.ibm.vendor import IbmVendor
from adapters.registry import open_device
from qcpaas.calibration import Quantity
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import (
    AcceptanceUnknown,
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    MalformedReply,
    QCPaaSError,
    SessionClosed,
    SubmissionRefused,
    UnknownDevice,
)
from qcpaas.execution import Binding, Experiment

NAME = "ibm:ibm_fractional"
LONG_S = 60.0  # a delay that no test waits for
SPOILT = ("truncated", "types", "nan", "negative", "huge", "empty", "html")


@pytest.fixture(scope="module")
def adapter(service):
    return open_device(NAME)


def opened(address="ibm_fractional", **settings):
    """The device with settings, signed in to by nobody yet."""
    registration = DeviceRegistration(
        name="mine", adapter="ibm", address=address, settings=settings
    )
    vendor = IbmVendor()
    return vendor.open_registered(registration, vendor.credentials_type.from_environment())


def experiment(circuit, physical, values=None, **settings):
    points = np.zeros((1, 0)) if values is None else np.asarray(values, dtype=float)
    return Experiment(circuit, points, binding=Binding(physical, "", None, ()), **settings)


def flipped(shots=50):
    circuit = QuantumCircuit(1, 1, name="flipped")
    circuit.x(0)
    circuit.measure(0, 0)
    return experiment(circuit, (3,), shots=shots)


def submission(*experiments, session=None):
    return Submission(experiments or (flipped(),), seed=1, session=session)


def run(adapter, *experiments, token="a-token", session=None):
    handle = adapter.submit(submission(*experiments, session=session), token)
    return adapter.result(handle, timeout_s=60)


def told(error):
    return "".join(traceback.format_exception(error))


# --- results ------------------------------------------------------------------------------------


def test_several_registers_come_back_in_qiskits_order_under_their_own_names(adapter):
    low, high = ClassicalRegister(2, "in"), ClassicalRegister(9, "high")  # one is a keyword
    circuit = QuantumCircuit(QuantumRegister(3), low, high)
    circuit.x([0, 2])
    circuit.measure(0, high[7])  # clbit 9
    circuit.measure(1, low[0])
    circuit.measure(2, low[1])
    (counts,) = run(adapter, experiment(circuit, (4, 3, 1), shots=20)).counts
    assert counts.registers == (("in", 2), ("high", 9))
    assert counts.points[0].to_dict() == {"01000000010": 20.0}


def test_points_shots_and_circuits_keep_their_order(adapter):
    theta, zero = Parameter("theta"), Parameter("alpha")
    circuit = QuantumCircuit(2, 2, name="rotation")
    circuit.rx(2 * theta, 0)
    circuit.rx(zero, 1)
    circuit.measure([0, 1], [0, 1])
    angles = np.array([[0.0, 0.0], [np.pi, 0.4], [0.0, np.pi / 2]])  # alpha, theta
    result = run(adapter, experiment(circuit, (1, 3), angles, shots=4000), flipped(7))
    first, second = result.counts
    ideal = [np.array([np.sin(alpha / 2), np.sin(theta)]) ** 2 for alpha, theta in angles]
    for point, (high, low) in zip(first.points, ideal, strict=True):
        found = point.to_dict()
        for place, expected in ((0, high), (1, low)):
            ones = sum(n for bits, n in found.items() if bits[place] == "1") / 4000
            assert abs(ones - expected) < 5 * np.sqrt(0.25 / 4000)
    assert second.points[0].to_dict() == {"1": 7.0}


def test_expectation_values_are_within_their_errors_of_the_exact_ones(adapter):
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rz(0.3, 1)
    observables = (SparsePauliOp("ZI"), SparsePauliOp(["XY", "ZZ", "II"], [0.5, -2, 1]))
    points = np.array([[0.2], [1.4], [2.9]])
    asked = experiment(circuit, (1, 3), points, observables=observables, shots=8000)
    result = run(adapter, asked)
    assert result.counts == ()
    (found,) = result.values
    exact = [
        [Statevector(circuit.assign_parameters(p)).expectation_value(o).real for o in observables]
        for p in points
    ]
    assert found.variances == pytest.approx(np.full((3, 2), 1 / 8000))
    assert np.abs(found.values - exact).max() < 5 / np.sqrt(8000)
    zero = experiment(QuantumCircuit(1), (2,), observables=(SparsePauliOp("Z"),))
    (plain,) = run(adapter, zero).values
    assert plain.values.shape == plain.variances.shape == (1, 1)
    assert abs(plain.values[0, 0] - 1) < 5 / np.sqrt(4096)


def test_usage_and_times_are_those_of_the_vendor(adapter, ibm):
    handle = adapter.submit(submission(), "timed")
    result = adapter.result(handle, timeout_s=60)
    (job,) = ibm.jobs("timed")
    assert result.qpu_s == pytest.approx(job["ended_at"] - job["started_at"])
    created = datetime.fromisoformat(result.details["timestamps"]["created"])
    assert created.timestamp() == pytest.approx(job["accepted_at"], abs=1e-5)
    assert result.details["estimated_running_time_seconds"] == 2.5


def test_what_the_client_checks_is_refused_in_its_words_and_not_sent(adapter, ibm):
    before = len(ibm.jobs())
    far = QuantumCircuit(2, 1)
    far.cx(0, 1)
    far.measure_all()
    with pytest.raises(SubmissionRefused, match="cx on qubits"):
        adapter.submit(submission(experiment(far, (0, 4), shots=1)), "wrong")
    assert len(ibm.jobs()) == before


# --- calibration --------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["ibm_fractional", "ibm_torino"])
def test_every_value_is_the_served_one_in_si_with_its_own_date(ibm, address):
    ibm.set(calibration=2)
    snapshot = opened(address).calibration()
    expected = {reading.key: reading for reading in ibm_subject.served(address, 2)}
    assert set(snapshot.keys) == set(expected)
    for found in snapshot.readings():
        reading = expected[found.key]
        assert found.value == pytest.approx(reading.value, rel=1e-12, abs=0)
        assert found.measured_at == reading.measured_at
    assert len(set(snapshot.measured_at_s.tolist())) > 5
    assert datetime.now(UTC) - snapshot.taken_at < timedelta(minutes=5)


def test_history_is_read_as_of_a_moment(adapter, ibm):
    ibm.set(calibration=5)
    newest = datetime(2021, 3, 15, 9, 36, 3, tzinfo=UTC)  # five hours after the recording
    t1 = adapter.calibration(newest).get(Quantity.T1_S, 0)
    assert t1 == pytest.approx(59.69864328663569e-6 * 1.05, rel=1e-12)
    before = adapter.calibration(newest - timedelta(seconds=1))
    assert before.get(Quantity.T1_S, 0) == pytest.approx(59.69864328663569e-6 * 1.04, rel=1e-12)
    assert before.taken_at == newest - timedelta(hours=1)
    none = adapter.calibration(newest - timedelta(days=1))
    assert isinstance(none, Unsupported)
    assert "2021-03-14" in none.reason


def test_what_is_out_of_order_is_known_and_refused(adapter, ibm):
    ibm.set(calibration=ibm_device.FAULTY_AT)
    snapshot = adapter.calibration()
    gate = ibm_device.properties("ibm_fractional", 0)["gates"][ibm_device.FAULTY_GATE]
    assert not snapshot.is_operational(ibm_device.FAULTY_QUBIT)
    assert not snapshot.is_operational(*gate["qubits"], gate=gate["gate"])
    assert snapshot.is_operational(0)
    broken = experiment(flipped().circuit, (ibm_device.FAULTY_QUBIT,), shots=1)
    with pytest.raises(SubmissionRefused, match="faulty qubit"):
        adapter.submit(submission(broken), "broken")
    ibm.set(calibration=0)
    adapter.calibration()
    assert run(adapter, broken).counts


def test_capabilities_are_those_of_the_configuration(adapter):
    found = adapter.capabilities()
    assert found.num_qubits == 5
    assert {"cx", "rx", "rzz", "measure", "delay", "reset"} <= set(found.basis_gates)
    assert found.rep_delay_s == pytest.approx(250e-6)
    assert found.control_flow == {"if_else", "while_loop"}
    assert found.max_shots == 8192


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["session", "batch"])
def test_a_session_has_the_vendors_limits_and_is_taken_up_by_its_id(ibm, mode):
    before = datetime.now(UTC)
    session = opened(mode=mode, max_time_s=900).open_session()
    assert session.max_idle_s == 60.0
    assert before <= session.expires_at - timedelta(seconds=900) <= datetime.now(UTC)
    other = opened()
    known = DeviceSession(session.session_id)
    result = run(other, session=known, token=f"in-{mode}")
    assert result.details["session_id"] == session.session_id
    assert ibm.jobs(f"in-{mode}")[0]["request"]["session_id"] == session.session_id
    kept = other._session(session.session_id)
    assert (kept.state, kept.accepting_jobs) == ("active", True)
    assert other.close_session(known) is None
    with pytest.raises(SessionClosed, match=session.session_id):
        run(other, session=known)


def test_jobs_that_a_sessions_end_drops_say_so(ibm):
    adapter = opened(max_time_s=4)
    session = adapter.open_session()
    ibm.set(delay_s=LONG_S)
    running, waiting = (adapter.submit(submission(session=session), f"timed-{n}") for n in range(2))
    with pytest.raises(SessionClosed, match="closed"):
        adapter.result(waiting, timeout_s=30)
    with pytest.raises(SessionClosed):
        adapter.submit(submission(session=session), "late")
    assert adapter.status(running) is DeviceJobState.RUNNING
    assert ibm.jobs("late") == []
    adapter.cancel(running)


def test_an_unknown_session_is_closed_and_job_mode_has_none(adapter, ibm):
    with pytest.raises(SessionClosed, match="no-such-session"):
        adapter.submit(submission(session=DeviceSession("no-such-session")), "lost")
    assert adapter.close_session(DeviceSession("no-such-session")) is None
    answer = opened(mode="job").open_session()
    assert isinstance(answer, Unsupported)
    assert "mode" in answer.reason


# --- acceptance and errors ----------------------------------------------------------------------


def test_a_lost_reply_is_sent_once_and_found_by_its_tag(adapter, ibm):
    """Behind a proxy urllib3 would send it again, as often as it is allowed to."""
    ibm.set(lose_replies=1)
    with pytest.raises(AcceptanceUnknown, match="lost-token"):
        adapter.submit(submission(), "lost-token")
    (job,) = ibm.jobs("lost-token")
    handle = adapter.find_by_token("lost-token")
    assert handle == JobHandle(device=NAME, device_job_id=job["job_id"], token="lost-token")
    assert adapter.result(handle, timeout_s=60).counts


@pytest.fixture
def answered(monkeypatch):
    """Makes IBM answer one kind of request with a status, after whatever came before it."""

    def answer(method, path, status):
        real = transport.HTTPAdapter.send

        def send(self, request, *args, **settings):
            reply = real(self, request, *args, **settings)
            if request.method == method and request.path_url.endswith(path):
                reply.status_code = status
            return reply

        monkeypatch.setattr(transport.HTTPAdapter, "send", send)

    return answer


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, SubmissionRefused),
        (403, CredentialsRefused),
        (429, DeviceUnavailable),
        (500, AcceptanceUnknown),
        (504, AcceptanceUnknown),
    ],
)
def test_a_submission_that_is_answered_with_an_error(adapter, answered, status, kind):
    answered("POST", "/jobs", status)
    with pytest.raises(kind, match=str(status)):
        adapter.submit(submission(), f"status-{status}")


def test_a_plan_without_sessions_is_told_in_ibms_words(adapter, answered):
    answered("POST", "/sessions", 403)
    answer = adapter.open_session()
    assert isinstance(answer, Unsupported)
    assert "batch" in answer.reason


def test_a_failed_job_and_a_cancelled_one_say_so(adapter, ibm):
    ibm.set(fail_jobs="the fridge is warm")
    with pytest.raises(ExecutionFailed, match="the fridge is warm"):
        run(adapter)
    ibm.set(fail_jobs="", delay_s=LONG_S)
    handle = adapter.submit(submission(), "stopped")
    assert adapter.cancel(handle) is None
    with pytest.raises(ExecutionFailed, match="cancelled"):
        adapter.result(handle, timeout_s=10)


def test_maintenance_and_the_queue_are_told(adapter, ibm):
    ibm.set(queue=3)
    assert adapter.availability().queue_length == 3
    ibm.set(maintenance=True)
    away = adapter.availability()
    assert (away.online, away.message) == (False, "maintenance")
    with pytest.raises(DeviceUnavailable, match="maintenance"):
        adapter.submit(submission(), "away")


def test_devices_are_listed_and_unknown_ones_named(service, monkeypatch):
    vendor = IbmVendor()
    listed = vendor.available(vendor.credentials_type.from_environment())
    assert {(each.name, each.num_qubits) for each in listed} == {
        ("ibm_fractional", 5),
        ("ibm_torino", 133),
    }
    with pytest.raises(UnknownDevice, match="ibm_torino"):
        opened("ibm_turin").capabilities()


def test_an_instance_is_found_by_its_name_or_by_its_backend(service, monkeypatch):
    for instance in (loopback.INSTANCE, None):
        if instance:
            monkeypatch.setenv("QISKIT_IBM_INSTANCE", instance)
        else:
            monkeypatch.delenv("QISKIT_IBM_INSTANCE")
        assert opened().capabilities().num_qubits == 5
    with pytest.raises(CredentialsRefused, match=loopback.INSTANCE):
        opened(instance="no-such-instance").capabilities()


def test_the_clients_own_file_is_read(home, monkeypatch):
    """Written by the client itself."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    secret = "a-secret-key-of-44-characters"
    file = str(home / ".qiskit" / "qiskit-ibm.json")
    QiskitRuntimeService.save_account(token="first", name="first", filename=file)
    QiskitRuntimeService.save_account(
        token=secret, name="mine", instance="crn:v1:a", set_as_default=True, filename=file
    )
    found = IbmCredentials.from_environment()
    assert found.token.get_secret_value() == secret
    assert found.instance == "crn:v1:a"
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "crn:v1:b")
    assert IbmCredentials.from_environment().instance == "crn:v1:b"


def test_a_wrong_key_is_refused_and_shown_to_nobody(service, monkeypatch):
    """Not even where IBM's own message repeats it, as this server does."""
    wrong = "wrong-api-key-0123456789"
    monkeypatch.setenv("QISKIT_IBM_TOKEN", wrong)
    for _ in range(2):  # the second attempt of the client waits for a minute
        with pytest.raises(CredentialsRefused, match="QISKIT_IBM_TOKEN") as refused:
            opened().availability()
        assert wrong not in told(refused.value)
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(CredentialsRefused, match="QISKIT_IBM_TOKEN"):
        opened().status(JobHandle(device="x", device_job_id="y", token="z"))


def test_a_key_that_is_refused_later_is_told_as_such(adapter, ibm):
    handle = adapter.submit(submission(), "refused-later")
    ibm.set(refuse_credentials=True)
    for operation in (
        lambda: adapter.status(handle),
        lambda: adapter.submit(submission(), "refused"),
        adapter.availability,
    ):
        with pytest.raises(CredentialsRefused) as refused:
            operation()
        assert loopback.API_KEY not in told(refused.value)


def test_an_unreachable_host_is_said_at_once_and_a_silent_one_soon(service, monkeypatch):
    monkeypatch.setattr(transport, "CONNECT_S", 0.3)
    monkeypatch.setattr(transport, "SIGN_IN_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}", "http://127.0.0.1:9", "http://no.invalid:1"):
            monkeypatch.setenv("HTTPS_PROXY", address)
            monkeypatch.setenv("https_proxy", address)
            device = opened()
            began = time.monotonic()
            for _ in range(2):
                with pytest.raises(DeviceUnavailable, match="cannot be reached"):
                    device.capabilities()
            assert not device.availability().online
            assert time.monotonic() - began < 30


def test_a_sign_in_that_is_no_token_is_malformed(ibm):
    for how in ("truncated", "types", "html"):
        ibm.set(spoil=how, spoil_path=r"/identity/token$")
        with pytest.raises(MalformedReply, match="no token"):
            opened().capabilities()


# --- replies that do not fit --------------------------------------------------------------------

OPERATIONS = {
    r"/properties$": lambda device, _: device.calibration(),
    r"/status$": lambda device, _: device.availability(),
    r"/results$": lambda device, handle: device.result(handle, 10),
    r"/metrics$": lambda device, handle: device.result(handle, 10),
    r"/jobs/\w+$": lambda device, handle: device.status(handle),
    r"/jobs": lambda device, handle: device.find_by_token(handle.token),
    r"/jobs$": lambda device, _: device.submit(submission(), "spoilt"),
    r"/usage$": lambda device, _: device.submit(submission(), "before"),
    r"/sessions": lambda device, _: device.open_session(),
}
SIGNING_IN = (r"/identity/token$", r"/search$", r"/plan-", r"/backends$", r"/configuration$")
UNREADABLE = {"truncated", "empty", "html"}


@pytest.mark.parametrize("how", SPOILT)
def test_a_reply_that_does_not_fit_is_one_clear_error(adapter, ibm, how):
    handle = adapter.submit(submission(), "whole")
    adapter.result(handle, timeout_s=60)
    for path, operation in OPERATIONS.items():
        ibm.set(spoil=how, spoil_path=path)
        check_spoilt(lambda: operation(adapter, handle), how, path)  # noqa: B023
    ibm.set(spoil="")
    assert run(adapter, token="after").counts


@pytest.mark.parametrize("how", ["truncated", "types", "huge", "html"])
def test_a_sign_in_that_does_not_fit_is_one_clear_error(ibm, how):
    for path in SIGNING_IN:
        ibm.set(spoil=how, spoil_path=path)
        check_spoilt(lambda: opened().capabilities(), how, path)


def check_spoilt(operation, how, path):
    """It raises one of ours, with no secret in it, unless the reply makes sense all the same."""
    error = attempt(operation)
    if error is None:
        assert how not in UNREADABLE or path in {r"/plan-", r"/search$"}, (path, how)
        return
    kinds = (MalformedReply, AcceptanceUnknown, DeviceUnavailable, CredentialsRefused)
    assert isinstance(error, kinds), (path, error)
    assert len(str(error)) < 1000
    assert loopback.API_KEY not in told(error)


def attempt(operation):
    try:
        operation()
    except QCPaaSError as error:
        return error
    return None
