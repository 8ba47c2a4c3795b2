"""What Rigetti's unmodified client sends, and what is made of its answers."""

import json
import socket
import traceback
from datetime import UTC, datetime

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from vendors.qcs import REFRESH_TOKEN, write_profile
from vendors.qcs_isa import DEAD_EDGE, DEAD_NODE, NODES, isa
from vendors.quilc import MARK

from adapters.contract import JobHandle, Submission, Unsupported
from adapters.registry import open_device, vendor
from adapters.rigetti.calibration import snapshot
from adapters.rigetti.credentials import RigettiCredentials
from adapters.rigetti.handles import SentJob
from adapters.rigetti.isa import architecture
from qcpaas.calibration import Quantity
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import (
    CredentialsRefused,
    DeviceUnavailable,
    ExecutionFailed,
    InputError,
    MalformedReply,
    SubmissionRefused,
    UnknownDevice,
    UnknownDeviceJob,
)
from qcpaas.execution import Experiment

PROCESSOR = "Ankaa-9"  # one of its qubits does not work


def registered(address, **settings):
    """A device as `qcpaas devices add` registers it."""
    registration = DeviceRegistration(
        name="mine", adapter="rigetti", address=address, settings=settings
    )
    provider = vendor("rigetti")
    return provider.open_registered(registration, RigettiCredentials.from_environment())


def rotation():
    """Reads 1 on Rigetti's qubit 1 with probability ``cos(t/2)**2``."""
    circuit = QuantumCircuit(2, 2, name="rotation")
    circuit.sx(1)
    circuit.rz(Parameter("t"), 1)
    circuit.sx(1)
    circuit.measure([0, 1], [1, 0])
    return circuit


def submission(circuit, points=((),), shots=100):
    values = np.array(points, dtype=float).reshape(len(points), circuit.num_parameters)
    return Submission((Experiment(circuit, values, shots=shots),), seed=3)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


# --- a QVM --------------------------------------------------------------------------------------


def test_one_program_is_sent_for_every_point(qvm):
    before = len(qvm.jobs())
    device = open_device("rigetti:qvm:2q")
    device.submit(submission(rotation(), [[t] for t in np.linspace(0, 3, 5)]), "points")
    sent = [job["request"] for job in qvm.jobs()[before:]]
    programs = {
        "\n".join(line for line in each["compiled-quil"].splitlines() if "MOVE" not in line)
        for each in sent
    }
    assert len(sent) == 5
    assert len(programs) == 1
    assert {each["trials"] for each in sent} == {100}
    assert all(each["addresses"] == {"ro": True} for each in sent)


def test_an_absent_qvm_is_named_with_what_to_do(monkeypatch):
    url = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("QCS_SETTINGS_APPLICATIONS_QVM_URL", url)
    device = open_device("rigetti:qvm:2q")
    assert not device.availability().online
    with pytest.raises(DeviceUnavailable, match=rf"no QVM answers at {url}.*qvm -S"):
        device.submit(Submission((coin(),), 1), "t")


def coin():
    circuit = QuantumCircuit(1, name="coin")
    circuit.h(0)
    circuit.measure_all()
    return Experiment(circuit, np.zeros((1, 0)), shots=10)


def test_a_qvms_own_words_are_kept(qvm):
    qvm.set(fail_jobs="no room for 30 qubits")
    device = open_device("rigetti:qvm:2q")
    handle = device.submit(Submission((coin(),), 1), "fails")
    with pytest.raises(ExecutionFailed, match="no room for 30 qubits"):
        device.result(handle)


def test_something_else_at_the_address_is_no_qvm(qcs, monkeypatch):
    monkeypatch.setenv("QCS_SETTINGS_APPLICATIONS_QVM_URL", qcs.url)
    availability = open_device("rigetti:qvm:2q").availability()
    assert not availability.online
    assert "is no QVM" in availability.message


def test_noise_is_passed_to_the_qvm_as_it_is_set(qvm):
    device = registered("qvm:2q", gate_noise=[0.01, 0.02, 0.03])
    handle = device.submit(Submission((coin(),), 1), "noisy")
    with pytest.raises(ExecutionFailed, match="not served here"):  # the loopback has no noise
        device.result(handle)


@pytest.mark.parametrize("address", ["qvm:", "qvm:0q", "qvm:31q", "qvm:9", "An kaa"])
def test_addresses_that_name_nothing_are_refused(address):
    with pytest.raises(UnknownDevice, match="qvm:9q"):
        registered(address)


def test_settings_that_do_not_fit_together_are_refused():
    with pytest.raises(InputError, match="endpoint_id"):
        registered(PROCESSOR, connection="endpoint")
    with pytest.raises(InputError, match="compiler and connection are for processors"):
        registered("qvm:9q", compiler="quilc")
    with pytest.raises(InputError, match="for a QVM only"):
        registered(PROCESSOR, gate_noise=[0.1, 0.0, 0.0])


# --- a processor --------------------------------------------------------------------------------


def test_a_processor_runs_points_of_one_program_and_another_process_reads_them(qcs):
    before = len(qcs.jobs())
    angles = np.linspace(0, np.pi, 4)
    device = open_device(f"rigetti:{PROCESSOR}")
    handle = device.submit(submission(rotation(), angles[:, None], shots=2000), "points")
    sent = [job["request"] for job in qcs.jobs()[before:]]
    assert len({each["quil"] for each in sent}) == 1
    assert [each["memory"] for each in sent] == [{"parameters": [t]} for t in angles]
    assert {each["target"] for each in sent} == {PROCESSOR}
    stored = JobHandle.model_validate_json(handle.model_dump_json())
    result = open_device(f"rigetti:{PROCESSOR}").result(stored, timeout_s=60)
    for point, t in zip(result.counts[0].points, angles, strict=True):
        one = np.cos(t / 2) ** 2
        found = sum(n for key, n in point.to_dict().items() if key[1] == "1") / 2000
        assert abs(found - one) < 5 * np.sqrt(0.25 / 2000) + 1e-9
        assert all(key[0] == "0" for key in point.to_dict())
    assert result.qpu_s == pytest.approx(4 * 200e-6 * 2000)


def test_qubits_are_rigettis_in_ascending_order(qcs):
    before = len(qcs.jobs())
    circuit = QuantumCircuit(5, 1)
    circuit.x(4)
    circuit.measure(4, 0)
    open_device(f"rigetti:{PROCESSOR}").submit(submission(circuit), "places")
    (job,) = qcs.jobs()[before:]
    assert job["request"]["readout"] == {"ro[0]": f"q{sorted(NODES)[4]}"}


@pytest.mark.parametrize("connection", ["direct", "endpoint"])
def test_a_processor_is_reached_without_the_gateway(qcs, connection):
    given = {"endpoint_id": "rack-7"} if connection == "endpoint" else {}
    before = len(qcs.jobs())
    device = registered(PROCESSOR, connection=connection, execution_timeout_s=1.5, **given)
    handle = device.submit(submission(rotation(), [[0.0]]), connection)
    assert device.result(handle, timeout_s=60).counts[0].points[0].to_dict() == {"01": 100}
    (job,) = qcs.jobs()[before:]
    assert job["request"]["target"] == given.get("endpoint_id", PROCESSOR)
    assert job["request"]["timeout_s"] == 1.5


def test_quilc_that_is_wanted_and_absent_is_named_with_what_to_do(qcs, monkeypatch):
    url = f"tcp://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("QCS_SETTINGS_APPLICATIONS_QUILC_URL", url)
    before = len(qcs.jobs())
    with pytest.raises(DeviceUnavailable, match=f"no quilc listens at {url}.*quilc -R.*native"):
        registered(PROCESSOR, compiler="quilc").submit(submission(rotation(), [[0.1]]), "compiled")
    assert len(qcs.jobs()) == before


def test_quilc_sees_a_program_before_a_processor_does(qcs, quilc, monkeypatch):
    monkeypatch.setenv("QCS_SETTINGS_APPLICATIONS_QUILC_URL", quilc)
    before = len(qcs.jobs())
    device = registered(PROCESSOR, compiler="quilc")
    handle = device.submit(submission(rotation(), [[0.0], [np.pi]]), "compiled")
    points = device.result(handle, timeout_s=60).counts[0].points
    assert [point.to_dict() for point in points] == [{"01": 100}, {"00": 100}]
    assert all(MARK in job["request"]["quil"] for job in qcs.jobs()[before:])


def test_a_gate_on_an_edge_that_is_dead_is_refused_in_qcs_own_words(qcs):
    circuit = QuantumCircuit(9, 1, name="dead")
    circuit.cz(*(NODES.index(node) for node in DEAD_EDGE))
    circuit.measure(0, 0)
    before = len(qcs.jobs())
    with pytest.raises(SubmissionRefused, match="CZ 1 8 is not native"):
        open_device(f"rigetti:{PROCESSOR}").submit(submission(circuit), "dead")
    assert len(qcs.jobs()) == before


def test_reservations_to_come_are_windows(qcs):
    (window,) = open_device("rigetti:Ankaa-3").reservations()
    assert (window.reservation_id, window.note) == ("12", "night shift")
    assert window.starts_at > datetime.now(UTC)
    assert open_device(f"rigetti:{PROCESSOR}").reservations() == ()


def test_a_processor_that_qcs_does_not_have_is_unknown(qcs):
    with pytest.raises(UnknownDevice, match="Ankaa-4"):
        open_device("rigetti:Ankaa-4").capabilities()


def test_what_a_user_has_is_listed(qcs, qvm):
    found = vendor("rigetti").available(RigettiCredentials.from_environment())
    assert [(info.name, info.num_qubits) for info in found] == [
        ("qvm:9q", 9),
        ("Ankaa-3", 9),
        ("Ankaa-9", 9),
    ]


def test_a_job_id_that_was_never_given_is_unknown(qcs):
    device = open_device(f"rigetti:{PROCESSOR}")
    known = SentJob.model_validate({"circuits": []}).model_dump()
    circuit = {"executions": ["nobody-knows"], "streams": {}, "registers": [], "shots": 1}
    forged = json.dumps({**known, "circuits": [circuit]})
    for job_id in ("nobody-knows", forged):
        handle = JobHandle(device=device.name, device_job_id=job_id, token="t")
        with pytest.raises(UnknownDeviceJob, match="nobody-knows"):
            device.status(handle)


# --- who is let in ------------------------------------------------------------------------------


def test_a_refresh_token_lets_in_without_files(qcs, monkeypatch, tmp_path):
    monkeypatch.setenv("QCS_SECRETS_FILE_PATH", str(tmp_path / "none.toml"))
    given = {"api_url": qcs.url, "issuer": f"{qcs.url}/oauth2", "client_id": "app"}
    registration = DeviceRegistration(name="mine", adapter="rigetti", address=PROCESSOR)
    provider = vendor("rigetti")
    right = RigettiCredentials(refresh_token=REFRESH_TOKEN, **given)
    assert provider.open_registered(registration, right).capabilities().num_qubits == 9
    wrong = RigettiCredentials(refresh_token="sesame-open", **given)
    with pytest.raises(CredentialsRefused, match="qcs auth login") as caught:
        provider.open_registered(registration, wrong).capabilities()
    assert "sesame-open" not in "".join(traceback.format_exception(caught.value))


def test_wrong_tokens_in_the_file_are_refused_and_not_shown(qcs, monkeypatch, tmp_path):
    for name, value in write_profile(tmp_path, qcs.url, "sesame-open").items():
        monkeypatch.setenv(name, value)
    credentials = RigettiCredentials.from_environment()
    assert "sesame-open" in credentials.secrets()
    with pytest.raises(CredentialsRefused) as caught:
        open_device(f"rigetti:{PROCESSOR}").calibration()
    assert "sesame-open" not in "".join(traceback.format_exception(caught.value))


def test_a_secrets_file_that_is_broken_is_named_and_not_quoted(monkeypatch, tmp_path):
    file = tmp_path / "secrets.toml"
    file.write_text("refresh_token = sesame open")
    monkeypatch.setenv("QCS_SECRETS_FILE_PATH", str(file))
    with pytest.raises(CredentialsRefused, match=r"secrets\.toml") as caught:
        RigettiCredentials().secrets()
    assert "sesame" not in "".join(traceback.format_exception(caught.value))


# --- calibration --------------------------------------------------------------------------------


def read(change=lambda served: None, number=0):
    from qcs_sdk.qpu.isa import InstructionSetArchitecture

    served = isa(PROCESSOR, number)
    change(served)
    found = architecture(InstructionSetArchitecture.from_raw(json.dumps(served)))
    return snapshot(found, "rigetti", datetime.now(UTC))


def fidelity(served, instruction):
    (operation,) = [each for each in served["instructions"] if each["name"] == instruction]
    return operation["sites"][0]["characteristics"][0]


def test_dead_qubits_and_couplers_are_there_and_not_operational():
    found = read()
    dead = NODES.index(DEAD_NODE)
    pair = tuple(NODES.index(node) for node in DEAD_EDGE)
    assert not found.is_operational(dead)
    assert not found.is_operational(*pair, gate="iswap")
    assert found.is_operational(0, 1, gate="iswap")
    assert found.gates["iswap"] == found.gates["cz"]
    assert found.get(Quantity.GATE_ERROR, 0, gate="rz") == 0.0


def test_pulses_have_the_error_of_the_simultaneous_benchmark_or_of_the_other():
    def alone(served):
        served["benchmarks"] = [
            each for each in served["benchmarks"] if "simultaneous" not in each["name"]
        ]

    facts = {each["name"]: each["sites"] for each in isa(PROCESSOR, 0)["benchmarks"]}
    together = facts["randomized_benchmark_simultaneous_1q"][0]["characteristics"][0]["value"]
    single = facts["randomized_benchmark_1q"][0]["characteristics"][0]["value"]
    assert read().get(Quantity.GATE_ERROR, 0, gate="sx") == pytest.approx(1 - together, rel=1e-12)
    assert read(alone).get(Quantity.GATE_ERROR, 0, gate="sx") == pytest.approx(
        1 - single, rel=1e-12
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("value", -0.3, "READOUT|readout_error"),
        ("value", 1.5, "readout_error"),
        ("error", -1e-3, "error -0.001"),
        ("timestamp", "yesterday", "no date"),
    ],
)
def test_values_that_make_no_sense_are_refused(key, value, said):
    with pytest.raises(MalformedReply, match=said):
        read(lambda served: fidelity(served, "MEASURE").update({key: value}))


def test_the_past_is_not_known_once_something_was_measured_again(qcs):
    device = open_device(f"rigetti:{PROCESSOR}")
    assert not isinstance(device.calibration(datetime.now(UTC)), Unsupported)
    assert isinstance(device.calibration(datetime(2026, 11, 1, tzinfo=UTC)), Unsupported)
