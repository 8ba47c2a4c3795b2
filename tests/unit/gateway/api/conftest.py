"""A gateway that listens on loopback, with a worker's environment, and clients of its users."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from gateway.app import create_app
from qcpaas.devices import DeviceInfo
from qcpaas.gateway_transport import GatewayTransport
from qcpaas.scheduling import Choice, JobEstimate, Limits, Role
from qcpaas.schemas import Environment, ExecutionSettings, OptionInfo, WorkloadJob
from store.admissions import Admissions
from store.jobs import Jobs
from store.workers import Workers

ENVIRONMENT = Environment(
    python="3.11.7",
    distributions={"numpy": "2.2.6"},
    options=(OptionInfo(name="Zne", rank=10, summary="to zero noise"),),
    devices=(
        DeviceInfo(name="FakeLima", adapter="twins", num_qubits=5),
        DeviceInfo(name="statevector", adapter="simulators", num_qubits=28, simulator=True),
    ),
    adapters=("twins", "simulators"),
)


@contextmanager
def listening(platform):
    """The address of a platform's gateway."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(platform), log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def platform(open_platform, store):
    Workers(store).register("worker-1", "qcpaas", ENVIRONMENT)
    return open_platform()


@pytest.fixture
def gateway(platform):
    with listening(platform) as url:
        yield url


@pytest.fixture
def client_of(gateway, token_of):
    """A client of somebody."""
    opened = []

    def client(name, role=Role.USER):
        opened.append(GatewayTransport(gateway, token_of(name, role)))
        return opened[-1]

    yield client
    for each in opened:
        each.close()


@pytest.fixture
def admit(store):
    """Let a job of somebody wait, as a submission does."""

    def admitted(owner, device="FakeLima", name=""):
        job = WorkloadJob(
            name=name,
            execution=ExecutionSettings(backend=device),
            bundle={"entry": "work:Work", "modules": {"work": "class Work: pass"}},
        )
        estimate = JobEstimate(device=device, qpu_s=1.0, qpu_s_hi=2.0, wall_s=3.0)
        Admissions(store).add(
            None,
            job,
            owner=owner,
            client_key=None,
            content_key="c",
            device=device,
            pool="qcpaas",
            session=True,
            estimate=estimate,
            choice=Choice(device=device, explanation="the job names it"),
            limits=Limits(),
        )
        return job

    return admitted


@pytest.fixture
def jobs(store):
    return Jobs(store)
