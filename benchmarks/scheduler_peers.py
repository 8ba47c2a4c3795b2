"""Policies that ours is compared with, as their authors describe them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.situation import Ranked, Situation, Suitable, Weighed


class _Fifo(SchedulingPolicy):
    """First come, first served on each device."""

    def rank(self, situation: Situation, device: str) -> list[Ranked]:
        backlog = sorted(situation.backlog(device), key=lambda job: (job.submitted_at, job.job_id))
        return [Ranked(job, -float(place)) for place, job in enumerate(backlog)]


class BestDevice(_Fifo):
    """Everybody waits for the device with the highest expected fidelity."""

    def weigh(
        self,
        situation: Situation,
        suitable: Sequence[Suitable],
        fidelity_weight: float,
        starts_in_s: Sequence[float],
    ) -> list[Weighed]:
        return _by([one.log_esp or 0.0 for one in suitable], suitable, starts_in_s)


class LeastQueue(_Fifo):
    """Everybody goes where the wait is shortest."""

    def weigh(
        self,
        situation: Situation,
        suitable: Sequence[Suitable],
        fidelity_weight: float,
        starts_in_s: Sequence[float],
    ) -> list[Weighed]:
        return _by([-wait_s for wait_s in starts_in_s], suitable, starts_in_s)


class Adaptive(_Fifo):
    """Fidelity and queuing time, each relative to the largest, weighed against each other.

    Source: Ravi et al., Adaptive Job and Resource Management for the Growing Quantum Cloud, IEEE
    Quantum Week 2021, its utility without the part for stale calibration.
    """

    def weigh(
        self,
        situation: Situation,
        suitable: Sequence[Suitable],
        fidelity_weight: float,
        starts_in_s: Sequence[float],
    ) -> list[Weighed]:
        best = max(one.log_esp or 0.0 for one in suitable)
        longest = max(*starts_in_s, 1e-9)
        scores = [
            fidelity_weight * math.exp((one.log_esp or 0.0) - best)
            - (1.0 - fidelity_weight) * wait_s / longest
            for one, wait_s in zip(suitable, starts_in_s, strict=True)
        ]
        return _by(scores, suitable, starts_in_s)


class PairwiseTrade(_Fifo):
    """Pairs of devices compared by relative gains of fidelity and losses of waiting.

    Source: the multi-objective formula of QOS (Giortamis et al., 2024), its term of utilisation
    left out: a job has the whole device here.
    """

    def weigh(
        self,
        situation: Situation,
        suitable: Sequence[Suitable],
        fidelity_weight: float,
        starts_in_s: Sequence[float],
    ) -> list[Weighed]:
        fidelities = [math.exp(one.log_esp or 0.0) for one in suitable]
        times = [one.hold_s + wait_s for one, wait_s in zip(suitable, starts_in_s, strict=True)]
        best = 0
        for other in range(1, len(suitable)):
            gain = (fidelities[other] - fidelities[best]) / fidelities[best]
            loss = (times[other] - times[best]) / times[best]
            if fidelity_weight * gain - (1.0 - fidelity_weight) * loss > 0:
                best = other
        scores = [1.0 if place == best else 0.0 for place in range(len(suitable))]
        return _by(scores, suitable, starts_in_s)


def _by(
    scores: Sequence[float], suitable: Sequence[Suitable], starts_in_s: Sequence[float]
) -> list[Weighed]:
    weighed = [
        Weighed(one.device, score, wait_s)
        for one, score, wait_s in zip(suitable, scores, starts_in_s, strict=True)
    ]
    return sorted(weighed, key=lambda one: -one.score)
