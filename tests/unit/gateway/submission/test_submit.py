"""Submissions to a store of their own; nobody hands the jobs over."""

import pytest

from gateway.person import Person
from gateway.submission.submit import submit
from qcpaas.devices import DeviceInfo
from qcpaas.errors import (
    Conflict,
    InputError,
    LimitReached,
    NoWorker,
    OptionError,
    UnknownDevice,
)
from qcpaas.scheduling import Limits, Role, Scheduling, UserInfo
from qcpaas.schemas import (
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    Environment,
    ExecutionSettings,
    JobState,
    OptionSpec,
)
from store.admissions import Admissions
from store.jobs import Jobs
from store.people import People
from store.workers import Workers

ADA, BOB = Person("ada", Role.USER), Person("bob", Role.USER)
BELL = """OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2];
h q[0]; cx q[0], q[1]; measure q -> c;"""
ENVIRONMENT = Environment(
    python="3.11.7",
    distributions={},
    devices=(
        DeviceInfo(name="FakeLima", adapter="twins", num_qubits=5),
        DeviceInfo(name="FakeAthens", adapter="twins", num_qubits=5),
        DeviceInfo(name="statevector", adapter="simulators", num_qubits=28, simulator=True),
    ),
    adapters=("twins", "simulators"),
)


@pytest.fixture
def platform(open_platform, store):
    Workers(store).register("worker-1", "qcpaas", ENVIRONMENT)
    return open_platform()


def bell(backend="FakeLima", text=BELL, **more):
    item = CircuitItem(circuit=CircuitPayload(format="qasm2", text=text))
    settings = ExecutionSettings(backend=backend, shots=100, seed=1)
    return CircuitJob(execution=settings, items=(item,), **more)


def test_a_job_waits_in_the_pool_that_has_what_it_needs(platform, store):
    job = bell()
    assert submit(platform, ADA, job, None) == (job.job_id, True)
    assert platform.news.is_set()
    admission = Admissions(store).get(job.job_id)
    assert (admission.owner, admission.device, admission.pool) == ("ada", "FakeLima", "qcpaas")
    assert admission.qpu_s > 0
    assert Jobs(store).get(job.job_id).state is JobState.QUEUED


def test_repeating_a_submission_makes_no_second_job(platform, store):
    job = bell()
    submit(platform, ADA, job, None)
    assert submit(platform, ADA, job, None) == (job.job_id, False)
    keyed = bell()
    submit(platform, ADA, keyed, "key")
    again = keyed.model_copy(update={"job_id": "another"})
    assert submit(platform, ADA, again, "key") == (keyed.job_id, False)
    assert len(Admissions(store).of("ada")) == 2


def test_a_name_that_is_used_is_refused_without_a_word_about_whose_it_is(platform, store):
    job = bell()
    submit(platform, ADA, job, "key")
    other = bell(text=BELL.replace("h q[0];", "x q[0];"), job_id=job.job_id)
    with pytest.raises(Conflict, match="is taken"):
        submit(platform, ADA, other, None)
    with pytest.raises(Conflict, match="used for another job"):
        submit(platform, ADA, other, "key")
    with pytest.raises(Conflict) as theirs:
        submit(platform, BOB, job, None)
    assert "ada" not in str(theirs.value)
    assert submit(platform, BOB, bell(), "key")[1], "keys are each user's own"
    embedded = bell()
    Jobs(store).create(embedded)
    with pytest.raises(Conflict, match="is taken"):
        submit(platform, ADA, embedded, None)


def test_an_open_device_is_chosen_and_explained(platform, store):
    wished = Scheduling(devices=("FakeLima", "FakeAthens"), fidelity_weight=1.0)
    job = bell("", scheduling=wished)
    submit(platform, ADA, job, None)
    choice = Admissions(store).get(job.job_id).choice
    by_esp = sorted(choice.candidates, key=lambda one: -one.estimate.log_esp)
    assert choice.device == by_esp[0].device
    assert {one.device for one in choice.candidates} == {"FakeLima", "FakeAthens"}
    assert Jobs(store).get(job.job_id).backend == choice.device
    assert Jobs(store).spec(job.job_id).execution.backend == choice.device


def test_simulators_are_for_those_who_name_them(platform, store):
    job = bell("")
    submit(platform, ADA, job, None)
    assert Admissions(store).get(job.job_id).device in {"FakeLima", "FakeAthens"}
    exact = bell("statevector")
    submit(platform, ADA, exact, None)
    assert Admissions(store).get(exact.job_id).device == "statevector"


def test_what_cannot_run_is_refused_and_nothing_is_kept(platform, store):
    with pytest.raises(UnknownDevice, match="Did you mean FakeLima"):
        submit(platform, ADA, bell("FakeLimas"), None)
    zne = bell()
    options = {"options": (OptionSpec(name="Zne"),)}
    zne = zne.model_copy(update={"execution": zne.execution.model_copy(update=options)})
    with pytest.raises(OptionError):
        submit(platform, ADA, zne, None)
    with pytest.raises(InputError, match="no open or coming reservation"):
        submit(platform, ADA, bell(scheduling=Scheduling(reservation="r")), None)
    Workers(store).forget("worker-1")
    with pytest.raises(NoWorker):
        submit(platform, ADA, bell(), None)
    assert Jobs(store).all() == []


def test_a_users_limit_stops_the_next_job_and_nobody_elses(platform, store):
    People(store).keep(UserInfo(name="ada", limits=Limits(queued_jobs=1)))
    submit(platform, ADA, bell(), None)
    with pytest.raises(LimitReached, match="ada has 1 jobs waiting"):
        submit(platform, ADA, bell(), None)
    assert submit(platform, BOB, bell(), None)[1]
