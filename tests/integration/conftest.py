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
