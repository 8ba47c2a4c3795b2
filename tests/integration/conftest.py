"""One embedded platform for all integration tests: its server takes the longest to start."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from deployments.embedded import EmbeddedTransport
from gateway.app import create_app
from gateway.serve import opened
from gateway.settings import GatewaySettings
from qcpaas import RuntimeProvider
from qcpaas.gateway_transport import GatewayTransport
from qcpaas.prefect_api import PrefectApi
from qcpaas.settings import Settings
from store.workers import Workers
from tasks.environment import look_around


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


@pytest.fixture(scope="module")
def api(server):
    """Prefect's own, as the platform's parts use it."""
    api = PrefectApi(server)
    yield api
    api.close()


@pytest.fixture(scope="module")
def far(server, data_dir):
    """A client that knows only the gateway's address; a worker has told what it has."""
    store_url = f"sqlite:///{data_dir / 'qcpaas.db'}"
    settings = GatewaySettings(prefect_url=f"{server}/api")
    with opened(settings, store_url) as platform:
        Workers(platform.store).register("worker", "qcpaas", look_around(platform.store))
        with listening(platform) as url, GatewayTransport(url) as transport:
            yield transport


@contextmanager
def listening(platform):
    """The address of a platform's gateway, which hands no job over."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(platform), log_level="error", timeout_graceful_shutdown=1)
    served = uvicorn.Server(config)
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    served.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def taking_up():
    """A worker in a thread, which runs one flow as often as it is asked for."""

    @contextmanager
    def working(api, flow):
        over = threading.Event()
        arguments = (api, flow, deploy(api, flow), over)
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
