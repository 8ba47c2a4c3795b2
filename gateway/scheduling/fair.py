"""The policy that comes with the platform: a score in minutes of waiting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.situation import Ranked, Situation, Suitable, UserView, Waiting, Weighed
from qcpaas.scheduling import Priority

MINUTE_S = 60.0


@dataclass(frozen=True)
class FairWeights:
    """What each part is worth, in minutes that a job would otherwise have to wait.

    All but the age are bounded, so that nobody starves: with these weights no job is overtaken by
    one that was submitted more than six and a half hours later.

    Attributes:
        priority: Between one class and the next.
        deadline: Of a job that must start now to end in time.
        deadline_scale_s: How long before that moment its weight has fallen to a third.
        share: Of each factor of two between what a user has used and what is typical.
        share_bound: Factors of two that count at most.
        usage_floor_s: Device seconds that make nobody a heavy user.
        size: Of each factor of two in the time that a job keeps its device.
        size_from_s: Below this time it makes no difference.
        size_bound: Factors of two that count at most.
        wait_scale_s: A short job's wait of this length weighs as much as all fidelity there is.
        hold_scale_s: A job that keeps its device so long makes others wait as well, and its wait
            weighs twice; twice as long, three times.
    """

    priority: float = 60.0
    deadline: float = 120.0
    deadline_scale_s: float = 900.0
    share: float = 15.0
    share_bound: float = 4.0
    usage_floor_s: float = 30.0
    size: float = 2.0
    size_from_s: float = 30.0
    size_bound: float = 8.0
    wait_scale_s: float = 900.0
    hold_scale_s: float = 20.0
    usage_half_life_s: float = 2 * 24 * 3600.0


_CLASS = {Priority.LOW: -1.0, Priority.NORMAL: 0.0, Priority.HIGH: 1.0}


class FairPolicy(SchedulingPolicy):
    """Age, priority, deadline, fair share and size, added up.

    ``score = age + priority + deadline + share + size``, each in minutes:

    - ``age``: since submission;
    - ``priority``: plus or minus an hour;
    - ``deadline``: ``120 exp(-slack / 15 min)``, slack being the time left after the job's own;
    - ``share``: ``-15 log2(used / typical)``, device seconds per weight, faded with time;
    - ``size``: ``-2 log2(hold / 30 s)``: short ones first, as far as nobody waits long for it.
    """

    def __init__(self, weights: FairWeights | None = None) -> None:
        self.weights = weights or FairWeights()

    def rank(self, situation: Situation, device: str) -> list[Ranked]:
        backlog = situation.backlog(device)
        typical_qpu_s = situation.typical_usage_qpu_s
        shares = {
            name: self._share(situation.user(name), typical_qpu_s)
            for name in {job.user for job in backlog}
        }
        ranked = [self._ranked(job, situation.now, shares[job.user]) for job in backlog]
        return sorted(ranked, key=_first)

    def weigh(
        self,
        situation: Situation,
        suitable: Sequence[Suitable],
        fidelity_weight: float,
        starts_in_s: Sequence[float],
    ) -> list[Weighed]:
        """By ``w fidelity - (1 - w) (wait / 15 min) (1 + hold / 20 s)``.

        Fidelity is relative to the best device's. Where many want a device, those that keep it
        briefly get it: how long a queue is now tells how many a long job would keep waiting.
        """
        known = [one.log_esp for one in suitable if one.log_esp is not None]
        best = max(known, default=0.0)
        worst = min(known, default=0.0)  # what is not calibrated promises no more than the worst
        weighed = []
        for one, wait_s in zip(suitable, starts_in_s, strict=True):
            log_esp = worst if one.log_esp is None else one.log_esp
            gain = fidelity_weight * math.exp(log_esp - best)
            others = 1.0 + one.hold_s / self.weights.hold_scale_s
            loss = (1.0 - fidelity_weight) * others * wait_s / self.weights.wait_scale_s
            weighed.append(Weighed(one.device, gain - loss, wait_s))
        return sorted(weighed, key=lambda one: (-one.score, one.starts_in_s, one.device))

    def score_a_second(self) -> float:
        return 1.0 / MINUTE_S

    def usage_half_life_s(self) -> float:
        return self.weights.usage_half_life_s

    def _ranked(self, job: Waiting, now: datetime, share: float) -> Ranked:
        weights = self.weights
        parts = {
            "age": (now - job.submitted_at).total_seconds() / MINUTE_S,
            "priority": weights.priority * _CLASS[job.priority],
            "share": share,
            "size": -weights.size * self._doublings(job.hold_s),
        }
        if job.deadline is not None:
            parts["deadline"] = self._urgency(job, job.deadline, now)
        return Ranked(job, sum(parts.values()), parts)

    def _urgency(self, job: Waiting, deadline: datetime, now: datetime) -> float:
        latest_start = deadline - timedelta(seconds=job.hold_s)
        slack_s = max(0.0, (latest_start - now).total_seconds())
        return self.weights.deadline * math.exp(-slack_s / self.weights.deadline_scale_s)

    def _doublings(self, hold_s: float) -> float:
        ratio = max(hold_s, self.weights.size_from_s) / self.weights.size_from_s
        return min(math.log2(ratio), self.weights.size_bound)

    def _share(self, user: UserView, typical_qpu_s: float) -> float:
        """Minutes that a user gains or loses by what they have used."""
        weights = self.weights
        used = user.usage_qpu_s / user.weight
        ratio = (used + weights.usage_floor_s) / (typical_qpu_s + weights.usage_floor_s)
        doublings = min(max(math.log2(ratio), -weights.share_bound), weights.share_bound)
        return -weights.share * doublings


def _first(one: Ranked) -> tuple[float, datetime, str]:
    return (-one.score, one.job.submitted_at, one.job.job_id)
