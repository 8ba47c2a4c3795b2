"""IQM's loopback server, and devices on it."""

import pytest
from vendors.iqm import TOKEN
from vendors.process import VendorServer

from adapters.registry import open_device


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with VendorServer("iqm", tmp_path_factory.mktemp("iqm") / "jobs.db") as server:
        yield server


@pytest.fixture
def server(service):
    yield service
    service.reset()


@pytest.fixture
def environment(server, monkeypatch):
    """Where the server is and who we are, as the vendor's users say it."""
    monkeypatch.setenv("IQM_SERVER_URL", server.url)
    monkeypatch.setenv("IQM_TOKEN", TOKEN)
    monkeypatch.delenv("IQM_TOKENS_FILE", raising=False)
    return monkeypatch


@pytest.fixture
def adapter(environment):
    return open_device("iqm:adonis")
