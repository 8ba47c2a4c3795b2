"""Devices under test, the servers behind them, and a platform's job on them.

``pytest tests/conformance --device NAME`` tests one device, whatever
`adapters.registry.open_device` opens under that name; see ``docs/adapters.md``.
"""

import importlib
from contextlib import contextmanager
from pathlib import Path

import pytest
from conformance.suite import circuits
from conformance.suite.device import Device, new_token
from conformance.suite.platform_job import PlatformJob
from conformance.suite.server import WatchedServer
from vendors.subjects import Subject

from adapters.contract import Unsupported
from adapters.registry import open_device
from benchmarks.qpu_process import Qpu
from qcpaas.errors import InputError, SubmissionRefused
from store.database import open_store

GIVEN = "test_given_device.py"  # tests the device of the command line


def pytest_addoption(parser):
    group = parser.getgroup("conformance", "the conformance of one device's adapter")
    group.addoption("--device", help="test this device alone, by the name that opens it")
    group.addoption(
        "--slack",
        type=float,
        default=0.0,
        help="largest total variation distance that its noise causes in a GHZ state of 3 qubits",
    )
    group.addoption("--wait", type=float, default=60.0, help="seconds that a result may take")


def pytest_ignore_collect(collection_path, config):
    """The given device's tests and no others, or all others."""
    if collection_path.suffix == ".py" and collection_path.name.startswith("test_"):
        given = config.getoption("--device", default=None) is not None
        return True if given != (collection_path.name == GIVEN) else None
    return None


# --- devices under test ---------------------------------------------------------------------


def pytest_generate_tests(metafunc):
    """One set of tests for each of a module's subjects; ``test_NAME.py`` tests NAME's.

    Where time is short the first subject stands for the others, unless the module's ``QUICK``
    names more; the others are slow.
    """
    if "place" not in metafunc.fixturenames:
        return
    labels = _labels(metafunc.module.__file__)
    quick = getattr(_subjects_of(metafunc.module.__file__), "QUICK", labels[:1])
    places = [
        pytest.param(place, id=label, marks=[] if label in quick else [pytest.mark.slow])
        for place, label in enumerate(labels)
    ]
    metafunc.parametrize("place", places, scope="module")


def _labels(test_file):
    module = _subjects_of(test_file)
    return ("given",) if module is None else getattr(module, "LABELS", (_name(test_file),))


def _name(test_file):
    return Path(test_file).stem.removeprefix("test_")


def _subjects_of(test_file):
    """The module that knows the subjects of a test module; ``None`` for the given device's."""
    if Path(test_file).name == GIVEN:
        return None
    return importlib.import_module(f"vendors.{_name(test_file)}_subject")


@pytest.fixture(scope="module")
def subjects(request, tmp_path_factory):
    """Those of the test module, with their servers running."""
    module = _subjects_of(request.path)
    if module is None:
        config = request.config
        yield [Subject(config.getoption("--device"), config.getoption("--slack"))]
        return
    with module.subjects(tmp_path_factory.mktemp("vendor")) as found:
        labels = _labels(request.path)
        assert len(labels) == len(found), (
            f"{module.__name__} yields {len(found)} subjects: name them, in their order, in LABELS"
        )
        yield found


@pytest.fixture(scope="module")
def subject(subjects, place):
    """One of them, in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in subjects[place].environment.items():
            patch.setenv(name, value)
        yield subjects[place]


@pytest.fixture(scope="module")
def device(subject, request):
    wait_s = request.config.getoption("--wait", default=60.0)
    return Device(subject, open_device(subject.name), wait_s)


@pytest.fixture
def server(device):
    """The device's server, which can be made to fail; as new after the test."""
    if device.server is None:
        pytest.skip("no server that could be made to fail")
    yield WatchedServer(device.server)
    device.server.reset()


# --- what tests of several kinds need -------------------------------------------------------


@pytest.fixture
def job(device):
    """The handle of a job that has ended, and the experiment that was asked."""
    experiment = device.bound(circuits.coin(), shots=10)
    handle = device.submit(experiment)
    device.result(handle)
    return handle, experiment


@pytest.fixture
def strangers(device, monkeypatch):
    """The variables of somebody whom the vendor does not know are in force."""
    wrong = device.subject.wrong_credentials
    if wrong is None:
        pytest.skip("everybody is let in")
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def refused(device):
    """Submits, and sees that it is refused with the numbers, and that nothing was taken."""

    def check(*experiments, numbers=()):
        before = device.server and device.server.count()
        with pytest.raises((SubmissionRefused, InputError)) as caught:
            device.submit(*experiments, token=new_token())
        message = str(caught.value).replace(",", "").replace("_", "")
        for number in numbers:
            assert str(number) in message
        assert before == (device.server and device.server.count())

    return check


@pytest.fixture
def snapshot(device):
    found = device.adapter.calibration()
    if isinstance(found, Unsupported):
        pytest.skip(found.reason)
    return found


@pytest.fixture
def served(device):
    """What the server's calibration of a number says."""
    if device.subject.served is None:
        pytest.skip("what its calibration was made from is not known here")
    return device.subject.served


@pytest.fixture
def session(device):
    """An open session; closed afterwards."""
    opened = device.adapter.open_session()
    if isinstance(opened, Unsupported):
        pytest.skip(opened.reason)
    yield opened
    device.adapter.close_session(opened)


@pytest.fixture
def platform_job(device, tmp_path):
    """Opens a job of the platform on the device; opened again, as a new process takes it up."""
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store, PlatformJob(store) as job:
        yield lambda: job.process(device.subject.name)


# --- services that other tests use ----------------------------------------------------------


@pytest.fixture(scope="package")
def loopback_qpu(tmp_path_factory):
    """Starts a loopback QPU for a block, in which the registry lists its device."""

    @contextmanager
    def started(imitated):
        file = tmp_path_factory.mktemp("qpu") / "jobs.db"
        with Qpu(file, imitated) as qpu, pytest.MonkeyPatch.context() as patch:
            for name, value in qpu.environment.items():
                patch.setenv(name, value)
            yield qpu

    return started
