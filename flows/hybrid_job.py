"""A circuit job: estimate, transpile, bind, learn noise, plan, execute, mitigate."""

from __future__ import annotations

from prefect import flow, task

from flows import stages
from flows.endings import mark_cancelled, mark_crashed
from flows.job_run import JobRun, job_run
from qcpaas.execution import Outcome
from qcpaas.schemas import CircuitJob, Estimate
from qcpaas.values import encode
from tasks.batch import Batch
from tasks.calls import Call
from tasks.division import OWN
from tasks.estimate import compared
from tasks.mitigate import answers


@flow(
    name="hybrid-job",
    flow_run_name="{job.job_id}",
    on_cancellation=[mark_cancelled],
    on_crashed=[mark_crashed],
)
def hybrid_job(job: CircuitJob) -> None:
    """Run a batch of circuits, and store the answer.

    Circuits that an option has divided among devices run on all of them at once.
    """
    with job_run(job) as run:
        batch, division = stages.read_circuits(run)
        calls = {
            name: run.backend.calls.next(share.request(name))
            for name, share in division.shares.items()
        }
        estimates = [stages.estimate(run.on(name), each) for name, each in division.shares.items()]
        run.journal.estimate = compared(Estimate.of_all(estimates), batch.experiments)
        elsewhere = {
            name: carry_out_elsewhere.submit(run.on(name), share, calls[name])
            for name, share in division.shares.items()
            if name != OWN
        }
        found = {}
        if OWN in division.shares:
            found[OWN] = carry_out(run, division.shares[OWN], calls[OWN])
        found |= {name: future.result() for name, future in elsewhere.items()}
        outcomes = division.combined(found)
        run.journal.diagnosed(outcomes)
        run.show_placement()
        run.complete(encode(answers(batch, outcomes)))


def carry_out(run: JobRun, batch: Batch, call: Call) -> tuple[Outcome, ...]:
    """The stages of circuits on one device."""
    portfolios = stages.transpile(run, batch)
    with run.holding_device():
        placed = stages.bind(run, batch, portfolios)
        stages.learn_noise(run, batch, placed, call)
        plan = stages.plan(run, batch, placed, call)
        executed = stages.execute(run, batch, placed, plan, call)
    return stages.mitigate(run, batch, executed)


@task(
    name="carry out elsewhere",
    task_run_name="on {run.device.name}",
    cache_key_fn=stages.once_a_run,
    persist_result=True,
)
def carry_out_elsewhere(run: JobRun, batch: Batch, call: Call) -> tuple[Outcome, ...]:
    """A share of the job on another device, beside the others."""
    return carry_out(run, batch, call)
