"""Which waiting jobs may start now: the policy's order, kept within limits and windows."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.scheduling.calendar import may_start
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.situation import DeviceView, Ranked, Running, Situation


def next_jobs(
    policy: SchedulingPolicy, situation: Situation, device: str, free: int
) -> list[Ranked]:
    """At most ``free`` jobs to hand over now, the first one first.

    A job that its user's limits or a reserved window hold back lets those behind it pass.
    """
    view = situation.devices.get(device)
    if view is None or not view.available or free < 1:
        return []
    begins = _Begins(view, situation.now)
    limits = _LimitsLeft(situation)
    chosen: list[Ranked] = []
    for ranked in policy.rank(situation, device):
        job = ranked.job
        if not limits.allow(job.user, job.qpu_s):
            continue
        hold_s = view.hold_s(job, late=True)
        if not may_start(job, begins.next, view.windows, hold_s):
            continue
        limits.take(job.user, job.qpu_s)
        begins.take(hold_s)
        chosen.append(ranked)
        if len(chosen) == free:
            break
    return chosen


def expected_end(
    view: DeviceView, running: Running, now: datetime, *, late: bool = False
) -> datetime:
    """When a released job gives its device back, by its own account or by its estimate.

    Args:
        late: At the upper end of the estimate.
    """
    hold_s = view.hold_s(running.job, late=late)
    by_estimate = (running.began_at or now) + timedelta(seconds=hold_s)
    told = running.finishes_at
    if told is not None:
        return max(told, by_estimate if late else told, now)
    return max(by_estimate, now)


class _Begins:
    """When the next job would begin, if all that run take as long as they may."""

    def __init__(self, view: DeviceView, now: datetime) -> None:
        began = [one for one in view.running if one.began_at is not None]
        queued = [one for one in view.running if one.began_at is None]
        ends = [expected_end(view, one, now, late=True) for one in began]
        self._free = heapq.nsmallest(view.slots, ends) if len(ends) > view.slots else ends
        self._free += [now] * (view.slots - len(self._free))
        heapq.heapify(self._free)
        for one in queued:
            self.take(view.hold_s(one.job, late=True))

    @property
    def next(self) -> datetime:
        return self._free[0]

    def take(self, hold_s: float) -> None:
        heapq.heapreplace(self._free, self._free[0] + timedelta(seconds=hold_s))


@dataclass
class _LimitsLeft:
    """What users' limits still allow, counting what was chosen just now."""

    situation: Situation
    _jobs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _qpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def allow(self, name: str, qpu_s: float) -> bool:
        user = self.situation.user(name)
        jobs, a_day = user.limits.running_jobs, user.limits.qpu_s_a_day
        if jobs is not None and user.running + self._jobs[name] >= jobs:
            return False
        return a_day is None or user.qpu_s_today + self._qpu_s[name] + qpu_s <= a_day

    def take(self, name: str, qpu_s: float) -> None:
        self._jobs[name] += 1
        self._qpu_s[name] += qpu_s
