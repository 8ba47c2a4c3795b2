"""What becomes of accepted jobs when the server or the device behind it goes away."""

import time

import pytest

from adapters.open_hardware import desk as desks
from adapters.open_hardware.desk import Desk
from adapters.open_hardware.job_file import JobFile
from adapters.open_hardware.packing import Packer
from qcpaas.errors import (
    AcceptanceUnknown,
    DeviceUnavailable,
    ExecutionFailed,
    InputError,
    SubmissionRefused,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch):
    monkeypatch.setattr(desks, "_REST_S", 0.02)


@pytest.fixture
def job(submission):
    return Packer("openqasm3").job(submission(), "token")


def state(kept, desk):
    deadline = time.monotonic() + 20
    while (found := desk.job(kept.job_id, "ann")).state not in {"completed", "failed"}:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def accepted_before(file, machine, job, *, sent):
    """A job that a server had accepted, and perhaps begun, when it was killed."""
    with JobFile(file, durable=True) as jobs:
        kept = Desk(machine, jobs).accept(job, "ann")
        jobs.begin(kept.job_id)
        if sent:
            jobs.sending(kept.job_id)
    return kept


def test_an_interrupted_job_runs_again_where_its_adapter_keeps_none(file, machine, job):
    kept = accepted_before(file, machine, job, sent=True)
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        assert state(kept, desk).state == "completed"
        assert machine.submitted == [kept.job_id]
        desk.end()


def test_an_old_result_goes_and_its_token_still_names_the_job(file, machine, job):
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs, kept_s=60.0)
        desk.start()
        kept = desk.accept(job, "ann")
        assert state(kept, desk).state == "completed"
        desk.end()
        assert jobs.forget_answers(time.time() - 60.0) == 0
        assert desk.answer(kept.job_id, "ann")
        jobs._do("update job set ended_at = ended_at - 61")
        later = Desk(machine, jobs, kept_s=60.0)
        later.start()
        later.end()
        with pytest.raises(ExecutionFailed, match="was removed"):
            desk.answer(kept.job_id, "ann")
        assert desk.accept(job, "ann").job_id == kept.job_id
        assert machine.submitted == [kept.job_id]


@pytest.mark.parametrize("arrived", [True, False])
def test_one_of_an_adapter_that_keeps_its_jobs_is_looked_up_by_its_token(
    file, make_machine, job, arrived, submission
):
    machine = make_machine(keeps_jobs=True)
    kept = accepted_before(file, machine, job, sent=True)
    if arrived:
        machine.submit(submission(), kept.job_id)
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        assert state(kept, desk).state == "completed"
        assert machine.submitted == [kept.job_id]
        desk.end()


def test_one_that_nobody_can_look_up_is_never_sent_again(file, make_machine, job):
    machine = make_machine(keeps_jobs=True)
    machine.searches = False
    kept = accepted_before(file, machine, job, sent=True)
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        assert "was not sent again" in state(kept, desk).message
        assert machine.submitted == []
        with pytest.raises(ExecutionFailed, match="has no list"):
            desk.answer(kept.job_id, "ann")
        desk.end()


def test_one_whose_handle_was_noted_is_awaited_and_not_sent(file, make_machine, job, submission):
    machine = make_machine(keeps_jobs=True)
    kept = accepted_before(file, machine, job, sent=True)
    handle = machine.submit(submission(), kept.job_id)
    with JobFile(file, durable=False) as jobs:
        jobs.sent(kept.job_id, handle.model_dump_json())
        machine.searches = False
        desk = Desk(machine, jobs)
        desk.start()
        assert state(kept, desk).state == "completed"
        assert machine.submitted == [kept.job_id]
        desk.end()


def test_a_device_in_maintenance_gets_its_jobs_afterwards(file, make_machine, job):
    machine = make_machine(keeps_jobs=True)
    machine.searches = False  # nothing was taken, so that nothing needs to be looked up
    machine.raises = [DeviceUnavailable("maintenance"), DeviceUnavailable("maintenance")]
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        kept = desk.accept(job, "ann")
        assert state(kept, desk).state == "completed"
        assert machine.submitted == [kept.job_id]
        desk.end()


def test_an_unknown_acceptance_is_looked_up_at_once(file, make_machine, job):
    machine = make_machine(keeps_jobs=True)
    machine.raises = [AcceptanceUnknown("the line broke")]
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        kept = desk.accept(job, "ann")
        assert state(kept, desk).state == "completed"
        assert machine.submitted == [kept.job_id]
        desk.end()


def test_a_late_refusal_ends_the_job_with_its_reason(file, machine, job):
    machine.raises = [SubmissionRefused("no such gate here")]
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        kept = desk.accept(job, "ann")
        assert state(kept, desk).message == "no such gate here"
        desk.end()


def test_jobs_run_side_by_side_as_far_as_the_device_goes(file, make_machine, submission):
    machine = make_machine(keeps_jobs=False, concurrent_jobs=2)
    machine.go_on.clear()
    with JobFile(file, durable=False) as jobs:
        desk = Desk(machine, jobs)
        desk.start()
        packer = Packer("openqasm3")
        kept = [desk.accept(packer.job(submission(), f"t{n}"), "ann") for n in range(3)]
        deadline = time.monotonic() + 20
        while len(machine.submitted) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [desk.job(each.job_id, "ann").state for each in kept] == [
            "running",
            "running",
            "queued",
        ]
        assert desk.waiting() == 1
        machine.go_on.set()
        assert [state(each, desk).state for each in kept] == ["completed"] * 3
        desk.end()


def test_two_servers_cannot_use_one_file(file):
    with JobFile(file, durable=False), pytest.raises(InputError, match="another server uses"):
        JobFile(file, durable=False)


def test_a_file_of_something_else_is_told(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("these are my notes, " * 100)
    with pytest.raises(InputError, match="no file of jobs"):
        JobFile(other, durable=False)
