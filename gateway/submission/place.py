"""Where a job runs: on the device that it names, in its reserved window, or where it fits best."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.admission.situation import situation
from gateway.person import Person
from gateway.platform import Platform
from gateway.scheduling.choice import choose
from gateway.scheduling.choose_policy import open_policy
from gateway.scheduling.situation import Waiting
from qcpaas.checks import considered
from qcpaas.errors import InputError
from qcpaas.scheduling import Candidate, Choice, JobEstimate
from qcpaas.schemas import CircuitJob, Environment, WorkloadJob
from store.reservations import Reservations

Job = CircuitJob | WorkloadJob


def with_window(platform: Platform, person: Person, job: Job) -> Job:
    """A job on the device of the reserved window that it is to run in, if any.

    Raises:
        InputError: The window is not theirs, is over, or is another device's.
    """
    wished = job.scheduling.reservation
    if wished is None:
        return job
    named = job.execution.backend
    window = Reservations(platform.store).for_job(wished, person.name, named)
    return placed(job, window.device)


def placed(job: Job, device: str) -> Job:
    """A job on a device."""
    execution = job.execution.model_copy(update={"backend": device})
    return job.model_copy(update={"execution": execution})


def choose_device(
    platform: Platform, person: Person, job: Job, environment: Environment
) -> tuple[Choice, JobEstimate]:
    """The device for a job, why, and what the job takes there.

    Raises:
        InputError: It can run on none of those that come into question; says why for each.
    """
    devices = considered(job, environment)
    names = [device.name for device in devices]
    if job.execution.backend:
        estimates = platform.estimation.estimate(job, names)
        choice = _as_named(job, estimates[0])
    else:
        wanted = job.scheduling.devices  # of those, why each is left out is worth telling
        estimates = (
            platform.estimation.estimate(job, names)
            if wanted
            else platform.estimation.compare(job, devices)
        )
        choice = _best(platform, person, job, estimates)
    return choice, next(one for one in estimates if one.device == choice.device)


def _as_named(job: Job, estimate: JobEstimate) -> Choice:
    if estimate.problems:
        raise InputError(
            f"the job cannot run on {estimate.device}: {'; '.join(estimate.problems)}."
        )
    why = "its reserved window is there" if job.scheduling.reservation else "the job names it"
    return Choice(
        device=estimate.device,
        explanation=f"{estimate.device}: {why}.",
        candidates=(Candidate(device=estimate.device, estimate=estimate),),
    )


def _best(platform: Platform, person: Person, job: Job, estimates: list[JobEstimate]) -> Choice:
    policy = open_policy(platform.settings.policy)
    now = datetime.now(UTC)
    seen = situation(
        platform.store,
        now,
        platform.settings.limits,
        policy.usage_half_life_s(),
        devices=[one.device for one in estimates],
    )
    wishes = job.scheduling
    waiting = Waiting(
        job_id=job.job_id,
        user=person.name,
        device="",
        priority=wishes.priority,
        submitted_at=now,
        qpu_s=0.0,
        qpu_s_hi=0.0,
        hold_s=0.0,
        hold_s_hi=0.0,
        deadline=wishes.deadline,
        session=isinstance(job, WorkloadJob),
        shared=wishes.share_device,
    )
    return choose(policy, seen, waiting, estimates, fidelity_weight=wishes.fidelity_weight)
