"""Submitting, waiting, failing, repeating, over a platform in memory."""

import time

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qcpaas import RuntimeJob, RuntimeProvider
from qcpaas.errors import (
    InputError,
    JobCancelled,
    NotReady,
    OptionError,
    PlatformUnavailable,
    UnknownDevice,
    UnknownJob,
    WorkloadError,
)
from qcpaas.packing import pack_file
from qcpaas.schemas import JobState

SOURCE = """\
import numpy as np
from qcpaas import RuntimeWorkerBase

class Draw(RuntimeWorkerBase):
    backend_name = "FakeKolkata"
    options = ("ZeroNoiseExtrapolation(order=2)", "ReadoutMitigation")
    shots = 77

    def run(self, count: int = 3, fail: bool = False):
        for step in self.iterations(count):
            self.progress(step + 1, count, energy=-1.0 * step)
        if fail:
            raise ValueError("as asked")
        return self.rng.random(count)
"""


@pytest.fixture
def draw(tmp_path):
    (tmp_path / "draw.py").write_text(SOURCE)
    return pack_file(tmp_path / "draw.py")


@pytest.fixture
def provider(platform):
    with RuntimeProvider(transport=platform) as provider:
        yield provider
    assert platform.closed


def run(provider, draw, **arguments):
    worker_class, bundle = draw
    return provider.run(worker_class, bundle=bundle, **arguments)


def test_workload_runs_with_what_its_class_says(provider, platform, draw):
    job = run(provider, draw, inputs={"count": 4}, seed=11)
    assert np.array_equal(job.result(), np.random.default_rng(11).random(4))
    execution = platform.submitted[job.job_id].execution
    assert (execution.backend, execution.shots, execution.seed) == ("FakeKolkata", 77, 11)
    assert [option.settings for option in execution.options] == [{"order": 2}, {}]
    assert job.status() is JobState.COMPLETED
    assert job.progress().metrics == {"energy": -3.0} or job.progress().done == 4
    assert job.manifest().job.job_id == job.job_id
    assert job.logs() == [f"line of {job.job_id}"]


def test_submission_goes_before_the_class(provider, platform, draw):
    job = run(provider, draw, backend="FakeSherbrooke", options=[], shots=5, exact=True)
    execution = platform.submitted[job.job_id].execution
    assert (execution.backend, execution.options, execution.shots) == ("FakeSherbrooke", (), 5)
    assert execution.exact


def test_seed_is_drawn_anew_and_recorded(provider, platform, draw):
    seeds = {platform.submitted[run(provider, draw).job_id].execution.seed for _ in range(5)}
    assert len(seeds) == 5


def test_failed_workload_raises_its_error_with_the_users_lines(provider, draw):
    job = run(provider, draw, inputs={"fail": True})
    with pytest.raises(WorkloadError, match="ValueError: as asked") as caught:
        job.result()
    assert 'File "draw.py", line 13, in run' in caught.value.traceback_text
    assert job.status() is JobState.FAILED


def test_unfinished_job_is_not_ready_after_the_timeout(provider, platform, draw):
    platform.never_ends = True
    job = run(provider, draw)
    started = time.monotonic()
    with pytest.raises(NotReady, match=r"is running after 0\.3 s"):
        job.result(timeout=0.3)
    assert time.monotonic() - started < 2
    with pytest.raises(NotReady):
        job.manifest()


def test_waiting_backs_off(provider, platform, draw):
    platform.never_ends = True
    job = run(provider, draw)
    with pytest.raises(NotReady):
        job.result(timeout=1.0)
    # Pauses of 0.1, 0.15, 0.225, 0.34 and a last one: steady polling every 0.1 s would be 11.
    assert 4 <= platform.polls <= 7


def test_cancelled_job_says_so(provider, platform, draw):
    platform.never_ends = True
    job = run(provider, draw)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result()


def test_short_outage_is_waited_through(provider, platform, draw):
    job = run(provider, draw)
    answer = platform.job
    outages = iter([True, True, False])

    def flaky(job_id):
        if next(outages, False):
            raise PlatformUnavailable("away")
        return answer(job_id)

    platform.job = flaky
    assert len(job.result(timeout=10)) == 3


def test_circuits_run_with_their_own_options(provider, platform):
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    job = provider.run_circuits(
        [circuit, circuit],
        ["ZZ", "XX"],
        backend="FakeKolkata",
        options=["ZeroNoiseExtrapolation"],
        circuit_options=[None, []],
        seed=3,
        gate_for_gate=True,
    )
    submitted = platform.submitted[job.job_id]
    assert submitted.name == "bell and 1 more"
    assert submitted.execution.gate_for_gate
    assert [item.options for item in submitted.items] == [None, ()]
    values = [item["expectation_values"] for item in job.result()]
    assert values == [[[-1.13712, -1.13712]]] * 2


def test_rerun_repeats_with_the_same_seed_and_calibration(provider, platform, draw):
    first = run(provider, draw)
    value = first.result()
    again = provider.rerun(first.job_id)
    assert np.array_equal(again.result(), value)
    job = platform.submitted[again.job_id]
    assert job.repeats == first.job_id
    assert job.job_id != first.job_id
    assert job.execution.snapshot_id == "a1b2c3"
    assert job.execution.seed == platform.submitted[first.job_id].execution.seed


def test_bad_requests_are_refused_before_anything_is_submitted(provider, platform, draw):
    with pytest.raises(UnknownDevice, match="Did you mean FakeKolkata"):
        run(provider, draw, backend="FakeKolkatta")
    with pytest.raises(OptionError):
        run(provider, draw, options=["Nope"])
    with pytest.raises(InputError, match=r"no input 'cuont'\. Did you mean count"):
        run(provider, draw, inputs={"cuont": 2})
    with pytest.raises(InputError, match="seed"):
        run(provider, draw, seed=-1)
    assert platform.submitted == {}


def test_jobs_are_found_again_by_id(provider, draw):
    job = run(provider, draw)
    found = provider.job(job.job_id)
    assert isinstance(found, RuntimeJob)
    assert np.array_equal(found.result(), job.result())
    assert [record.job_id for record in provider.jobs()] == [job.job_id]
    with pytest.raises(UnknownJob):
        provider.job("absent")


def test_provider_lists_devices_and_options(provider):
    assert [device.name for device in provider.devices()] == ["FakeKolkata", "FakeSherbrooke"]
    assert "ReadoutMitigation" in [option.name for option in provider.options()]
