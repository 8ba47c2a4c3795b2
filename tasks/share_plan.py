"""One submission of several jobs: each planned by its own options, then put side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.sharing.side_by_side import Joint, Share, apart, check_disjoint, side_by_side
from qcpaas.errors import QCPaaSError
from qcpaas.execution import Counts, Outcome, Plan
from qcpaas.schemas import CircuitItem, CircuitJob
from tasks.batch import Batch, read_batch
from tasks.execute import JournalledDevice
from tasks.plan import plan_batch, wanted_layers
from tasks.share_places import Place, place_beside
from tasks.shareable import check_shareable


@dataclass(frozen=True, eq=False)
class Guest:
    """A job that is a part of a shared submission.

    Attributes:
        loss: What its place beside the others cost, nats.
    """

    job_id: str
    plan: Plan
    loss: float


@dataclass(frozen=True, eq=False)
class SharedPlan(Plan):
    """A plan whose experiments serve several jobs; as it is in the ledger, nothing can change it.

    Attributes:
        shares: Of each experiment, whom it serves.
        released: Jobs that found no place, or cannot share; they run by themselves.
    """

    guests: tuple[Guest, ...] = ()
    shares: tuple[tuple[Share, ...], ...] = ()
    released: tuple[str, ...] = ()

    def apart(self, outcomes: Sequence[Outcome]) -> list[list[Counts]]:
        """What each guest's planned experiments counted."""
        joints = [
            Joint(one, shares) for one, shares in zip(self.experiments, self.shares, strict=True)
        ]
        return apart(joints, outcomes, [guest.plan.experiments for guest in self.guests])


def plan_together(jobs: Sequence[CircuitJob], backend: JournalledDevice) -> SharedPlan:
    """Place and plan jobs side by side.

    Args:
        jobs: Those whose turn came first, first. Each may share, and all agree in what
            `tasks.shareable.agreement` compares.
    """
    checked = {job.job_id: _checked(job, backend) for job in jobs}
    batches = [(job, batch) for job in jobs if (batch := checked[job.job_id]) is not None]
    places = place_beside([batch for _, batch in batches], backend.device, backend.settings)
    guests = [
        guest
        for (job, batch), place in zip(batches, places, strict=True)
        if place is not None and (guest := _planned(job, batch, place, backend)) is not None
    ]
    planned = [guest.plan.experiments for guest in guests]
    check_disjoint(planned)
    joints = side_by_side(planned)
    stay = {guest.job_id for guest in guests}
    return SharedPlan(
        tuple(joint.experiment for joint in joints),
        guests=tuple(guests),
        shares=tuple(joint.shares for joint in joints),
        released=tuple(job.job_id for job in jobs if job.job_id not in stay),
    )


def shared_items(jobs: Iterable[CircuitJob]) -> tuple[CircuitItem, ...]:
    """All jobs' circuits, each with the shots and options that it has in its own job."""
    return tuple(
        item.model_copy(
            update={
                "shots": job.execution.shots if item.shots is None else item.shots,
                "options": job.execution.options if item.options is None else item.options,
            }
        )
        for job in jobs
        for item in job.items
    )


def _checked(job: CircuitJob, backend: JournalledDevice) -> Batch | None:
    """``None`` for a job that cannot run like this; by itself it says why, to its owner alone."""
    try:
        check_shareable(job)
        batch = read_batch(job).checked(backend.device)
        batch.stacks(backend)
    except QCPaaSError as error:
        _raise_outage(error)
        return None
    return batch


def _planned(
    job: CircuitJob, batch: Batch, place: Place, backend: JournalledDevice
) -> Guest | None:
    try:
        if wanted_layers(batch, place.placed, backend):
            return None  # their noise would have to be measured with the device to itself
        with backend.planning(f"{job.execution.seed} {batch.request().key}"):
            plan = plan_batch(batch, place.placed, backend)
    except QCPaaSError as error:
        _raise_outage(error)
        return None
    if any(one.observables is not None for one in plan.experiments):
        return None  # the device itself is asked for values: it gives no counts to take apart
    return Guest(job.job_id, plan, place.loss)


def _raise_outage(error: QCPaaSError) -> None:
    """Outages are waited out by the caller; anything else is the job's own affair."""
    if error.retryable:
        raise error
