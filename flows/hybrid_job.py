"""A circuit job: estimate, transpile, bind, plan, execute, mitigate."""

from __future__ import annotations

from prefect import flow

from flows import artifacts, stages
from flows.endings import mark_cancelled, mark_crashed
from flows.job_run import job_run
from qcpaas.schemas import CircuitJob
from qcpaas.values import encode
from tasks.mitigate import answers


@flow(
    name="hybrid-job",
    flow_run_name="{job.job_id}",
    on_cancellation=[mark_cancelled],
    on_crashed=[mark_crashed],
)
def hybrid_job(job: CircuitJob) -> None:
    """Run a batch of circuits on one device, and store the answer."""
    with job_run(job) as run:
        batch = stages.read_circuits(run)
        call = run.backend.calls.next(batch.request())
        run.journal.estimate = stages.estimate(run, batch)
        portfolios = stages.transpile(run, batch)
        with run.holding_device():
            placed = stages.bind(run, batch, portfolios)
            plan = stages.plan(run, batch, placed, call)
            executed = stages.execute(run, batch, placed, plan, call)
        outcomes = stages.mitigate(run, batch, executed)
        run.journal.diagnosed(outcomes)
        artifacts.publish_placement(job.job_id, run.device, run.journal.calibrations)
        run.complete(encode(answers(batch, outcomes)))
