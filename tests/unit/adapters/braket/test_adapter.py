"""A Braket device through unmodified boto3, against the loopback server."""

import socket
import time
import traceback

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from vendors.braket import ACCOUNT, SECRET, SESSION_TOKEN
from vendors.braket_devices import ANKAA, FORTE, GARNET, SV1
from vendors.braket_subject import environment
from vendors.process import VendorServer

from adapters.braket.credentials import BraketCredentials
from adapters.braket.vendor import BraketVendor
from adapters.contract import DeviceJobState, JobHandle, Submission, Unsupported
from adapters.registry import open_device
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import (
    AcceptanceUnknown,
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    InputError,
    MalformedReply,
    SubmissionRefused,
    UnknownDevice,
    UnknownDeviceJob,
)
from qcpaas.execution import Binding, Experiment


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with VendorServer("braket", tmp_path_factory.mktemp("braket") / "jobs.db") as server:
        yield server


@pytest.fixture
def server(running, monkeypatch):
    for name, value in environment(running.url).items():
        monkeypatch.setenv(name, value)
    yield running
    running.reset()


def flip(turns=1, bits=2):
    """Qubits 3 and 4 by our numbers, the first turned over as often as said."""
    circuit = QuantumCircuit(2, bits)
    for _ in range(turns):
        circuit.r(np.pi, 0, 0)
    circuit.cz(0, 1)
    circuit.measure([0, 1], [0, 1])
    return Experiment(circuit, np.zeros((1, 0)), shots=20, binding=Binding((3, 4), "", None, ()))


def turned(points, shots=20):
    circuit = QuantumCircuit(1, 1)
    circuit.r(2 * Parameter("half"), 0, 0)
    circuit.measure(0, 0)
    values = np.array(points, dtype=float)[:, None]
    return Experiment(circuit, values, shots=shots, binding=Binding((7,), "", None, ()))


def ran(device, *experiments, token="token"):
    handle = device.submit(Submission(experiments, 1), token)
    return device.result(handle, timeout_s=60)


def seen(result):
    return [[point.to_dict() for point in counts.points] for counts in result.counts]


def test_circuits_and_points_are_one_task_of_a_program_set(server):
    device = open_device(f"braket:{GARNET.arn}")
    result = ran(device, flip(), turned([0, np.pi / 2]), flip(2), token="set")
    assert seen(result) == [[{"01": 20.0}], [{"0": 20.0}, {"1": 20.0}], [{"00": 20.0}]]
    (job,) = server.jobs("set")
    assert job["request"]["asked"]["shots"] == 80
    (task,) = result.details["tasks"]
    assert task["arn"].startswith(f"arn:aws:braket:eu-north-1:{ACCOUNT}:quantum-task/")
    assert job["request"]["asked"]["outputS3Bucket"] == f"amazon-braket-eu-north-1-{ACCOUNT}"
    assert not result.details["device_time_told"]
    assert result.qpu_s == 0.0


def test_a_device_without_program_sets_takes_one_circuit_and_point(server):
    device = open_device(f"braket:{SV1.arn}")
    limits = device.capabilities()
    assert (limits.max_circuits, limits.max_points, limits.simulator) == (1, 1, True)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.ccz(0, 1, 2)
    circuit.h(0)
    circuit.measure_all()
    result = ran(device, Experiment(circuit, np.zeros((1, 0)), shots=20), token="one")
    assert seen(result) == [[{"000": 20.0}]]
    assert result.qpu_s == 0.04
    with pytest.raises(SubmissionRefused, match=r"2 .* 1"):
        device.submit(Submission((turned([0, 1]),), 1), "two")
    assert len(server.jobs("two")) == 0


def test_shots_beyond_one_task_go_in_several_that_are_one_job(server):
    device = open_device(f"braket:{FORTE.arn}")
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("t"), 0)
    circuit.measure(0, 0)
    points = np.array([[0.0], [np.pi], [0.0], [np.pi]])
    submission = Submission((Experiment(circuit, points, shots=3000),), 1)
    server.set(lose_replies=1)
    with pytest.raises(AcceptanceUnknown):
        device.submit(submission, "large")
    assert device.find_by_token("large") is None  # one of two is there: all is sent again
    handle = device.submit(submission, "large")
    assert [job["request"]["asked"]["shots"] for job in server.jobs("large")] == [9000, 3000]
    assert device.find_by_token("large") == handle
    (counts,) = device.result(handle, timeout_s=100).counts
    assert [p.to_dict() for p in counts.points] == [{"0": 3000.0}, {"1": 3000.0}] * 2
    assert device.status(handle) is DeviceJobState.COMPLETED


def test_a_lost_reply_and_a_second_try_cost_one_task(server):
    device = open_device(f"braket:{GARNET.arn}")
    submission = Submission((flip(),), 1)
    server.set(lose_replies=1)
    with pytest.raises(AcceptanceUnknown, match="once"):
        device.submit(submission, "once")
    found = device.find_by_token("once")
    assert device.submit(submission, "once") == found
    assert len(server.jobs("once")) == 1
    assert device.find_by_token("never") is None


def test_a_handle_is_read_by_a_device_that_knows_nothing_yet(server):
    handle = open_device(f"braket:{GARNET.arn}").submit(Submission((flip(bits=3),), 1), "later")
    stored = JobHandle.model_validate_json(handle.model_dump_json())
    (counts,) = open_device(f"braket:{GARNET.arn}").result(stored, timeout_s=60).counts
    assert counts.registers == (("c", 3),)
    assert counts.points[0].to_dict() == {"001": 20.0}


def test_circuits_for_a_device_that_compiles_itself_have_no_box(server):
    device = open_device(f"braket:{FORTE.arn}")
    assert device.capabilities().basis_gates == ("rx", "ry", "rz", "cx", "measure")
    circuit = QuantumCircuit(2)
    circuit.rx(np.pi, 1)
    circuit.cx(1, 0)
    circuit.measure_all()
    experiment = Experiment(
        circuit, np.zeros((1, 0)), shots=20, binding=Binding((9, 4), "", None, ())
    )
    assert seen(ran(device, experiment, token="forte")) == [[{"11": 20.0}]]
    source = server.jobs("forte")[0]["request"]["asked"]["action"]
    assert "verbatim" not in source
    assert "$" not in source


def test_cancelling_a_failing_and_an_unknown_task_are_told_apart(server):
    device = open_device(f"braket:{GARNET.arn}")
    server.set(delay_s=60)
    handle = device.submit(Submission((flip(),), 1), "cancelled")
    assert device.cancel(handle) is None
    assert device.status(handle) is DeviceJobState.CANCELLED
    assert device.cancel(handle) is None
    with pytest.raises(ExecutionFailed, match="cancelled"):
        device.result(handle, timeout_s=5)
    server.set(delay_s=0, fail_jobs="the fridge is warm")
    with pytest.raises(ExecutionFailed, match="the fridge is warm"):
        ran(device, flip(), token="failing")
    unknown = handle.model_copy(update={"device_job_id": handle.device_job_id[:-4] + "0000"})
    for operation in (device.status, device.cancel):
        with pytest.raises(UnknownDeviceJob):
            operation(unknown)


def test_availability_tells_queue_and_windows(server):
    server.set(queue=7)
    found = open_device(f"braket:{ANKAA.arn}").availability()
    assert found.online
    assert found.queue_length == 7
    assert found.next_window is not None
    assert open_device(f"braket:{GARNET.arn}").availability().next_window is None
    server.set(maintenance=True)
    device = open_device(f"braket:{GARNET.arn}")
    assert device.availability().message
    with pytest.raises(DeviceUnavailable, match="offline"):
        device.submit(Submission((flip(),), 1), "away")


def registered(settings, address=GARNET.arn):
    registration = DeviceRegistration(
        name="mine", adapter="braket", address=address, settings=settings
    )
    return BraketVendor().open_registered(registration, BraketCredentials.from_environment())


def test_a_reservation_goes_with_every_task_and_bucket_and_prefix_are_settings(server):
    arn = f"arn:aws:braket:eu-north-1:{ACCOUNT}:reservation/1234"
    ran(open_device(f"braket:{GARNET.arn}"), flip(), token="makes-the-bucket")
    bucket = f"amazon-braket-eu-north-1-{ACCOUNT}"
    device = registered({"reservation_arn": arn, "s3_bucket": bucket, "s3_prefix": "lab/x"})
    ran(device, flip(), token="reserved")
    asked = server.jobs("reserved")[0]["request"]["asked"]
    assert asked["associations"] == [{"arn": arn, "type": "RESERVATION_TIME_WINDOW_ARN"}]
    assert asked["outputS3KeyPrefix"] == "lab/x"
    answer = device.reservations()
    assert isinstance(answer, Unsupported)
    assert arn in answer.reason
    elsewhere = registered({"s3_bucket": "nobodys-bucket"})
    with pytest.raises(SubmissionRefused, match="nobodys-bucket"):
        ran(elsewhere, flip(), token="nowhere")
    with pytest.raises(InputError, match="s3_prefix"):
        registered({"s3_prefix": "/rooted"})


def test_the_vendor_lists_gate_model_devices_of_every_region(server):
    found = BraketVendor().available(BraketCredentials.from_environment())
    assert {info.name: info.num_qubits for info in found} == {
        ANKAA.arn: 13,
        FORTE.arn: 11,
        GARNET.arn: 20,
        SV1.arn: 34,
    }
    assert [info.name for info in found if info.simulator] == [SV1.arn]


def test_wrong_credentials_are_refused_and_not_told(server, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-that-has-expired")
    device = open_device(f"braket:{GARNET.arn}")
    for operation in (
        device.capabilities,
        lambda: device.submit(Submission((flip(),), 1), "refused"),
        lambda: BraketVendor().available(BraketCredentials.from_environment()),
    ):
        with pytest.raises(CredentialsRefused) as caught:
            operation()
        told = "".join(traceback.format_exception(caught.value))
        assert not any(secret in told for secret in (SECRET, SESSION_TOKEN, "that-has-expired"))


def test_missing_credentials_profile_or_region_are_told(server, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsRefused, match="AWS keys"):
        open_device(f"braket:{GARNET.arn}").capabilities()
    with pytest.raises(CredentialsRefused, match="nobody"):
        BraketVendor().available(BraketCredentials(profile="nobody"))
    with pytest.raises(CredentialsRefused, match="AWS_REGION"):
        BraketCredentials().session()


def test_credentials_of_aws_own_files_are_used(server, monkeypatch, tmp_path):
    found = BraketCredentials.from_environment()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name)
    key, secret, token = found.secrets()
    lines = [f"aws_access_key_id={key}", f"aws_secret_access_key={secret}"]
    lines += [f"aws_session_token={token}", "region=us-west-1"]
    (tmp_path / "credentials").write_text("\n".join(["[lab]", *lines]))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert open_device(f"braket:{ANKAA.arn}").capabilities().num_qubits == 13


def test_an_address_that_is_none_is_refused_before_anything_is_asked(monkeypatch):
    for address in ("sv1", "local:qiskit", "arn:aws:s3:::bucket", "arn:aws:braket:::job/x"):
        with pytest.raises(UnknownDevice, match="ARN"):
            BraketVendor().open(f"braket:{address}")
    with pytest.raises(DeviceUnavailable, match=r"nothing\.json"):
        BraketVendor().open("braket:emulator:/nothing.json")


def test_a_device_that_is_not_there_is_unknown(server):
    nowhere = "arn:aws:braket:eu-north-1::device/qpu/iqm/Emerald"
    with pytest.raises(UnknownDevice, match="Emerald"):
        open_device(f"braket:{nowhere}").capabilities()
    with pytest.raises(UnknownDevice, match="no circuits"):
        open_device("braket:arn:aws:braket:us-east-1::device/qpu/quera/Aquila").capabilities()


def test_an_unreachable_host_is_said_at_once(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        for name, value in environment(f"http://127.0.0.1:{taken.getsockname()[1]}").items():
            monkeypatch.setenv(name, value)
        device = open_device(f"braket:{GARNET.arn}")
        began = time.monotonic()
        for operation in (
            device.capabilities,
            lambda: device.submit(Submission((flip(),), 1), "unsent"),
        ):
            with pytest.raises(DeviceUnavailable, match="cannot be reached"):
                operation()
        assert not device.availability().online
        assert time.monotonic() - began < 30  # botocore's own retries would take longer


@pytest.mark.parametrize("how", ["truncated", "types", "nan", "negative", "huge", "empty", "html"])
def test_spoilt_replies_are_malformed_or_do_no_harm(server, how):
    device = open_device(f"braket:{GARNET.arn}")
    handle = device.submit(Submission((flip(),), 1), f"before-{how}")
    device.result(handle, timeout_s=60)
    server.set(spoil=how, spoil_path="results.json$|quantum-task|device")
    fresh = open_device(f"braket:{GARNET.arn}")
    for operation in (lambda: fresh.result(handle, timeout_s=5), lambda: fresh.status(handle)):
        told = attempted(operation)
        if isinstance(told, MalformedReply):
            assert len(str(told)) < 600
        else:
            assert told is DeviceJobState.COMPLETED
    told = attempted(lambda: device.submit(Submission((flip(),), 1), f"spoilt-{how}"))
    assert isinstance(told, AcceptanceUnknown | JobHandle)
    assert len(server.jobs(f"spoilt-{how}")) == 1


def attempted(operation):
    """Its answer, or what it says of a reply that does not fit."""
    try:
        return operation()
    except (AcceptanceUnknown, MalformedReply) as error:
        return error
