"""One embedded platform for all integration tests: its server takes the longest to start."""

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
