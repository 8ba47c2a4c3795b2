"""A run that goes over a limit ends with an error that names it."""

import os
import signal
import time

import pytest

from flows.limits import MEMORY_VARIABLE, TIME_IS_UP, end_after, said_of
from qcpaas.errors import JobFailed, WorkloadError


def test_when_the_time_is_up_the_main_thread_hears_of_it():
    before = signal.getsignal(TIME_IS_UP)
    try:
        end_after(0.05)
        with pytest.raises(JobFailed, match=r"longer than its limit of 0.05 s"):
            time.sleep(20)
    finally:
        signal.signal(TIME_IS_UP, before)


def test_memory_that_the_users_code_could_not_get_is_named_with_its_limit(monkeypatch):
    wrapped = WorkloadError("work.py raised MemoryError: ")
    wrapped.__cause__ = MemoryError()
    assert said_of(wrapped) is wrapped
    monkeypatch.setitem(os.environ, MEMORY_VARIABLE, "512")
    said = said_of(wrapped)
    assert isinstance(said, JobFailed)
    assert "more than its 512 MiB" in str(said)
    assert said.__cause__ is wrapped
    other = ValueError("x")
    assert said_of(other) is other
