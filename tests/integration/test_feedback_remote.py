"""Feedback over a real Prefect server: asked from far away, answered by the platform's flow."""

import threading
import time

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

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
def far(server, store):
    """A client that knows only the server's address, and a worker that takes up what it asks."""
    register_worker()
    over = threading.Event()
    with PrefectTransport(server) as transport:
        api = transport._api
        flow_id = api.post("flows/", {"name": "feedback"})["id"]
        deployment = api.post("deployments/", {"name": "feedback", "flow_id": flow_id})

        def work():
            body = {
                "flow_runs": {
                    "deployment_id": {"any_": [deployment["id"]]},
                    "state": {"type": {"any_": ["SCHEDULED"]}},
                }
            }
            while not over.is_set():
                for found in api.post("flow_runs/filter", body) or []:
                    with get_client(sync_client=True) as client:
                        run = client.read_flow_run(found["id"])
                    run_flow(
                        flows_feedback.feedback,
                        flow_run=run,
                        parameters=flows_feedback.feedback.validate_parameters(run.parameters),
                        return_type="state",
                    )
                time.sleep(0.1)

        worker = threading.Thread(target=work, name="worker", daemon=True)
        worker.start()
        yield transport
        over.set()
        worker.join(30)


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
