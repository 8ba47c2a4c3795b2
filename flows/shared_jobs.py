"""Small jobs side by side on one device: one submission, and an answer for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow

from flows.endings import mark_cancelled, mark_crashed
from flows.job_run import JobRun, job_run
from flows.stages import stage
from qcpaas.execution import Outcome
from qcpaas.schemas import CircuitJob
from tasks.calls import Call
from tasks.share_plan import SharedPlan
from tasks.share_run import STEPS, SharedSubmission


@flow(
    name="shared-jobs",
    flow_run_name="{job.job_id}",
    on_cancellation=[mark_cancelled],
    on_crashed=[mark_crashed],
)
def shared_jobs(job: CircuitJob) -> None:
    """Run the jobs that were put together under an id, and answer each of them.

    A job that was cancelled before all was planned takes no part; one that was cancelled later is
    not answered. One that finds no good place runs by itself, and so do all that this run has not
    answered when it fails.
    """
    with job_run(job) as run:
        whole = SharedSubmission(job, run.backend, run.store, run.ownership.guards)
        call = whole.begin()
        with run.holding_device():
            planned = plan(run, whole, call)
            run.patiently(lambda: whole.let_go(planned))
            outcomes = execute(run, whole, planned, call) if planned.experiments else ()
        answered = 0
        if planned.guests:
            with entered(run, "answer"):
                answered = run.patiently(
                    lambda: whole.give_answers(planned, outcomes, call, run.ownership.check)
                )
        run.complete({"jobs": len(planned.guests), "answered": answered})


@stage("plan together")
def plan(run: JobRun, whole: SharedSubmission, call: Call) -> SharedPlan:
    with entered(run, "plan"):
        return run.patiently(lambda: whole.plan(call))


@stage("execute together", retries=3)
def execute(
    run: JobRun, whole: SharedSubmission, planned: SharedPlan, call: Call
) -> tuple[Outcome, ...]:
    with entered(run, "execute"):
        return whole.execute(planned, call)


@contextmanager
def entered(run: JobRun, step: str) -> Iterator[None]:
    """Show the step as the submission's progress, and time it."""
    run.progress.step(step, STEPS.index(step), len(STEPS))
    with run.journal.stage(step):
        yield
