"""One embedded platform for all integration tests: its server takes the longest to start."""

import threading
import time
from contextlib import contextmanager

import pytest

from deployments.embedded import EmbeddedTransport
from qcpaas import RuntimeProvider
from qcpaas.settings import Settings


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("platform")


@pytest.fixture(scope="session")
def platform(data_dir):
    with RuntimeProvider(transport=EmbeddedTransport(Settings(data_dir=data_dir))) as provider:
        yield provider


@pytest.fixture(scope="module")
def server(platform):
    """The embedded platform's server, without a job."""
    transport = platform._transport
    transport._configure_prefect()
    return transport._start_server()


@pytest.fixture(scope="session")
def taking_up():
    """A worker in a thread, which runs one flow as often as a client asks for it."""

    @contextmanager
    def working(transport, flow):
        over = threading.Event()
        arguments = (transport._api, flow, deploy(transport._api, flow), over)
        worker = threading.Thread(target=work, args=arguments, name="worker", daemon=True)
        worker.start()
        yield
        over.set()
        worker.join(30)

    return working


def deploy(api, flow):
    flow_id = api.post("flows/", {"name": flow.name})["id"]
    return api.post("deployments/", {"name": flow.name, "flow_id": flow_id})["id"]


def work(api, flow, deployment_id, over):
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow

    body = {
        "flow_runs": {
            "deployment_id": {"any_": [deployment_id]},
            "state": {"type": {"any_": ["SCHEDULED"]}},
        }
    }
    while not over.is_set():
        for found in api.post("flow_runs/filter", body) or []:
            with get_client(sync_client=True) as client:
                run = client.read_flow_run(found["id"])
            parameters = flow.validate_parameters(run.parameters)
            run_flow(flow, flow_run=run, parameters=parameters, return_type="state")
        time.sleep(0.1)
