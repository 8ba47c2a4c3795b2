"""Where a job runs that leaves it open, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gateway.scheduling.forecast import ForecastErrors, would_start
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.situation import LONGEST_HOLD_S, Situation, Suitable, Waiting
from qcpaas.errors import InputError
from qcpaas.scheduling import Candidate, Choice, JobEstimate


def choose(
    policy: SchedulingPolicy,
    situation: Situation,
    job: Waiting,
    estimates: Sequence[JobEstimate],
    *,
    fidelity_weight: float,
    errors: ForecastErrors | None = None,
) -> Choice:
    """The best device for a job, with all that were considered.

    Args:
        job: As it would wait; its device and times are each estimate's.
        estimates: One a device.

    Raises:
        InputError: It can run on none of them; says why for each.
    """
    ruled_out = [_ruled_out(each, situation) for each in estimates if _problem(each, situation)]
    possible = {each.device: each for each in estimates if not _problem(each, situation)}
    starts = {
        device: would_start(policy, situation, as_waiting(job, each), errors)
        for device, each in possible.items()
    }
    suitable = [
        Suitable(device, each.log_esp, each.qpu_s, each.wall_s)
        for device, each in possible.items()
        if starts[device] is not None
    ]
    ruled_out += [
        Candidate(device=device, estimate=possible[device], reason="no reserved window fits it")
        for device, start in starts.items()
        if start is None
    ]
    if not suitable:
        raise InputError(_nowhere(ruled_out))
    waits = [start.likely_s for start in starts.values() if start is not None]
    weighed = policy.weigh(situation, suitable, fidelity_weight, waits)
    candidates = [
        Candidate(
            device=one.device,
            estimate=possible[one.device],
            starts_in_s=one.starts_in_s,
            score=one.score,
        )
        for one in weighed
    ]
    return Choice(
        device=candidates[0].device,
        explanation=explanation(candidates, fidelity_weight),
        candidates=(*candidates, *ruled_out),
    )


def as_waiting(job: Waiting, estimate: JobEstimate) -> Waiting:
    """A job as it would wait for the device of an estimate."""
    spread = estimate.qpu_s_hi / estimate.qpu_s if estimate.qpu_s > 0 else 1.0
    return replace(
        job,
        device=estimate.device,
        qpu_s=estimate.qpu_s,
        qpu_s_hi=estimate.qpu_s_hi,
        hold_s=min(estimate.wall_s, LONGEST_HOLD_S),
        hold_s_hi=min(estimate.wall_s * max(1.0, spread), LONGEST_HOLD_S),
    )


def explanation(candidates: Sequence[Candidate], fidelity_weight: float) -> str:
    """Why the first, in one sentence."""
    first, *others = candidates
    said = f"{first.device}: {_figures(first)}"
    if not others:
        return f"{said}; the only device that can run it."
    second = others[0]
    return (
        f"{said}, before {second.device} ({_figures(second)}), with fidelity weighed "
        f"{fidelity_weight:.0%} against waiting."
    )


def _figures(one: Candidate) -> str:
    log_esp = one.estimate.log_esp
    fidelity = "not calibrated" if log_esp is None else f"expected success {math.exp(log_esp):.3g}"
    return f"{fidelity}, starts in {one.starts_in_s or 0.0:.0f} s"


def _problem(estimate: JobEstimate, situation: Situation) -> str:
    if estimate.problems:
        return "; ".join(estimate.problems)
    return "" if estimate.device in situation.devices else "the platform does not know it"


def _ruled_out(estimate: JobEstimate, situation: Situation) -> Candidate:
    return Candidate(
        device=estimate.device, estimate=estimate, reason=_problem(estimate, situation)
    )


def _nowhere(ruled_out: Sequence[Candidate]) -> str:
    if not ruled_out:
        return "no device was considered for the job. Name one (backend=), or register one."
    reasons = "; ".join(f"{one.device}: {one.reason}" for one in ruled_out)
    return f"the job can run on none of the devices that were considered: {reasons}."
