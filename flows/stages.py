"""The stages of a circuit job as Prefect tasks.

Each finished stage is kept under its flow run, so that a retried run goes on after the last one.
The template cache across runs lies in the store, where workloads share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from flows import artifacts
from flows.job_run import JobRun
from pipeline.stack import announcements
from qcpaas.errors import QCPaaSError
from qcpaas.execution import Outcome, Plan
from qcpaas.schemas import CircuitJob, Estimate
from tasks.batch import Batch, read_batch
from tasks.bind import Placed, bind_experiments, calibration_uses
from tasks.calls import Call
from tasks.division import Division, divide
from tasks.estimate import estimate_plan
from tasks.mitigate import mitigate_outcomes
from tasks.plan import learn_noise as learn
from tasks.plan import plan_batch, wanted_layers
from tasks.transpile import Portfolios, transpile_experiments

P = ParamSpec("P")
R = TypeVar("R")

RETRY_DELAYS_S = [1.0, 5.0, 20.0]
NAMES = ("estimate", "transpile", "bind", "learn noise", "plan", "execute", "mitigate")


def once_a_run(context: TaskRunContext, given: dict[str, Any]) -> str:
    """A stage happens once in a flow run on each device; its inputs follow from the job."""
    run: JobRun = given["run"]
    place = f"-{run.device.name}" if run.elsewhere else ""
    return f"{context.task_run.flow_run_id}-{context.task.name}{place}"


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


def read_circuits(run: JobRun) -> tuple[Batch, Division]:
    """The job's experiments, and which of them run where; all checked."""
    assert isinstance(run.job, CircuitJob)
    batch = read_batch(run.job)
    with run.backend.planning(batch.request().key):
        division = divide(batch, run.backend)
    announce(run, division.announcements)
    shares = {}
    for name, share in division.shares.items():
        there = run.on(name)
        own = share if there is run else share.elsewhere(there.device)
        shares[name] = own.checked(there.device)
        shares[name].stacks(there.backend)  # a wrong option is refused before anything is compiled
    return batch, replace(division, shares=shares)


def announce(run: JobRun, texts: Sequence[str]) -> None:
    """Say what options want said before anything is spent, in the log and on the job's page."""
    for text in texts:
        run.backend.patience.log.info("%s", text)
    if texts:
        run.patiently(lambda: artifacts.publish_announcements(run.job.job_id, texts))


@dataclass(frozen=True, eq=False)
class Executed:
    """What was submitted in the end, and what came back."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    call_index: int


@stage("estimate")
def estimate(run: JobRun, batch: Batch) -> Estimate:
    def estimated() -> Estimate:
        portfolios = transpile_experiments(batch.experiments, run.device, run.job.execution)
        with run.backend.planning(batch.request().key, estimating=True):
            plan = plan_batch(batch, bind_batch(run, batch, portfolios), run.backend)
        return estimate_plan(plan.experiments, run.device)

    with entered(run, "estimate"):
        return run.patiently(estimated)


@stage("transpile")
def transpile(run: JobRun, batch: Batch) -> Portfolios:
    with entered(run, "transpile"):
        settings = run.job.execution
        return run.patiently(lambda: transpile_experiments(batch.experiments, run.device, settings))


@stage("learn noise", retries=3)
def learn_noise(run: JobRun, batch: Batch, placed: tuple[Placed, ...], call: Call) -> int:
    """Noise that options draw on, measured where the store does not know it.

    Returns:
        How many gate layers were learnt.
    """
    with entered(run, "learn noise"):
        if call.begun:  # planned before
            return 0
        bound = [each.experiment for each in placed]
        return learn(wanted_layers(batch, placed, run.backend), bound, run.backend)


@stage("bind")
def bind(run: JobRun, batch: Batch, portfolios: Portfolios) -> tuple[Placed, ...]:
    with entered(run, "bind"):
        return run.patiently(lambda: bind_batch(run, batch, portfolios))


@stage("plan")
def plan(run: JobRun, batch: Batch, placed: tuple[Placed, ...], call: Call) -> Plan:
    """The circuits to submit; those that were submitted already, where the job goes on."""
    with entered(run, "plan"):
        recorded = run.backend.recorded_plan(call)
        return recorded or planned_for(run, batch, placed, call)


@stage("execute", retries=3)
def execute(
    run: JobRun, batch: Batch, placed: tuple[Placed, ...], planned: Plan, call: Call
) -> Executed:
    """Submit, after a last look at the calibration; once more where the job wants that."""
    watch = run.backend.watch
    with entered(run, "execute"):
        if call.outcomes is None and not call.begun and watch.before_submission(placed, call.index):
            placed, planned = bound_again(run, batch, placed, call)
        executed = performed(run, call.plan or planned, call)
        again = run.backend.made_again(call)
        if again is None and call.outcomes is None and watch.after_execution(placed, call.index):
            again = run.backend.calls.next(call.request.again())
        if again is not None:
            placed, planned = bound_again(run, batch, placed, again)
            executed = performed(run, run.backend.recorded_plan(again) or planned, again)
            run.backend.finish(again, executed.outcomes)
        run.backend.finish(call, executed.outcomes)
        run.patiently(run.backend.ledger.flush)  # before the stage is finished
        return executed


@stage("mitigate")
def mitigate(run: JobRun, batch: Batch, executed: Executed) -> tuple[Outcome, ...]:
    with entered(run, "mitigate"):
        innermost = run.backend.innermost(executed.call_index)
        outcomes = mitigate_outcomes(batch, executed.plan, executed.outcomes, innermost)
        if innermost is not run.backend:
            run.backend.learn(executed.plan.experiments, outcomes)
        return outcomes


def bind_batch(
    run: JobRun, batch: Batch, portfolios: Portfolios, before: Sequence[Placed] = ()
) -> tuple[Placed, ...]:
    policy = run.job.execution.binding
    return bind_experiments(batch.experiments, portfolios, run.device, policy, before)


def bound_again(
    run: JobRun, batch: Batch, placed: Sequence[Placed], call: Call
) -> tuple[tuple[Placed, ...], Plan]:
    """The same experiments bound with the newest calibration, and planned."""

    def bound() -> tuple[tuple[Placed, ...], Plan]:
        portfolios = transpile_experiments(batch.experiments, run.device, run.job.execution)
        newly = bind_batch(run, batch, portfolios, placed)
        return newly, planned_for(run, batch, newly, call)

    return run.patiently(bound)


def planned_for(run: JobRun, batch: Batch, placed: Sequence[Placed], call: Call) -> Plan:
    """A call's plan; its options draw by the call's content."""
    with run.backend.planning(f"{call.request.key} {call.occurrence}"):
        plan = plan_batch(batch, placed, run.backend.innermost(call.index))
    announce(run, announcements(plan))
    return plan


def performed(run: JobRun, planned: Plan, call: Call) -> Executed:
    """A call's outcomes: from the ledger, where an earlier process was answered."""
    run.journal.placed(calibration_uses(planned.experiments, run.device))
    if call.outcomes is not None:
        return Executed(planned, call.outcomes, call.index)
    run.backend.check(planned.experiments)
    keys = run.journal.keys(planned.experiments)
    outcomes = run.backend.perform(call, planned, planned.experiments, keys)
    return Executed(planned, outcomes, call.index)


@contextmanager
def entered(run: JobRun, name: str) -> Iterator[None]:
    """Show the stage as the job's progress, and time it."""
    if not run.elsewhere:
        run.progress.step(name, NAMES.index(name), len(NAMES))
    with run.journal.stage(name):
        yield
