"""Interrupted and held jobs at the command line: what is shown, and how they go on."""

import json
import math
import threading
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from qcpaas import RuntimeProvider
from qcpaas.cli import app
from qcpaas.cli.partial import PLOT_COLUMNS, PLOT_ROWS, curve_text
from qcpaas.cli.recovery import read_age
from qcpaas.errors import JobHeld, NotReady
from qcpaas.packing import pack_file
from qcpaas.partial import CallOutcome, FinishedCall, OpenSubmission, PartialResult
from qcpaas.schemas import ErrorReport, JobState, Progress, Recovery

WORK = """\
from qcpaas import RuntimeWorkerBase

class Work(RuntimeWorkerBase):
    backend_name = "FakeKolkata"

    def run(self):
        return {"energy_ha": -1.13712, "energy_ha_std_error": 0.00234}
"""
HELD = ErrorReport(type="JobHeld", message="submission t-7 may have been accepted; adopt it.")
DIED = ErrorReport(type="NotReady", message="its process died. It goes on by itself.")
ABANDONED = ErrorReport(type="JobHeld", message="its process died. `qcpaas resume` goes on.")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def provider(platform):
    return RuntimeProvider(transport=platform)


@pytest.fixture
def qcpaas(provider, tmp_path):
    def invoke(*arguments):
        environment = {"COLUMNS": "140", "QCPAAS_DATA_DIR": str(tmp_path / "data")}
        return CliRunner(env=environment).invoke(app, list(arguments), obj=lambda _: provider)

    return invoke


@pytest.fixture
def job(provider, platform, tmp_path):
    """A job that runs and does not end by itself."""
    (tmp_path / "work.py").write_text(WORK)
    worker_class, bundle = pack_file(tmp_path / "work.py")
    platform.never_ends = True
    submitted = provider.run(worker_class, bundle=bundle)
    submitted.status()
    return submitted


def a_partial_result(job, **more):
    call = FinishedCall(
        index=11,
        circuits=("ansatz",),
        parameter_values=(((0.25, -1.5, 0.5, 0.75),),),
        outcomes=(CallOutcome(values=((-1.13712,),), standard_errors=((0.00234,),)),),
        finished_at=NOW,
    )
    sampled = FinishedCall(
        index=12,
        circuits=("bell", "bell", "ghz"),
        parameter_values=((()), (()), (())),
        outcomes=(CallOutcome(counts=({"11": 70.0, "00": 30.0},)),),
        finished_at=NOW,
    )
    waiting = OpenSubmission(
        token="t-13",
        device="Twin",
        device_job_id=None,
        submitted_at=datetime.now(UTC) - timedelta(minutes=5),
    )
    fields = {
        "state": JobState.HELD,
        "progress": Progress(stage="iterations", done=12, total=60, metrics={"energy": -1.1}),
        "finished": 13,
        "calls": (call, sampled),
        "open_submissions": (waiting,),
        "metrics": {"energy": ((1.0, 0.0), (2.0, -1.0))},
        "checkpoint": {"step": 12},
    }
    return PartialResult(job_id=job.job_id, **(fields | more))


# --- held and interrupted -----------------------------------------------------------------------


def test_waiting_for_a_held_job_ends_with_what_a_person_can_do(job, platform):
    platform.stop(job.job_id, JobState.HELD, HELD)
    for ask in (job.wait, job.result):
        with pytest.raises(JobHeld, match="submission t-7 may have been accepted"):
            ask(timeout=30)


def test_command_that_follows_a_job_stops_when_it_is_held(qcpaas, job, platform):
    platform.stop(job.job_id, JobState.FAILED, None)
    timer = threading.Timer(0.5, platform.stop, (job.job_id, JobState.HELD, HELD))
    timer.start()
    done = qcpaas("resume", job.job_id)
    timer.join()
    assert done.exit_code == 5
    assert f"qcpaas: {HELD.message}" in done.stderr
    assert "held" in done.stderr


def test_interrupted_job_is_waited_for_while_it_goes_on_by_itself(job, platform):
    platform.stop(job.job_id, JobState.INTERRUPTED, DIED)
    with pytest.raises(NotReady, match="is interrupted after"):
        job.wait(timeout=0.2)
    timer = threading.Timer(0.3, platform.resume, (job.job_id,))
    platform.never_ends = False
    timer.start()
    assert job.result(timeout=30)["energy_ha"] == -1.13712
    timer.join()


def test_interrupted_job_that_nobody_resumes_is_not_waited_for(job, platform):
    platform.stop(job.job_id, JobState.INTERRUPTED, ABANDONED)
    with pytest.raises(JobHeld, match="`qcpaas resume` goes on"):
        job.wait()


@pytest.mark.parametrize(
    ("stop", "label"),
    [
        ((JobState.HELD, HELD), "waits for"),
        ((JobState.INTERRUPTED, DIED), "interrupted"),
    ],
)
def test_state_and_reason_are_shown(qcpaas, job, platform, stop, label):
    state, error = stop
    platform.stop(job.job_id, state, error)
    assert state.value in qcpaas("jobs").stdout
    shown = qcpaas("job", job.job_id).stdout
    row = next(line for line in shown.splitlines() if error.message in line)
    assert row.split(error.message)[0].strip() == label


def test_list_of_jobs_says_how_those_that_wait_go_on(qcpaas, job, platform):
    assert "qcpaas resume ID" not in qcpaas("jobs").stdout
    platform.stop(job.job_id, JobState.HELD, HELD)
    assert "qcpaas resume ID" in qcpaas("jobs").stdout
    assert json.loads(qcpaas("jobs", "--json").stdout)[0]["state"] == "held"


# --- resume -------------------------------------------------------------------------------------


def test_resumed_job_is_followed_to_its_result(qcpaas, job, platform):
    platform.stop(job.job_id, JobState.INTERRUPTED, ABANDONED)
    platform.never_ends = False
    done = qcpaas("resume", job.job_id)
    assert done.exit_code == 0, done.stderr
    assert "-1.1371 ± 0.0023" in done.stdout
    assert platform.resumed == [(job.job_id, None)]


@pytest.mark.parametrize(
    ("arguments", "recovery"),
    [
        (["--resubmit"], Recovery(unknown_acceptance="resubmit")),
        (["--adopt", "abc"], Recovery(adopt="abc")),
        (["--diverged", "continue"], Recovery(divergence="continue")),
        (
            ["--resubmit", "--diverged", "fail"],
            Recovery(unknown_acceptance="resubmit", divergence="fail"),
        ),
    ],
)
def test_decisions_are_handed_on(qcpaas, job, platform, arguments, recovery):
    platform.stop(job.job_id, JobState.HELD, HELD)
    done = qcpaas("resume", job.job_id, *arguments, "--remote", "--detach", "--json")
    assert json.loads(done.stdout)["job_id"] == job.job_id
    ((_, decided),) = platform.resumed
    assert decided == recovery
    assert decided.model_fields_set == recovery.model_fields_set


def test_only_what_was_decided_replaces_the_jobs_own_rules():
    own = Recovery(unknown_acceptance="resubmit", divergence="continue", adopt="used-up")
    assert own.decided(None) == own.model_copy(update={"adopt": None})
    again = own.decided(Recovery(divergence="fail", adopt="new"))
    assert again == Recovery(unknown_acceptance="resubmit", divergence="fail", adopt="new")


def test_completed_job_is_not_resumed(qcpaas, job, platform):
    platform.never_ends = False
    job.wait()
    done = qcpaas("resume", job.job_id)
    assert (done.exit_code, platform.resumed) == (2, [])
    assert "has completed" in done.stderr


def test_rules_for_going_on_are_given_at_submission(provider, platform, tmp_path, job):
    worker_class, bundle = pack_file(tmp_path / "work.py")
    rules = Recovery(unknown_acceptance="resubmit", divergence="continue")
    submitted = provider.run(worker_class, bundle=bundle, recovery=rules)
    assert platform.submitted[submitted.job_id].execution.recovery == rules
    assert platform.submitted[job.job_id].execution.recovery == Recovery()


def test_run_takes_the_rule_for_unknown_acceptance(qcpaas, job, platform, tmp_path):
    done = qcpaas("run", str(tmp_path / "work.py"), "--resubmit", "--remote", "--detach")
    assert done.exit_code == 0, done.stderr
    newest = list(platform.submitted.values())[-1]
    assert newest.execution.recovery.unknown_acceptance == "resubmit"


# --- partial results ----------------------------------------------------------------------------


def test_partial_result_is_shown_with_errors_curve_and_open_submissions(qcpaas, job, platform):
    platform.partials[job.job_id] = a_partial_result(job)
    shown = qcpaas("result", job.job_id, "--partial").stdout
    lines = shown.splitlines()
    assert "iterations 12 of 60" in shown
    assert "the newest 2 of 13 finished calls" in shown
    row = next(line for line in lines if "ansatz" in line)
    assert "-1.1371 ± 0.0023" in row
    assert "0.25, -1.5, 0.5 and 1 more" in row
    assert "11 70, 00 30" in next(line for line in lines if "bell, ghz" in line)
    assert "energy, latest -1" in shown
    row = next(line for line in lines if "t-13" in line)
    assert "not known" in row
    assert "5 min ago" in row


def test_partial_result_is_strict_json(qcpaas, job, platform):
    metrics = {"energy": ((1.0, math.nan), (2.0, -1.0))}
    platform.partials[job.job_id] = a_partial_result(job, metrics=metrics)
    done = qcpaas("result", job.job_id, "--partial", "--json")
    read = json.loads(done.stdout, parse_constant=pytest.fail)
    assert read["finished"] == 13
    assert read["metrics"]["energy"] == [[1.0, None], [2.0, -1.0]]


def test_partial_result_of_a_job_without_calls_says_so(qcpaas, job):
    done = qcpaas("result", job.job_id, "--partial")
    assert done.exit_code == 0
    assert "finished calls  0" in done.stdout


def test_curve_falls_from_its_top_left_to_its_bottom_right():
    text = curve_text("energy", [(step, -float(step)) for step in range(1000)])
    _, *rows, axis = text.splitlines()
    assert len(rows) == PLOT_ROWS
    bars = [row.partition("┤")[2] for row in rows]
    assert max(map(len, bars)) == PLOT_COLUMNS
    assert [len(bar) for bar in bars] == sorted(len(bar) for bar in bars)
    assert axis.split() == ["0", "999"]


def test_short_curve_has_its_ends_apart():
    assert curve_text("energy", [(1, 1.0), (2, 0.5)]).splitlines()[-1].split() == ["1", "2"]


def test_curve_keeps_to_what_is_finite():
    text = curve_text("energy", [(1, math.nan), (2, -1.0), (3, math.inf), (4, 2.0)])
    assert "2 ┤ █" in text
    assert curve_text("energy", [(1, math.nan)]) == "energy: no finite value"


# --- age of what is removed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90d", timedelta(days=90)),
        ("1.5 h", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        ("0m", timedelta(0)),
    ],
)
def test_age_is_read_with_its_unit(text, age):
    assert read_age(text) == age
