"""Feedback through the gateway: read from the store, learnt by a worker."""

import pytest

from flows import feedback as flows_feedback
from qcpaas.errors import InputError, UnknownDevice, UnknownJob
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from store.database import open_store
from store.feedback import Feedbacks
from store.jobs import Jobs
from tasks.registered import open_registered

pytestmark = pytest.mark.server

NAME = "FakeLima"


@pytest.fixture(scope="module")
def store(data_dir):
    with open_store(f"sqlite:///{data_dir / 'qcpaas.db'}") as store:
        open_registered(NAME, store)
        yield store


def test_report_and_reset_come_from_the_platforms_store(far, store, platform):
    Feedbacks(store).update(NAME, lambda _: b"")
    near = platform.feedback(NAME)
    assert far.feedback("fakelima") == near
    assert near.updated_at is not None
    version = Feedbacks(store).version(NAME)
    assert far.reset_feedback(NAME).factors == ()
    assert Feedbacks(store).version(NAME) == version + 1


def test_refusals_arrive_as_they_were_raised(far, store, api, taking_up):
    with pytest.raises(UnknownDevice, match="Did you mean FakeLima"):
        far.feedback("FakeLimas")
    with pytest.raises(UnknownJob, match="no job 'gone'"):
        far.observe_fidelity("gone", 0.9, 0.01)
    Jobs(store).create(circuit_job("known"))
    with (
        taking_up(api, flows_feedback.feedback),
        pytest.raises(InputError, match="above 0 and at most at 1"),
    ):
        far.observe_fidelity("known", 1.9, 0.01)


def circuit_job(job_id):
    text = "OPENQASM 2.0; qreg q[1]; creg c[1]; measure q -> c;"
    item = CircuitItem(circuit=CircuitPayload(format="qasm2", text=text))
    return CircuitJob(job_id=job_id, execution=ExecutionSettings(backend=NAME), items=(item,))
