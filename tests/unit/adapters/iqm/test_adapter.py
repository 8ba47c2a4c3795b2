"""The IQM adapter against a loopback server, through the vendor's unmodified client."""

import json
import time
import traceback
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from vendors.iqm import TOKEN
from vendors.iqm_devices import set_id
from vendors.iqm_subject import served

from adapters.contract import DeviceJobState, Submission, Unsupported
from adapters.iqm.credentials import IqmCredentials
from adapters.iqm.vendor import IqmVendor
from adapters.registry import open_device
from qcpaas.calibration import Quantity
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    InputError,
    MalformedReply,
    QCPaaSError,
    ResultPending,
    SubmissionRefused,
    UnknownDevice,
    UnknownDeviceJob,
)
from qcpaas.execution import Binding, Experiment

SHOTS = 200
LONG_S = 60.0  # a delay that no test waits for
WRONG = "a-token-that-nobody-knows"
SPOILT = ("truncated", "types", "nan", "negative", "huge", "empty", "html")
EXACT = 1e-12


def experiment(shots=SHOTS, points=1):
    """X on the second of three qubits of the device."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(
        QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b")
    )
    circuit.rx(angle, 1)
    circuit.cz(1, 2)
    circuit.measure([0, 1], [2, 1])
    values = np.full((points, 1), np.pi)
    return Experiment(circuit, values, shots=shots, binding=Binding((0, 1, 2), "", None, ()))


def submission(*experiments):
    return Submission(experiments or (experiment(),), seed=1)


def connected(settings, credentials=None, address="adonis"):
    vendor = IqmVendor()
    registration = DeviceRegistration(
        name="mine", adapter="iqm", address=address, settings=settings
    )
    credentials = credentials or IqmCredentials.from_environment()
    return vendor.open_registered(registration, credentials)


def outcome(operation):
    """What it answers, or our error."""
    try:
        return operation()
    except QCPaaSError as error:
        return error


def told(error):
    return "".join(traceback.format_exception(error))


# --- results ------------------------------------------------------------------------------------


def test_counts_have_the_circuits_registers_also_in_another_process(adapter):
    handle = adapter.submit(submission(experiment(points=3), experiment()), "token-1")
    # What another process knows: the handle alone.
    for reader in (adapter, open_device("iqm:adonis")):
        result = reader.result(handle, timeout_s=30)
        assert [len(counts.points) for counts in result.counts] == [3, 1]
        for counts in result.counts:
            assert counts.registers == (("a", 2), ("b", 1))
            assert all(point.to_dict() == {"010": SHOTS} for point in counts.points)
    assert result.details["calibration_set_id"] == set_id("adonis", 0)
    assert result.qpu_s > 0
    assert adapter.status(handle) is DeviceJobState.COMPLETED


def test_settings_reach_the_server(server, environment):
    past = set_id("adonis", -1)
    adapter = connected(
        {
            "use_timeslot": True,
            "heralding": True,
            "dynamical_decoupling": True,
            "max_circuit_duration_over_t2": 0.5,
            "active_reset_cycles": 2,
            "calibration_set_id": past,
        }
    )
    adapter.result(adapter.submit(submission(), "with-settings"), timeout_s=30)
    (job,) = server.jobs("with-settings")
    assert job["request"]["use_timeslot"] is True
    sent = job["request"]["definition"]
    assert sent["heralding_mode"] == "zeros"
    assert sent["dd_mode"] == "enabled"
    assert sent["max_circuit_duration_over_t2"] == 0.5
    assert sent["active_reset_cycles"] == 2
    assert sent["calibration_set_id"] == past


def test_a_setting_that_is_none_is_named():
    registration = DeviceRegistration(
        name="mine", adapter="iqm", address="adonis", settings={"use_time_slot": True}
    )
    with pytest.raises(InputError, match="use_time_slot"):
        IqmVendor().open_registered(registration, IqmCredentials())


def test_what_waits_says_how_many_wait_before_it(server, adapter):
    server.set(delay_s=LONG_S, queue=7)
    first, second = (adapter.submit(submission(), f"queued-{n}") for n in range(2))
    with pytest.raises(ResultPending, match=r"not done after 0\.3 s.*queue: 7 jobs"):
        adapter.result(second, timeout_s=0.3)
    assert adapter.availability().queue_length == 7
    for handle in (second, first):
        assert adapter.cancel(handle) is None
        assert adapter.status(handle) is DeviceJobState.CANCELLED
        with pytest.raises(ExecutionFailed, match="cancelled"):
            adapter.result(handle)


def test_a_failed_job_keeps_the_servers_words(server, adapter):
    server.set(fail_jobs="the cryostat is warm")
    handle = adapter.submit(submission(), "fails")
    with pytest.raises(ExecutionFailed, match="the cryostat is warm"):
        adapter.result(handle, timeout_s=30)
    assert adapter.status(handle) is DeviceJobState.FAILED


def test_an_unknown_job_is_said_to_be_so_by_the_server(adapter):
    handle = adapter.submit(submission(), "known")
    unknown = handle.model_copy(update={"device_job_id": set_id("adonis", 0, "no job")})
    for operation in (adapter.status, adapter.result, adapter.cancel):
        with pytest.raises(UnknownDeviceJob, match=unknown.device_job_id):
            operation(unknown)


# --- submissions --------------------------------------------------------------------------------


def test_what_one_job_cannot_hold_is_refused_before_anything_is_sent(server, adapter):
    before = len(server.jobs())
    for given, words in (
        (submission(experiment(100), experiment(7)), "100.*7"),
        (submission(experiment(shots=20_001)), "20001 shots.*20000"),
        (submission(experiment(points=501)), "501 circuits.*500"),
        (submission(experiment(shots=None)), "counts"),
        (Submission((), 1), "no circuits"),
    ):
        with pytest.raises(SubmissionRefused, match=words):
            adapter.submit(given, "refused")
    assert len(server.jobs()) == before


def test_a_refusal_keeps_the_servers_words(server, environment):
    adapter = connected({"max_shots": 30_000})
    with pytest.raises(SubmissionRefused, match="30000 shots are more than 20000"):
        adapter.submit(submission(experiment(shots=30_000)), "too-many")
    assert server.jobs("too-many") == []


def test_a_lost_reply_leaves_one_job_and_no_way_to_find_it(server, adapter):
    server.set(lose_replies=1)
    with pytest.raises(AcceptanceUnknown, match="lost-reply"):
        adapter.submit(submission(), "lost-reply")
    answer = adapter.find_by_token("lost-reply")
    assert isinstance(answer, Unsupported)
    assert answer.operation == "find_by_token"
    assert len(server.jobs("lost-reply")) == 1


@pytest.mark.parametrize(
    ("status", "at_submission", "at_reading"),
    [
        (401, CredentialsRefused, CredentialsRefused),
        (403, CredentialsRefused, CredentialsRefused),
        (404, SubmissionRefused, UnknownDeviceJob),
        (413, SubmissionRefused, AdapterError),
        (422, SubmissionRefused, AdapterError),
        (429, DeviceUnavailable, DeviceUnavailable),
        (500, AcceptanceUnknown, DeviceUnavailable),
        (502, AcceptanceUnknown, DeviceUnavailable),
        (503, DeviceUnavailable, DeviceUnavailable),
        (504, AcceptanceUnknown, DeviceUnavailable),
        (520, AcceptanceUnknown, DeviceUnavailable),
    ],
)
def test_each_status_of_the_server_is_one_error(server, adapter, status, at_submission, at_reading):
    handle = adapter.submit(submission(), "before")
    server.set(status=status)
    with pytest.raises(at_submission, match="as was wished"):
        adapter.submit(submission(), f"status-{status}")
    with pytest.raises(at_reading):
        adapter.status(handle)
    assert server.jobs(f"status-{status}") == []


def test_circuits_are_checked_against_the_gates_of_today(server, adapter):
    circuit = QuantumCircuit(2, 1)
    circuit.cz(0, 1)
    circuit.measure(0, 0)
    asked = Experiment(circuit, np.zeros((1, 0)), shots=10, binding=Binding((3, 2), "", None, ()))
    adapter.submit(submission(asked), "today")
    server.set(calibration=2)  # without this coupling
    with pytest.raises(SubmissionRefused, match="not calibrated on"):
        adapter.submit(submission(asked), "tomorrow")
    stranger = open_device("iqm:adonis")
    with pytest.raises(SubmissionRefused, match="cz on QB4 and QB3"):
        stranger.submit(submission(asked), "tomorrow")
    server.set(calibration=0)
    stranger.submit(submission(asked), "the day after")  # its gates are read anew
    assert server.jobs("tomorrow") == []


# --- calibration --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("alias", ["adonis", "garnet"])
def test_values_dates_and_uncertainties_are_those_that_are_served(
    server, environment, alias, number
):
    server.set(calibration=number)
    snapshot = open_device(f"iqm:{alias}").calibration()
    found = {reading.key: reading for reading in snapshot.readings()}
    expected = served(alias)(number)
    assert len(expected) > 8 * snapshot.num_qubits
    for reading in expected:
        mine = found.pop(reading.key)
        assert mine.value == pytest.approx(reading.value, rel=EXACT, abs=0)
        assert mine.measured_at == reading.measured_at
        assert mine.provenance.source == f"iqm:{alias}"
    told_besides = {(name, gate) for name, gate, _ in found}
    assert told_besides <= {
        ("gate_error", "rz"),
        ("gate_duration_s", "rz"),
        ("operational", "reset"),
        ("operational", "cz"),
        ("operational", ""),
    }


def test_what_must_not_be_used_is_absent(adapter):
    snapshot = adapter.calibration()
    times = snapshot.per_qubit(Quantity.T1_S)
    assert np.isnan(times).tolist() == [False] * 4 + [True]
    errors = [r.std_error for r in snapshot.readings() if r.quantity is Quantity.T1_S]
    assert [e is None for e in errors].count(False) >= 3
    for reading, error in zip(snapshot.readings(), errors, strict=False):
        if reading.quantity is Quantity.T1_S and error is not None:
            assert error == pytest.approx(0.01 * reading.value, rel=1e-6)


def test_what_is_not_calibrated_is_not_operational_and_keeps_its_number(server, environment):
    server.set(calibration=2)
    snapshot = open_device("iqm:adonis").calibration()
    assert snapshot.num_qubits == 5
    assert [snapshot.is_operational(q) for q in range(5)] == [True, True, True, True, False]
    assert not snapshot.is_operational(2, 3, gate="cz")
    assert snapshot.is_operational(0, 2, gate="cz")


def test_a_star_has_couplings_of_all_pairs_with_compounded_errors(environment):
    snapshot = open_device("iqm:deneb").calibration()
    assert snapshot.num_qubits == 6
    assert len(snapshot.gates["cz"]) == 30
    error = snapshot.get(Quantity.GATE_ERROR, 0, 1, gate="cz")
    # Two MOVE and one CZ, each between 0.4 and 1.5 % lossy.
    assert 1 - 0.996**3 < error < 1 - 0.985**3


def test_a_past_calibration_is_the_one_that_was_in_force(server, adapter):
    present = adapter.calibration()
    server.set(calibration=2)
    moment = max(reading.measured_at for reading in served("adonis")(0)) + timedelta(minutes=20)
    past = adapter.calibration(at=moment)
    assert past.content_id == present.content_id
    assert adapter.calibration(at=datetime.now(UTC)).content_id == adapter.calibration().content_id
    early = adapter.calibration(at=datetime(2020, 1, 1, tzinfo=UTC))
    assert isinstance(early, Unsupported)


def test_a_user_without_access_to_the_station_is_told_that_there_is_no_history(environment):
    answer = open_device("iqm:deneb").calibration(at=datetime(2020, 1, 1, tzinfo=UTC))
    assert isinstance(answer, Unsupported)
    assert "station" in answer.reason


# --- who is let in ------------------------------------------------------------------------------


def test_a_wrong_token_is_refused_and_never_shown(environment):
    environment.setenv("IQM_TOKEN", WRONG)
    adapter = open_device("iqm:adonis")
    for operation in (
        adapter.calibration,
        adapter.capabilities,
        adapter.availability,
        lambda: adapter.submit(submission(), "stranger"),
        lambda: IqmVendor().available(IqmCredentials.from_environment()),
    ):
        with pytest.raises(CredentialsRefused) as caught:
            operation()
        assert WRONG not in told(caught.value)
        assert "Unauthorized" in str(caught.value)


def test_the_given_token_counts_whatever_the_environment_says(server, environment):
    url = server.url
    right = IqmCredentials(server_url=url, token=TOKEN)
    environment.setenv("IQM_TOKEN", WRONG)
    assert connected({}, right).calibration().num_qubits == 5
    environment.setenv("IQM_TOKEN", TOKEN)
    # A server that needs no token must not be sent another server's.
    with pytest.raises(CredentialsRefused):
        connected({}, IqmCredentials(server_url=url)).calibration()


def test_a_tokens_file_is_read_and_an_expired_one_is_refused(tmp_path, environment):
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps({"access_token": TOKEN}))
    environment.delenv("IQM_TOKEN")
    environment.setenv("IQM_TOKENS_FILE", str(file))
    adapter = open_device("iqm:adonis")
    assert adapter.calibration().num_qubits == 5
    expired = "eyJhbGciOiJub25lIn0.eyJleHAiOiAxNjAwMDAwMDAwfQ.sig"
    file.write_text(json.dumps({"access_token": expired}))
    with pytest.raises(CredentialsRefused, match="expired") as caught:
        adapter.calibration()
    assert expired not in told(caught.value)
    file.unlink()
    with pytest.raises(CredentialsRefused, match="IQM_TOKENS_FILE"):
        adapter.calibration()


def test_missing_and_doubled_credentials_are_told_before_anything_is_asked(environment):
    environment.setenv("IQM_TOKENS_FILE", "somewhere")
    with pytest.raises(CredentialsRefused, match="Leave out one"):
        open_device("iqm:adonis")
    environment.delenv("IQM_SERVER_URL")
    with pytest.raises(CredentialsRefused, match="IQM_SERVER_URL"):
        open_device("iqm:adonis")


def test_a_token_is_not_sent_without_encryption_to_another_machine(environment):
    environment.setenv("IQM_SERVER_URL", "http://iqm.example")
    with pytest.raises(CredentialsRefused, match="https"):
        open_device("iqm:adonis").calibration()
    with pytest.raises(CredentialsRefused, match="https"):
        IqmVendor().available(IqmCredentials.from_environment())


def test_quantum_computers_are_listed_and_one_that_is_none_is_named(environment):
    listed = IqmVendor().available(IqmCredentials.from_environment())
    assert [(each.name, each.num_qubits) for each in listed] == [
        ("adonis", 5),
        ("garnet", 20),
        ("deneb", 6),
    ]
    with pytest.raises(UnknownDevice, match=r"emerald.*adonis, garnet, deneb"):
        open_device("iqm:emerald").calibration()


# --- outages ------------------------------------------------------------------------------------


def test_a_device_in_maintenance_says_so_and_takes_nothing(server, adapter):
    server.set(maintenance=True)
    availability = adapter.availability()
    assert not availability.online
    assert "maintenance" in availability.message
    with pytest.raises(DeviceUnavailable, match="maintenance"):
        adapter.submit(submission(), "in-vain")
    assert server.jobs("in-vain") == []


def test_an_unreachable_server_is_said_soon(environment):
    environment.setenv("IQM_SERVER_URL", "http://127.0.0.1:9")
    adapter = open_device("iqm:adonis")
    began = time.monotonic()
    for operation in (
        adapter.calibration,
        adapter.capabilities,
        lambda: adapter.submit(submission(), "nowhere"),
    ):
        with pytest.raises(DeviceUnavailable, match="cannot be reached"):
            operation()
    assert not adapter.availability().online
    assert time.monotonic() - began < 20


def test_a_restarted_server_goes_on_with_its_jobs(server, adapter):
    server.set(delay_s=LONG_S)
    handle = adapter.submit(submission(), "survives")
    server.kill()
    with pytest.raises(DeviceUnavailable):
        adapter.result(handle)
    with pytest.raises(DeviceUnavailable):
        adapter.submit(submission(), "unsent")
    server.start()
    server.set(delay_s=0.0)
    assert adapter.result(handle, timeout_s=30).counts[0].points[0].to_dict() == {"010": SHOTS}
    assert server.jobs("unsent") == []


# --- spoilt replies -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize(
    "path",
    [
        "quantum-computers$",
        "static-quantum",
        "dynamic-quantum",
        "calibration-sets/[^/]+/[^/]+$",
        "metrics$",
    ],
)
def test_a_spoilt_calibration_is_never_believed(server, environment, path, how):
    server.set(spoil=how, spoil_path=path)
    numberless = path != "metrics$" and not path.startswith("calibration-sets")
    if numberless and how in {"nan", "negative", "huge"}:
        assert open_device("iqm:adonis").calibration().num_qubits == 5
        return
    with pytest.raises(MalformedReply) as caught:
        open_device("iqm:adonis").calibration()
    assert len(str(caught.value)) < 600
    assert TOKEN not in told(caught.value)


@pytest.mark.parametrize("how", ["truncated", "types", "empty", "html"])
def test_a_spoilt_answer_to_a_submission_leaves_it_unknown(server, adapter, how):
    adapter.capabilities()
    server.set(spoil=how, spoil_path="/circuit$")
    with pytest.raises(AcceptanceUnknown, match=f"spoilt-{how}"):
        adapter.submit(submission(), f"spoilt-{how}")
    assert len(server.jobs(f"spoilt-{how}")) == 1


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("path", ["jobs/[^/]+$", "measurement_counts$", "payload$"])
def test_a_spoilt_result_is_an_error_or_the_right_one(server, adapter, path, how):
    handle = adapter.submit(submission(), f"{path} {how}")
    adapter.result(handle, timeout_s=30)
    server.set(spoil=how, spoil_path=path)
    answer = outcome(lambda: open_device("iqm:adonis").result(handle, timeout_s=5))
    if isinstance(answer, Exception):
        assert isinstance(answer, MalformedReply)
        assert len(str(answer)) < 600
    else:
        assert how in {"nan", "negative", "huge"}, "nothing of it could be read"
        assert answer.counts[0].points[0].to_dict() == {"010": SHOTS}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_health_or_queue_is_told_or_does_not_matter(server, adapter, how):
    adapter.capabilities()
    for path in ("health$", "queue-availability$"):
        server.set(spoil=how, spoil_path=path)
        answer = outcome(adapter.availability)
        if isinstance(answer, Exception):
            assert isinstance(answer, MalformedReply)
        else:
            assert answer.online
            assert answer.queue_length == 0
