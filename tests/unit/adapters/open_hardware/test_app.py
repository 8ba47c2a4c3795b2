import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.aer import AerRunner
from adapters.open_hardware.messages import Result
from adapters.open_hardware.packing import unpacked_result
from qcpaas.errors import DeviceUnavailable, ExecutionFailed

FIXED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def problem(reply, status):
    assert reply.status_code == status, reply.text
    found = reply.json()
    assert "Traceback" not in reply.text
    return found["error"], found["message"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def accepted(client, message, **options):
    reply = client.post("/v1/jobs", json=message, **options)
    assert reply.status_code == 201, reply.text
    return reply.json()["job_id"]


# --- the way of a job ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["openqasm3", "qpy"])
def test_a_job_gives_what_the_device_gives_here(client, message, submission, form):
    job_id = accepted(client, message(form=form))
    reply = client.get(f"/v1/jobs/{job_id}/result?wait_s=20")
    found = unpacked_result(Result.model_validate_json(reply.content))
    expected = AerRunner("here").run(submission())
    assert found.counts[0].points[0].to_dict() == expected.counts[0].points[0].to_dict()
    assert found.counts[0].registers == (("meas", 1),)
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "completed"


def test_a_result_that_is_not_there_in_time_is_202(client, machine, message):
    machine.go_on.clear()
    job_id = accepted(client, message())
    reply = client.get(f"/v1/jobs/{job_id}/result?wait_s=0.05")
    assert reply.status_code == 202
    assert reply.json()["state"] in {"queued", "running"}
    machine.go_on.set()
    assert client.get(f"/v1/jobs/{job_id}/result?wait_s=20").status_code == 200


def test_a_known_token_answers_its_job_and_runs_nothing(client, machine, message):
    first = accepted(client, message())
    assert client.get(f"/v1/jobs/{first}/result?wait_s=20").status_code == 200
    assert accepted(client, message(seed=9)) == first
    assert machine.submitted == [first]
    assert client.get("/v1/jobs?token=token").json()["job"]["job_id"] == first
    assert client.get("/v1/jobs?token=another").json() == {"job": None}


def test_a_failed_job_says_why_without_a_traceback(client, machine, message):
    for number, error in enumerate((ExecutionFailed("the laser is off"), KeyError("secret"))):
        machine.raises.append(error)
        job_id = accepted(client, message(token=f"failing-{number}"))
        told = problem(client.get(f"/v1/jobs/{job_id}/result?wait_s=20"), 409)
        assert told[0] == "ExecutionFailed"
        assert job_id in told[1]
        assert str(error) in told[1]


def test_a_waiting_job_is_cancelled_and_a_running_one_is_not(client, machine, message):
    machine.go_on.clear()
    running = accepted(client, message("one"))
    assert machine.began.wait(10)
    waiting = accepted(client, message("two"))
    assert client.post(f"/v1/jobs/{waiting}/cancel").json()["state"] == "cancelled"
    assert problem(client.post(f"/v1/jobs/{running}/cancel"), 501)[0] == "Unsupported"
    machine.go_on.set()
    assert client.get(f"/v1/jobs/{running}/result?wait_s=20").status_code == 200
    assert client.post(f"/v1/jobs/{running}/cancel").json()["state"] == "completed"
    assert problem(client.get(f"/v1/jobs/{waiting}/result"), 409)[0] == "ExecutionFailed"
    assert machine.submitted == [running]


def test_a_session_is_opened_used_and_closed(client, machine, message):
    session = client.post("/v1/sessions").json()
    assert session["max_idle_s"] == 60.0
    job_id = accepted(client, {**message(), "session_id": session["session_id"]})
    assert client.get(f"/v1/jobs/{job_id}/result?wait_s=20").status_code == 200
    assert machine.sessions[0].session_id == session["session_id"]
    for _ in range(2):
        assert client.post(f"/v1/sessions/{session['session_id']}/close").status_code == 200
    late = client.post("/v1/jobs", json={**message("late"), "session_id": session["session_id"]})
    assert problem(late, 410)[0] == "SessionClosed"
    assert problem(client.post("/v1/sessions/other/close"), 410)[0] == "SessionClosed"


def test_what_the_device_does_not_have_is_said_with_its_reason(client):
    reply = client.get("/v1/calibration")
    assert problem(reply, 501) == ("Unsupported", "it is ideal")
    assert reply.json()["operation"] == "calibration"
    assert client.get("/v1/reservations").json()["windows"][0]["reservation_id"] == "r1"
    assert client.get("/v1/availability").json()["online"]


def test_too_many_waiting_jobs_are_turned_away(served, machine, message):
    machine.go_on.clear()
    with served(machine, max_waiting=1) as client:
        accepted(client, message("one"))
        assert machine.began.wait(10)
        accepted(client, message("two"))
        assert problem(client.post("/v1/jobs", json=message("three")), 503) == (
            "DeviceUnavailable",
            "1 jobs wait for machine. Try again later.",
        )
        machine.go_on.set()


# --- who is let in ------------------------------------------------------------------------------


def test_every_operation_needs_a_token(served, machine, tokens, message):
    file, ann, _ = tokens
    paths = [("GET", "/v1/device"), ("GET", "/v1/jobs?token=x"), ("POST", "/v1/sessions")]
    paths += [("GET", "/v1/availability"), ("GET", "/v1/calibration"), ("GET", "/v1/reservations")]
    paths += [("GET", "/v1/jobs/j"), ("GET", "/v1/jobs/j/result"), ("POST", "/v1/jobs/j/cancel")]
    paths += [("POST", "/v1/sessions/s/close"), ("POST", "/v1/jobs"), ("GET", "/v1/nothing")]
    wrong = [{}, bearer("wrong"), bearer(""), {"Authorization": f"Basic {ann}"}, bearer(ann[:-1])]
    with served(machine, tokens=file) as client:
        for method, path in paths:
            for headers in wrong:
                reply = client.request(method, path, headers=headers)
                assert problem(reply, 401)[0] == "CredentialsRefused", (method, path)
                assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/v1/device", headers=bearer(ann)).status_code == 200
        assert ann not in file.read_text()


def test_a_job_is_its_senders_alone(served, machine, tokens, message):
    file, ann, bob = tokens
    with served(machine, tokens=file) as client:
        hers = accepted(client, message(), headers=bearer(ann))
        for method, path in (("GET", ""), ("GET", "/result"), ("POST", "/cancel")):
            reply = client.request(method, f"/v1/jobs/{hers}{path}", headers=bearer(bob))
            assert problem(reply, 404)[0] == "UnknownDeviceJob"
        assert client.get("/v1/jobs?token=token", headers=bearer(bob)).json() == {"job": None}
        assert accepted(client, message(), headers=bearer(bob)) != hers


def test_a_token_that_is_taken_out_of_the_file_opens_nothing_any_more(served, machine, tokens):
    file, ann, bob = tokens
    with served(machine, tokens=file) as client:
        assert client.get("/v1/device", headers=bearer(ann)).status_code == 200
        file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
        assert client.get("/v1/device", headers=bearer(ann)).status_code == 401
        assert client.get("/v1/device", headers=bearer(bob)).status_code == 200


# --- what is no request -------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_turned_away(client, message):
    large = client.post("/v1/jobs", json={**message(), "token": "x" * 100_000})
    assert problem(large, 413) == (
        "SubmissionRefused",
        "the body is larger than 100000 bytes. Send fewer circuits in a job.",
    )
    pieces = client.post(
        "/v1/jobs",
        content=iter([b"x" * 60_000] * 3),
        headers={"Content-Type": "application/json"},
    )
    assert problem(pieces, 413)[0] == "SubmissionRefused"


@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"token": "with space"},
        {"seed": -1},
        {"priority": 1},
        {"circuits": []},
        {"experiments": []},
        {"experiments": [{"circuit": 5, "points": 1, "shots": 1}]},
        {"experiments": [{"circuit": 0, "points": 0, "shots": 1}]},
        {"experiments": [{"circuit": 0, "points": 10**30, "shots": 1}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 0}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 10**9}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": None}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 1, "values": "AAAA"}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 1, "values": "no base64!"}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 1, "physical_qubits": [7]}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 1, "physical_qubits": [0, 1]}]},
        {"experiments": [{"circuit": 0, "points": 1, "shots": 1, "observables": [[["Z", 1.0]]]}]},
        {"circuits": [{"format": "openqasm3", "text": "OPENQASM 3.0; qubit[9999999] q;"}]},
        {"circuits": [{"format": "openqasm3", "text": "boom"}]},
        {"circuits": [{"format": "qpy", "data": "QUJD"}]},
        {"circuits": [{"format": "quil", "text": ""}]},
        {"noise_model": {"errors": []}},
    ],
)
def test_a_malformed_job_is_refused_and_nothing_is_taken(client, message, change):
    reply = client.post("/v1/jobs", json={**message(), **change})
    assert problem(reply, 422)[0] in {"SubmissionRefused", "CircuitError"}
    assert client.get("/v1/jobs?token=token").json() == {"job": None}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 50_000, b"NaN"])
def test_what_is_no_json_is_refused(client, body):
    reply = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code in {400, 422}
    assert reply.json()["message"]


def test_a_form_of_a_page_cannot_submit(client, message):
    reply = client.post(
        "/v1/jobs", content=json.dumps(message()), headers={"Content-Type": "text/plain"}
    )
    assert problem(reply, 415)[0] == "SubmissionRefused"


def test_paths_and_questions_that_are_none(client):
    assert client.get("/v1/jobs/none").status_code == 404
    assert problem(client.get("/v1/elsewhere"), 404)[0] == "AdapterError"
    assert problem(client.delete("/v1/jobs"), 405)[0] == "AdapterError"
    for path in ("/v1/jobs", "/v1/jobs?token=", "/v1/calibration?at=noon"):
        assert problem(client.get(path), 422)[0] == "SubmissionRefused"
    for wait in ("-1", "nan", "inf", "1e9"):
        assert problem(client.get(f"/v1/jobs/j/result?wait_s={wait}"), 422)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@FIXED
@given(
    field=st.sampled_from(
        ["token", "seed", "session_id", "circuits", "experiments", "noise_model", "other"]
    ),
    value=values,
)
def test_whatever_stands_in_a_field_the_answer_is_a_message(client, message, field, value):
    body = json.dumps({**message(token="fuzzed"), field: value})
    reply = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code in {201, 400, 410, 422}, reply.text
    assert "Traceback" not in reply.text
    assert reply.json()


@FIXED
@given(
    field=st.sampled_from(
        ["circuit", "points", "values", "shots", "physical_qubits", "observables", "other"]
    ),
    value=values,
)
def test_whatever_stands_in_an_experiment_the_answer_is_a_message(client, message, field, value):
    whole = message(token="fuzzed-experiment")
    whole["experiments"][0][field] = value
    reply = client.post(
        "/v1/jobs", content=json.dumps(whole), headers={"Content-Type": "application/json"}
    )
    assert reply.status_code in {201, 400, 422}, reply.text


def test_a_defect_here_is_told_without_its_traceback(client, machine, monkeypatch):
    def broken():
        raise ZeroDivisionError("a secret path")

    monkeypatch.setattr(machine, "availability", broken)
    reply = client.get("/v1/availability")
    assert problem(reply, 500)[0] == "AdapterError"
    assert "secret" not in reply.text


def test_a_device_that_is_away_is_offline(client, machine, monkeypatch):
    def away():
        raise DeviceUnavailable("it is cold")

    monkeypatch.setattr(machine, "availability", away)
    assert client.get("/v1/availability").json() == {
        "online": False,
        "queue_length": 0,
        "queue_s": None,
        "message": "it is cold",
        "next_window": None,
    }


# --- the interface's description ----------------------------------------------------------------


def test_the_interface_describes_itself(client):
    described = client.get("/openapi.json").json()
    assert described["info"]["version"] == "1.0"
    assert set(described["paths"]) == {
        "/v1/device",
        "/v1/availability",
        "/v1/calibration",
        "/v1/reservations",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/result",
        "/v1/jobs/{job_id}/cancel",
        "/v1/sessions",
        "/v1/sessions/{session_id}/close",
    }
    assert {"SentJob", "Result", "Calibration", "Problem"} <= set(
        described["components"]["schemas"]
    )
    assert client.get("/docs").status_code == 200


def test_values_travel_to_the_last_bit(client, machine):
    value = np.array([[0.1 + 0.2]])
    text = 'OPENQASM 3.0; include "stdgates.inc"; input float[64] a; qubit[1] q; bit[1] c; '
    text += "rx(a) q[0]; c[0] = measure q[0];"
    sent = {
        "token": "exact",
        "circuits": [{"text": text, "parameters": ["a"]}],
        "experiments": [
            {
                "circuit": 0,
                "points": 1,
                "shots": 7,
                "values": base64.b64encode(value.tobytes()).decode(),
            }
        ],
    }
    seen = []
    submit = machine.submit
    machine.submit = lambda submission, token: (
        seen.append(submission.experiments[0].parameter_values),
        submit(submission, token),
    )[1]
    job_id = accepted(client, sent)
    assert client.get(f"/v1/jobs/{job_id}/result?wait_s=20").status_code == 200
    assert seen[0].tobytes() == value.tobytes()
