"""What all tests share."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import hypothesis
import pytest

from adapters.compiler_stages import defer_vendor_stages

# A busy machine is no property of the code under test. Longer: `--hypothesis-profile thorough`.
for name, examples in (("any machine", 50), ("thorough", 1000)):
    hypothesis.settings.register_profile(
        name,
        deadline=None,
        max_examples=examples,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("any machine")
defer_vendor_stages()  # for circuits that a test compiles by itself

Fork = Callable[..., BaseProcess]
pytest.register_assert_rewrite("conformance.suite")


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that other system users can enter, as PostgreSQL's must when root runs the tests.

    Pytest closes its own temporary folders to others, again and again where several runs overlap.
    """
    folder = Path(tempfile.mkdtemp(prefix="qcpaas-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Programs that tests start can be interrupted, also where a shell runs pytest behind ``&``.

    Such a shell has SIGINT ignored, and what is ignored is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def fork() -> Fork:
    """Run a function in a fork of this process.

    The fork ends without the exit handlers that it inherits: those of Prefect's services, which
    an earlier test may have started here, fail in a fork, and it would exit with 1 without a word.
    """

    def run(target: Callable[..., object], arguments: tuple[object, ...]) -> None:
        try:
            target(*arguments)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    def start(target: Callable[..., object], *arguments: object) -> BaseProcess:
        process = multiprocessing.get_context("fork").Process(target=run, args=(target, arguments))
        process.start()
        return process

    return start
