"""Rigetti's loopback servers, and adapters of what is behind them."""

import socket
import subprocess
import sys
import time

import pytest


@pytest.fixture(scope="session")
def rigetti(tmp_path_factory):
    """The QVM's server and QCS's, in whose environment Rigetti's client finds them."""
    from vendors.rigetti_subject import subjects

    folder = tmp_path_factory.mktemp("rigetti")
    with subjects(folder) as (qvm, qcs), pytest.MonkeyPatch.context() as patch:
        for name, value in {**qvm.environment, **qcs.environment}.items():
            patch.setenv(name, value)
        yield qvm.server, qcs.server


@pytest.fixture
def qvm(rigetti):
    """The QVM as new, again after the test."""
    yield rigetti[0]
    rigetti[0].reset()


@pytest.fixture
def qcs(rigetti):
    """QCS as new, again after the test."""
    yield rigetti[1]
    rigetti[1].reset()


@pytest.fixture
def quilc():
    """A quilc, by its address."""
    from vendors.process import TESTS

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    command = [sys.executable, "-m", "vendors.quilc", str(address[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=TESTS) as process:
        while process.poll() is None:
            try:
                socket.create_connection(address, 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"tcp://127.0.0.1:{address[1]}"
        process.stdin.close()
