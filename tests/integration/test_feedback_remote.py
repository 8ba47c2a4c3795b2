"""Feedback over a real Prefect server: asked from far away, answered by the platform's flow."""

import pytest

from flows import feedback as flows_feedback
from flows.register_worker import register_worker
from qcpaas.errors import InputError, UnknownDevice, UnknownJob
from qcpaas.prefect_transport import PrefectTransport
from store.database import open_store
from store.feedback import Feedbacks
from tasks.registered import open_registered

pytestmark = pytest.mark.server

NAME = "FakeLima"


@pytest.fixture(scope="module")
def store(data_dir):
    with open_store(f"sqlite:///{data_dir / 'qcpaas.db'}") as store:
        open_registered(NAME, store)
        yield store


@pytest.fixture(scope="module")
def far(server, store, taking_up):
    """A client that knows only the server's address, and a worker that takes up what it asks."""
    register_worker()
    with PrefectTransport(server) as transport, taking_up(transport, flows_feedback.feedback):
        yield transport


def test_report_and_reset_come_from_the_platforms_store(far, store, platform):
    Feedbacks(store).update(NAME, lambda _: b"")
    near = platform.feedback(NAME)
    assert far.feedback("fakelima") == near
    assert near.updated_at is not None
    version = Feedbacks(store).version(NAME)
    assert far.reset_feedback(NAME).factors == ()
    assert Feedbacks(store).version(NAME) == version + 1


def test_refusals_arrive_as_they_were_raised(far):
    with pytest.raises(UnknownDevice, match="Did you mean FakeLima"):
        far.feedback("FakeLimas")
    with pytest.raises(UnknownJob, match="no job 'gone'"):
        far.observe_fidelity("gone", 0.9, 0.01)
    with pytest.raises(InputError, match="above 0 and at most at 1"):
        far.observe_fidelity("gone", 1.9, 0.01)
