"""IBM's loopback server, and adapters of its backends."""

import pytest
from vendors.process import VendorServer


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The server, and the environment in which IBM's client reaches it."""
    from vendors import ibm_subject

    folder = tmp_path_factory.mktemp("ibm")
    with VendorServer("ibm", folder / "ibm.db") as server, pytest.MonkeyPatch.context() as patch:
        for name, value in ibm_subject.environment(server).items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def ibm(service):
    """The server as new, again after the test."""
    yield service
    service.reset()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without an account, and no account in the environment."""
    for name in ("TOKEN", "INSTANCE", "CHANNEL", "URL"):
        monkeypatch.delenv(f"QISKIT_IBM_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".qiskit").mkdir()
    return tmp_path
