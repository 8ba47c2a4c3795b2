"""The command's server in a process of its own, its client, and what comes between them."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from vendors.open_hardware import token_file
from vendors.process import VendorServer

from adapters.contract import JobHandle, Submission
from adapters.open_hardware.credentials import OpenHardwareCredentials
from adapters.open_hardware.vendor import OpenHardwareVendor
from adapters.registry import open_device
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import (
    AcceptanceUnknown,
    CredentialsRefused,
    DeviceUnavailable,
    InputError,
    MalformedReply,
    QCPaaSError,
    ResultPending,
    UnknownDeviceJob,
)
from qcpaas.execution import Binding, Experiment

COMMAND = Path(sys.executable).with_name("qcpaas")
OPENSSL = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
)
NOBODY = "http://127.0.0.1:9"  # the discard port


def rotation(points=3, seed=5, shots=300):
    angle = Parameter("angle")
    circuit = QuantumCircuit(2, 2, name="rotation")
    circuit.sx(0)
    circuit.rz(0.1 - 2 * angle, 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    values = np.linspace(0, 1, points)[:, None]
    binding = Binding((1, 2), "", None, ())
    return Submission((Experiment(circuit, values, shots=shots, binding=binding),), seed)


def answers(result):
    return [point.to_dict() for counts in result.counts for point in counts.points]


def opened(url, token=None, **settings):
    registration = DeviceRegistration(name="lab", adapter="qpu", address=url, settings=settings)
    return OpenHardwareVendor().open_registered(registration, OpenHardwareCredentials(token=token))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    state = tmp_path_factory.mktemp("served") / "FakeAthens.db"
    with VendorServer("open_hardware", state) as server:
        yield server


@pytest.fixture
def server(service):
    yield service
    service.reset()


@pytest.fixture
def token(server):
    return token_file(server.state).with_suffix(".token").read_text()


@pytest.fixture
def adapter(server, token):
    return opened(server.url, token)


@pytest.mark.parametrize("circuits", ["best", "openqasm3"])
def test_results_are_those_of_the_device_in_process_bit_for_bit(server, token, circuits):
    here, there = open_device("FakeAthens"), opened(server.url, token, circuits=circuits)
    expected = here.result(here.submit(rotation(), "token"))
    found = there.result(there.submit(rotation(), f"exact-{circuits}"), 60)
    assert answers(found) == answers(expected)
    assert found.qpu_s == expected.qpu_s
    assert found.counts[0].registers == expected.counts[0].registers
    snapshot = there.calibration()
    assert snapshot.of_device("FakeAthens").content_id == here.calibration().content_id


def test_a_killed_server_goes_on_with_what_it_accepted(server, adapter):
    server.set(delay_s=60.0)
    handles = [adapter.submit(rotation(seed=seed), f"kept-{seed}") for seed in (1, 2)]
    with pytest.raises(ResultPending, match=r"after 0\.1 s"):
        adapter.result(handles[0], timeout_s=0.1)
    server.kill()
    with pytest.raises(DeviceUnavailable, match="cannot be reached"):
        adapter.result(handles[0])
    assert not adapter.availability().online
    server.start()
    server.set(delay_s=0.0)
    here = open_device("FakeAthens")
    for seed, handle in zip((1, 2), handles, strict=True):
        expected = here.result(here.submit(rotation(seed=seed), "token"))
        assert answers(adapter.result(handle, timeout_s=60)) == answers(expected)
        assert adapter.find_by_token(f"kept-{seed}") == handle


def test_a_lost_reply_leaves_one_job_that_its_token_finds(server, adapter):
    server.set(lose_replies=1)
    with pytest.raises(AcceptanceUnknown, match="lost-reply"):
        adapter.submit(rotation(), "lost-reply")
    handle = adapter.find_by_token("lost-reply")
    assert adapter.submit(rotation(), "lost-reply") == handle
    assert len(server.jobs("lost-reply")) == 1


@pytest.mark.parametrize("how", ["truncated", "types", "empty", "html", "nan", "negative", "huge"])
def test_a_spoilt_reply_is_one_clear_error(server, adapter, token, how):
    handle = adapter.submit(rotation(), "spoilt")
    adapter.result(handle, 60)
    server.set(spoil=how)
    operations = [adapter.capabilities, adapter.calibration, lambda: adapter.result(handle, 5)]
    if how not in {"nan", "negative", "huge"}:
        operations += [lambda: adapter.status(handle), lambda: adapter.find_by_token("spoilt")]
        operations += [lambda: adapter.cancel(handle)]
        with pytest.raises(AcceptanceUnknown):
            adapter.submit(rotation(), f"spoilt-{how}")
    for operation in operations:
        with pytest.raises(MalformedReply) as caught:
            operation()
        assert token not in str(caught.value)
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("status", "error", "at_submission"),
    [
        (401, CredentialsRefused, CredentialsRefused),
        (403, CredentialsRefused, CredentialsRefused),
        (404, MalformedReply, AcceptanceUnknown),
        (429, DeviceUnavailable, DeviceUnavailable),
        (500, DeviceUnavailable, AcceptanceUnknown),
        (502, DeviceUnavailable, AcceptanceUnknown),
        (503, DeviceUnavailable, DeviceUnavailable),
        (504, DeviceUnavailable, AcceptanceUnknown),
    ],
)
def test_a_status_of_something_in_between_is_told_apart(
    server, adapter, status, error, at_submission
):
    adapter.capabilities()
    server.set(status=status)
    with pytest.raises(error):
        adapter.calibration()
    with pytest.raises(at_submission):
        adapter.submit(rotation(), f"status-{status}")


def test_a_wrong_token_opens_nothing_and_is_never_told(server):
    adapter = opened(server.url, "a-very-wrong-token")
    handle = JobHandle(device="lab", device_job_id="j", token="t")
    for operation in (
        adapter.capabilities,
        adapter.calibration,
        adapter.availability,
        adapter.open_session,
        adapter.reservations,
        lambda: adapter.submit(rotation(), "token"),
        lambda: adapter.status(handle),
        lambda: adapter.result(handle),
        lambda: adapter.cancel(handle),
        lambda: adapter.find_by_token("token"),
    ):
        with pytest.raises(CredentialsRefused) as caught:
            operation()
        assert "very-wrong" not in repr(caught.value)


def test_an_unknown_job_is_named(adapter):
    for job_id in ("no-such-job", "../device", "..", "a/b?c=d"):
        handle = JobHandle(device="lab", device_job_id=job_id, token="t")
        for operation in (adapter.status, adapter.result, adapter.cancel):
            with pytest.raises(UnknownDeviceJob):
                operation(handle)


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "lab.example", "ftp://lab.example", "http://", "http://a:b", "http://u:p@lab", "x:/?"],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match="no URL of a device"):
        opened(url)


def test_a_token_does_not_travel_in_the_clear():
    with pytest.raises(InputError, match="plain HTTP"):
        opened("http://qpu.lab.example", "secret-token")
    opened("http://qpu.lab.example", "secret-token", clear_text=True)
    opened("http://qpu.lab.example")


def test_nobody_there_is_told_with_the_address():
    adapter = opened(NOBODY)
    for operation in (adapter.capabilities, lambda: adapter.submit(rotation(), "token")):
        with pytest.raises(DeviceUnavailable, match=r"127\.0\.0\.1:9"):
            operation()


def test_the_environment_opens_a_device(monkeypatch, server, token):
    monkeypatch.setenv("QCPAAS_QPU_TOKEN", token)
    assert open_device(f"qpu:{server.url}").capabilities().num_qubits == 5


@pytest.mark.parametrize(
    "page", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"SSH-2.0-OpenSSH\r\n", b""]
)
def test_something_else_at_the_address_is_told(page):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            for _ in range(2):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(page)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(QCPaaSError, match="lab at http"):
            opened(f"http://127.0.0.1:{listening.getsockname()[1]}", reply_s=5).capabilities()


# --- the command --------------------------------------------------------------------------------


@contextmanager
def command(*arguments, **environment):
    process = subprocess.Popen(
        [COMMAND, "device", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_command_serves_over_tls_to_whoever_has_a_token(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [*OPENSSL.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    tokens = tmp_path / "tokens"
    with command("token", "ann", "--token-file", tokens) as made:
        token = made.communicate()[0].strip()
    served = ["serve", "statevector", "--port", 0, "--state", tmp_path / "jobs.db"]
    served += ["--token-file", tokens, "--tls-cert", certificate, "--tls-key", key]
    served += ["--prefix", "/emu", "--with-parent"]
    with command(*served) as process:
        word, url, name = process.stdout.readline().split()
        assert (word, name) == ("ready", "statevector")
        assert url.startswith("https://127.0.0.1:")
        assert url.endswith("/emu")
        adapter = opened(url, token, ca_bundle=str(certificate))
        assert adapter.capabilities().exact
        with pytest.raises(DeviceUnavailable, match="certificate"):
            opened(url, token).capabilities()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["FakeAthens", "--host", "0.0.0.0"], "everybody who reaches 0.0.0.0"),
        (["FakeAthens", "--tls-cert", "nowhere.pem"], "belong together"),
        (["FakeAthens", "--token-file", "nowhere"], "cannot be read"),
        (["FakeAthen"], "Did you mean FakeAthens"),
        (["nowhere.py:Device"], "cannot be loaded"),
        (["FakeAthens", "--host", "192.0.2.1", "--token-file", "TOKENS"], "nothing can listen"),
    ],
)
def test_the_command_refuses_what_cannot_be_served(tmp_path, arguments, told):
    (tmp_path / "tokens").write_text(f"ann sha256:{'0' * 64}\n")
    given = [str(tmp_path / "tokens") if each == "TOKENS" else each for each in arguments]
    with command("serve", *given, "--port", 0, "--state", tmp_path / "jobs.db") as process:
        _, said = process.communicate(timeout=60)
    assert told in said
    assert "Traceback" not in said
    assert process.returncode in {2, 4}
