"""The stages of a circuit job as Prefect tasks.

Each finished stage is kept under its flow run, so that a retried run goes on after the last one.
The template cache across runs lies in the store, where workloads share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from flows.job_run import JobRun
from qcpaas.errors import QCPaaSError
from qcpaas.execution import Counts, Experiment, Outcome, Plan
from qcpaas.schemas import CircuitJob, Estimate
from tasks.batch import Batch, read_batch
from tasks.bind import bind_experiments
from tasks.calls import Call
from tasks.estimate import estimate_plan
from tasks.execute import only_counts
from tasks.mitigate import mitigate_outcomes
from tasks.plan import plan_batch
from tasks.transpile import Portfolios, transpile_experiments

P = ParamSpec("P")
R = TypeVar("R")

RETRY_DELAYS_S = [1.0, 5.0, 20.0]
NAMES = ("estimate", "transpile", "bind", "plan", "execute", "mitigate")


def once_a_run(context: TaskRunContext, _: dict[str, Any]) -> str:
    """A stage happens once in a flow run; its inputs follow from the job."""
    return f"{context.task_run.flow_run_id}-{context.task.name}"


async def is_retryable(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Retry what can succeed later, and nothing else."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, QCPaaSError) and error.retryable


def stage(name: str, retries: int = 0) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a stage's function a task."""
    return task(
        name=name,
        cache_key_fn=once_a_run,
        persist_result=True,
        retries=retries,
        retry_delay_seconds=RETRY_DELAYS_S[:retries],
        retry_condition_fn=is_retryable,
    )


def read_circuits(run: JobRun) -> Batch:
    """The job's experiments, checked."""
    assert isinstance(run.job, CircuitJob)
    batch = read_batch(run.job, run.device)
    batch.stacks(run.backend)  # a wrong option is refused before anything is compiled
    return batch


@stage("estimate")
def estimate(run: JobRun, batch: Batch) -> Estimate:
    def estimated() -> Estimate:
        portfolios = transpile_experiments(batch.experiments, run.device, run.job.execution)
        bound = bind_experiments(batch.experiments, portfolios, run.device)
        return estimate_plan(plan_batch(batch, bound, run.backend).experiments, run.device)

    with entered(run, "estimate"):
        return run.patiently(estimated)


@stage("transpile")
def transpile(run: JobRun, batch: Batch) -> Portfolios:
    with entered(run, "transpile"):
        settings = run.job.execution
        return run.patiently(lambda: transpile_experiments(batch.experiments, run.device, settings))


@stage("bind")
def bind(run: JobRun, batch: Batch, portfolios: Portfolios) -> tuple[Experiment, ...]:
    with entered(run, "bind"):
        return run.patiently(lambda: bind_experiments(batch.experiments, portfolios, run.device))


@stage("plan")
def plan(run: JobRun, batch: Batch, bound: tuple[Experiment, ...], call: Call) -> Plan:
    """The circuits to submit; those that were submitted already, where the job goes on."""
    with entered(run, "plan"):
        return run.backend.recorded_plan(call) or plan_batch(batch, bound, run.backend)


@stage("execute", retries=3)
def execute(run: JobRun, planned: Plan, call: Call) -> tuple[Counts, ...]:
    with entered(run, "execute"):
        if call.outcomes is not None:
            return only_counts(call.outcomes)
        run.backend.check(planned.experiments)
        keys = run.journal.keys(planned.experiments)
        counts = run.backend.perform(call, planned, planned.experiments, keys)
        run.backend.finish(call, counts)
        run.patiently(run.backend.ledger.flush)  # before the stage is finished
        return counts


@stage("mitigate")
def mitigate(
    run: JobRun, batch: Batch, planned: Plan, counts: tuple[Counts, ...]
) -> tuple[Outcome, ...]:
    with entered(run, "mitigate"):
        return mitigate_outcomes(batch, planned, counts, run.backend)


@contextmanager
def entered(run: JobRun, name: str) -> Iterator[None]:
    """Show the stage as the job's progress, and time it."""
    run.progress.step(name, NAMES.index(name), len(NAMES))
    with run.journal.stage(name):
        yield
