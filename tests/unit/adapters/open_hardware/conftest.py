"""A device that is told how to behave, and an application around it."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fastapi.testclient import TestClient
from qiskit import QuantumCircuit

from adapters.aer import AerRunner
from adapters.contract import (
    Capabilities,
    DeviceAdapter,
    DeviceJobState,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
    Window,
)
from adapters.open_hardware.app import make_app
from adapters.open_hardware.desk import Desk
from adapters.open_hardware.job_file import JobFile
from adapters.open_hardware.packing import Packer
from adapters.open_hardware.tokens import Tokens, add_token
from qcpaas.errors import ExecutionFailed
from qcpaas.execution import Experiment

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Machine(DeviceAdapter):
    """Ideal, two qubits. ``submitted`` are the tokens that came; ``raises`` what comes next."""

    name = "machine"

    def __init__(self, **capabilities):
        self.told = Capabilities(num_qubits=2, token_lag_s=0.0, **capabilities)
        self.submitted = []
        self.raises = []
        self.searches = True
        self.jobs = {}
        self.go_on = threading.Event()
        self.go_on.set()
        self.began = threading.Event()
        self.sessions = []

    def capabilities(self):
        return self.told

    def calibration(self, at=None):
        return Unsupported("calibration", "it is ideal")

    def submit(self, submission, token):
        if self.raises:
            raise self.raises.pop(0)
        self.submitted.append(token)
        self.sessions.append(submission.session)
        self.began.set()
        self.go_on.wait(20)
        self.jobs[token] = AerRunner(self.name).run(submission)
        return JobHandle(device=self.name, device_job_id=token, token=token)

    def status(self, handle):
        return DeviceJobState.COMPLETED

    def result(self, handle, timeout_s=None):
        if handle.device_job_id not in self.jobs:
            raise ExecutionFailed("it was lost")
        return self.jobs[handle.device_job_id]

    def cancel(self, handle):
        return None

    def find_by_token(self, token):
        if not self.searches:
            return Unsupported("find_by_token", "it has no list")
        if token not in self.jobs:
            return None
        return JobHandle(device=self.name, device_job_id=token, token=token)

    def open_session(self):
        return DeviceSession("session-1", NOW + timedelta(days=36500), 60.0)

    def close_session(self, session):
        return None

    def reservations(self):
        return [Window(NOW, NOW + timedelta(hours=1), "r1", "ours")]


def coin(seed=3, shots=100, session=None, circuits=1, qubits=1):
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    circuit.measure_all()
    experiment = Experiment(circuit, np.zeros((1, 0)), shots=shots)
    return Submission((experiment,) * circuits, seed, session=session)


@pytest.fixture
def machine():
    return Machine(keeps_jobs=False)


@pytest.fixture
def message():
    """A submission as it is sent, as a dictionary."""

    def made(token="token", form="openqasm3", **asked):
        return Packer(form).job(coin(**asked), token).model_dump(mode="json")

    return made


@pytest.fixture
def submission():
    return coin


@pytest.fixture
def make_machine():
    return Machine


@pytest.fixture
def served(tmp_path):
    """Starts a desk and its application for a block; again over the same file where asked."""

    @contextmanager
    def started(machine, tokens=None, **options):
        with JobFile(tmp_path / "jobs.db", durable=False) as file:
            desk = Desk(machine, file, **options)
            app = make_app(desk, Tokens(tokens), max_body_bytes=100_000)
            desk.start()
            with TestClient(app, raise_server_exceptions=False) as client:
                yield client
            desk.end()

    return started


@pytest.fixture
def client(served, machine):
    with served(machine) as found:
        yield found


@pytest.fixture
def tokens(tmp_path):
    """A file, and the tokens of Ann and Bob."""
    file = tmp_path / "tokens"
    return file, add_token(file, "ann"), add_token(file, "bob")
