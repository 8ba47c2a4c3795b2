"""Another user's jobs, names that lead elsewhere, jobs that are no jobs: all are refused."""

from __future__ import annotations

import pytest

from gateway.app import create_app
from qcpaas.scheduling import Candidate, Choice, JobEstimate, Limits, Role
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from store.admissions import Admissions
from store.audit import AuditTrail
from store.jobs import Jobs
from store.people import People

QASM = "OPENQASM 3.0; qubit[2] q; bit[2] c; c = measure q;"
ASKED = [
    ("GET", ""),
    ("GET", "/result"),
    ("GET", "/partial"),
    ("GET", "/logs"),
    ("GET", "/forecasts"),
    ("GET", "/events"),
    ("POST", "/cancel"),
    ("POST", "/resume"),
]


def job_named(job_id: str) -> CircuitJob:
    item = CircuitItem(circuit=CircuitPayload(format="qasm3", text=QASM))
    return CircuitJob(
        job_id=job_id, execution=ExecutionSettings(backend="FakeAthens", seed=1), items=(item,)
    )


def admit(store, job: CircuitJob, owner: str) -> None:
    estimate = JobEstimate(device="FakeAthens")
    Admissions(store).add(
        None,
        job,
        owner=owner,
        client_key=None,
        content_key="0" * 64,
        device="FakeAthens",
        pool="pool",
        session=False,
        estimate=estimate,
        choice=Choice(
            device="FakeAthens",
            explanation="named",
            candidates=(Candidate(device="FakeAthens", estimate=estimate),),
        ),
        limits=Limits(),
    )


@pytest.fixture
def app(open_platform):
    return create_app(open_platform())


@pytest.fixture
def eve(app, caller, token_of):
    """A user, while the job ``hers`` is ada's."""
    return caller(app, token_of("eve"))


@pytest.fixture
def hers(store, token_of) -> CircuitJob:
    token_of("ada")
    job = job_named("20261123-101502-5f0c1b")
    admit(store, job, "ada")
    return job


def test_another_user_s_job_is_told_like_one_that_is_not_there(eve, hers, store):
    before = Jobs(store).get(hers.job_id)
    for method, part in ASKED:
        theirs = eve(method, f"/v1/jobs/{hers.job_id}{part}")
        none = eve(method, f"/v1/jobs/{'0' * len(hers.job_id)}{part}")
        assert (theirs.status_code, none.status_code) == (404, 404), part
        assert theirs.text.replace(hers.job_id, "0" * len(hers.job_id)) == none.text
    assert Jobs(store).get(hers.job_id) == before
    assert eve("GET", "/v1/jobs").json() == []
    assert eve("GET", "/v1/jobs?owner=ada").status_code == 403


def test_who_looked_for_another_user_s_job_is_in_the_audit(eve, hers, store):
    eve("GET", f"/v1/jobs/{hers.job_id}/result")
    eve("POST", f"/v1/jobs/{hers.job_id}/cancel")
    lines = AuditTrail(store).newest()
    assert [(line.user, line.action, line.target) for line in lines] == [
        ("eve", "job.cancel", hers.job_id),
        ("eve", "job.result", hers.job_id),
    ]
    assert {line.outcome for line in lines} == {"UnknownJob"}


def test_another_user_s_id_is_not_taken_over(eve, hers, store):
    mine = hers.model_copy(update={"name": "mine"})
    answer = eve("POST", "/v1/jobs", json=mine.model_dump(mode="json"))
    assert answer.status_code in {409, 422}
    assert Jobs(store).get(hers.job_id).name == hers.name
    assert Admissions(store).owner(hers.job_id) == "ada"


GUARDED = [
    ("POST", "/v1/devices"),
    ("DELETE", "/v1/devices/FakeAthens"),
    ("GET", "/v1/credentials"),
    ("PUT", "/v1/credentials/ibm/mine"),
    ("DELETE", "/v1/credentials/ibm/mine"),
    ("POST", "/v1/devices/FakeAthens/calibrate"),
    ("DELETE", "/v1/devices/FakeAthens/feedback"),
    ("GET", "/v1/users"),
    ("PUT", "/v1/users/eve"),
    ("GET", "/v1/audit"),
]


def test_what_needs_a_role_is_refused_without_it(eve):
    for method, path in GUARDED:
        body = {} if method == "GET" else {"json": {"name": "eve", "role": "administrator"}}
        assert eve(method, path, **body).status_code in {403, 422}, path
    assert eve("GET", "/v1/me").json()["role"] == "user"


NASTY = [
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fusers",
    "....//....//etc",
    "..\\..\\windows",
    "a%00b",
    "x" * 5000,
    "%ff%fe",
    "' OR 1=1 --",
    "{{7*7}}",
    "%0d%0aSet-Cookie:%20a=b",
]


def test_an_id_leads_nowhere_else(app, caller, token_of):
    ask = caller(app, token_of("root", Role.ADMINISTRATOR))
    for name in NASTY:
        for path in (f"/v1/jobs/{name}", f"/v1/jobs/{name}/result"):
            answer = ask("GET", path)
            assert answer.status_code in {400, 404, 422}, (path, answer.text)
            assert "root:" not in answer.text
            assert "set-cookie" not in answer.headers
        for path in (f"/v1/tokens/{name}", f"/v1/reservations/{name}"):
            assert ask("DELETE", path).status_code in {400, 404, 405, 422}, path


def workload(**changed):
    bundle = {"entry": "main:Work", "modules": {"main": "class Work: pass"}, "packages": []}
    return {
        "kind": "workload",
        "execution": {"backend": "FakeAthens"},
        "bundle": {**bundle, **changed},
        "inputs": {},
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"modules": {"../../etc/cron": "x", "main": ""}},
        {"modules": {"/abs": "x", "main": ""}},
        {"modules": {"main": "", "a\x00b": ""}},
        {"modules": {"main": "", "..": ""}},
        {"packages": ["../up"], "modules": {"main": ""}},
        {"modules": {"main": ""}, "entry": "os:system"},
        {"modules": {"main": ""}, "entry": "main:Work;import os"},
        {"modules": {f"m{number}": "" for number in range(5000)}, "entry": "m0:W"},
        {"modules": {"main": ""}, "requirements": [{"name": "--index-url", "version": "x"}]},
    ],
)
def test_a_bundle_that_reaches_out_is_refused(eve, store, changed):
    answer = eve("POST", "/v1/jobs", json=workload(**changed))
    assert answer.status_code in {413, 422}, answer.text[:300]
    assert Jobs(store).all() == []
    assert AuditTrail(store).newest()[0].outcome != "done"


def test_a_nested_bomb_is_refused(eve, store):
    inputs: dict = {}
    for _ in range(200):
        inputs = {"a": inputs}
    answer = eve("POST", "/v1/jobs", json={**workload(), "inputs": inputs})
    assert answer.status_code in {400, 422}
    assert Jobs(store).all() == []


def test_a_user_s_own_jobs_survive_all_that(app, eve, hers, caller, store):
    for path in ("/v1/jobs", f"/v1/jobs/{hers.job_id}/cancel"):
        for body in (b"{", b"[]", b"\xff", b'{"kind": "workload"}'):
            eve("POST", path, content=body, headers={"Content-Type": "application/json"})
    ada = caller(app, People(store).create_token("ada").token)
    assert [job["job_id"] for job in ada("GET", "/v1/jobs").json()] == [hers.job_id]
    assert ada("GET", f"/v1/jobs/{hers.job_id}").json()["state"] == "queued"


def test_figures_of_the_platform_are_told(app, hers, caller):
    told = caller(app)("GET", "/metrics").text
    assert 'qcpaas_jobs_waiting{device="FakeAthens"} 1.0' in told
    assert "qcpaas_store_reachable 1.0" in told
    assert "ada" not in told
