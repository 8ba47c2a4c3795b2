"""Devices that are added to a platform, and the credentials that open them."""

import json

import pytest
from pydantic import SecretStr
from qiskit import QuantumCircuit
from typer.testing import CliRunner
from vendors import open_hardware_subject

from flows.devices import devices as devices_flow
from qcpaas import DeviceRegistration
from qcpaas.cli.program import app
from qcpaas.errors import CredentialsRefused, DeviceUnavailable, InputError, UnknownDevice

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
WRONG = "wrong-token-0123456789"


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """A served twin of FakeAthens that wants a token."""
    with open_hardware_subject.subjects(tmp_path_factory.mktemp("qpu")) as found:
        yield found[0]


@pytest.fixture(scope="module")
def token(subject):
    return subject.environment["QCPAAS_QPU_TOKEN"]


@pytest.fixture(scope="module")
def athens(platform, subject, token):
    """The twin under a name of its own."""
    platform.administration.keep_credentials("athens", "qpu", {"token": SecretStr(token)})
    return platform.administration.add_device(registration(subject))


def registration(subject, name="athens", **changes):
    address = subject.name.removeprefix("qpu:")
    told = {"name": name, "adapter": "qpu", "address": address, "credentials": "athens"}
    return DeviceRegistration(**{**told, **changes})


def coin():
    circuit = QuantumCircuit(1, name="coin")
    circuit.x(0)
    circuit.measure_all()
    return circuit


def test_an_added_device_is_listed_with_its_calibration(platform, athens):
    assert (athens.num_qubits, athens.adapter, athens.credentials) == (5, "qpu", "athens")
    assert athens.snapshot_id is not None
    assert athens in platform.devices()
    report = platform.calibration("athens")
    assert report.snapshot_id == athens.snapshot_id
    assert {value.gate for value in report.values} >= {"cx", "sx"}


def test_a_job_names_it_like_any_other(platform, athens):
    job = platform.run_circuits(coin(), backend="athens", shots=200, seed=3)
    (answer,) = job.result(timeout=300)
    assert answer["counts"][0]["meas"]["1"] > 150
    assert {use.snapshot_id for use in job.manifest().calibrations} == {athens.snapshot_id}


def test_the_token_is_nowhere_in_clear(platform, athens, token, data_dir):
    held = platform.administration.credentials()
    assert [(each.name, each.adapter) for each in held] == [("athens", "qpu")]
    for path in data_dir.rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


def test_wrong_credentials_register_nothing_and_are_not_told(platform, subject, athens):
    administration = platform.administration
    administration.keep_credentials("wrong", "qpu", {"token": WRONG})
    with pytest.raises(CredentialsRefused) as refused:
        administration.add_device(registration(subject, "other", credentials="wrong"))
    assert WRONG not in str(refused.value)
    with pytest.raises(CredentialsRefused, match="there are none of that name"):
        administration.add_device(registration(subject, "other", credentials="lost"))
    administration.remove_credentials("wrong", "qpu")
    assert "other" not in {info.name for info in platform.devices()}


def test_what_cannot_be_reached_or_read_is_refused(platform, subject, athens):
    add = platform.administration.add_device
    with pytest.raises(DeviceUnavailable, match=r"127\.0\.0\.1:9"):
        add(registration(subject, "away", address="http://127.0.0.1:9/qpu"))
    with pytest.raises(InputError, match=r"setting colour of qpu.*connect_s"):
        add(registration(subject, "odd", settings={"colour": "blue"}))
    with pytest.raises(InputError, match="is there already"):
        add(registration(subject, "FakeAthens"))
    with pytest.raises(UnknownDevice, match="no adapter 'qpus'"):
        add(registration(subject, "odd", adapter="qpus"))
    with pytest.raises(InputError, match="have no 'tokn'"):
        platform.administration.keep_credentials("odd", "qpu", {"tokn": "a"})


def test_the_commands_do_the_same(platform, subject, token):
    command = CliRunner()

    def call(*given, stdin=""):
        return command.invoke(app, given, input=stdin, obj=lambda _: platform)

    kept = call("credentials", "add", "lab", "--adapter", "qpu", stdin=json.dumps({"token": token}))
    assert kept.exit_code == 0, kept.output
    assert token not in kept.output
    address = subject.name.removeprefix("qpu:")
    told = ("--adapter", "qpu", "--address", address, "--credentials", "lab")
    added = call("devices", "add", "second", *told, "--setting", "circuits=openqasm3")
    assert "device second has 5 qubits and calibration" in added.output
    assert "second" in call("devices").output
    assert "lab" in call("credentials").output
    assert call("devices", "remove", "second").exit_code == 0
    assert "second" not in {info.name for info in platform.devices()}
    assert call("credentials", "remove", "lab", "--adapter", "qpu").exit_code == 0


def test_a_running_platform_adds_by_its_worker_and_removes(far, api, subject, athens, taking_up):
    with taking_up(api, devices_flow):
        administration = far.administration()
        added = administration.add_device(registration(subject, "remote"))
        assert (added.name, added.num_qubits) == ("remote", 5)
        assert "remote" in {info.name for info in far.devices()}
        assert far.calibration("remote").snapshot_id == added.snapshot_id
        with pytest.raises(UnknownDevice, match="Did you mean remote"):
            administration.remove_device("remotes")
        administration.remove_device("remote")
        assert "remote" not in {info.name for info in far.devices()}


def test_credentials_go_through_the_gateway_and_never_come_back(far, athens, token):
    administration = far.administration()
    administration.keep_credentials("far", "qpu", {"token": SecretStr(token)})
    assert ("far", "qpu") in {(each.name, each.adapter) for each in administration.credentials()}
    assert "token" in {
        field
        for kind in administration.credential_kinds()
        if kind.adapter == "qpu"
        for field in kind.fields
    }
    with pytest.raises(InputError, match="have no 'tokn'"):
        administration.keep_credentials("far", "qpu", {"tokn": "a"})
    administration.remove_credentials("far", "qpu")
    assert "far" not in {each.name for each in administration.credentials()}
