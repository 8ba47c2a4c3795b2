"""When waiting jobs will start, if all goes as estimated and what comes is like what came."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.scheduling.calendar import earliest_start
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.release import expected_end
from gateway.scheduling.situation import DeviceView, Ranked, Situation, Waiting
from qcpaas.scheduling import StartsIn

# How newcomers' work is added up: steps of the wait without them, each a little longer.
STEPS, WIDER = 50.0, 1.05
CROWDED = 0.95  # of the device's time, at most, goes to newcomers: some day they are overtaken too
LONGEST_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class ForecastErrors:
    """How waits came out, relative to what was said: quantiles of ``actual / likely``.

    Attributes:
        low, high: The 10 % and the 90 % quantile.
        offset_s: What a start takes when nothing is in the way.
    """

    low: float = 0.7
    high: float = 1.6
    offset_s: float = 2.0

    @classmethod
    def of(cls, ratios: Sequence[float], enough: int = 20) -> ForecastErrors:
        """From recorded forecasts; the usual ones where there are too few."""
        if len(ratios) < enough:
            return cls()
        ordered = sorted(ratios)
        low, high = (ordered[round(q * (len(ordered) - 1))] for q in (0.1, 0.9))
        return cls(low=min(low, 1.0), high=max(high, 1.0))


def forecasts(
    policy: SchedulingPolicy, situation: Situation, errors: ForecastErrors | None = None
) -> dict[str, StartsIn]:
    """Every waiting job of every device, by job id; a job that can never start is left out."""
    found: dict[str, StartsIn] = {}
    for device in situation.devices:
        found |= device_forecasts(policy, situation, device, errors)
    return found


def device_forecasts(
    policy: SchedulingPolicy,
    situation: Situation,
    device: str,
    errors: ForecastErrors | None = None,
) -> dict[str, StartsIn]:
    """The waiting jobs of one device."""
    view = situation.devices[device]
    ranked = policy.rank(situation, device)
    likely = _starts(situation, view, ranked, late=False)
    latest = _starts(situation, view, ranked, late=True)
    known = errors or ForecastErrors()
    newcomers = Newcomers.of(policy, situation, view)
    found = {}
    for position, one in enumerate(ranked, 1):
        start = likely.get(one.job.job_id)
        if start is not None:
            late = latest.get(one.job.job_id, start)
            waits = [(moment - situation.now).total_seconds() for moment in (start, late)]
            likely_s, latest_s = (newcomers.delayed_s(wait_s, one.score) for wait_s in waits)
            on_platform = _interval(position, situation.now, likely_s, latest_s, known)
            found[one.job.job_id] = on_platform.behind(_queue_s(view, one.job), view.vendor_queue)
    return found


def would_start(
    policy: SchedulingPolicy,
    situation: Situation,
    job: Waiting,
    errors: ForecastErrors | None = None,
) -> StartsIn | None:
    """When a job would start if it joined the backlog of its device now; ``None``: never."""
    joined = replace(situation, waiting=[*situation.waiting, job])
    return device_forecasts(policy, joined, job.device, errors).get(job.job_id)


def _interval(
    position: int, now: datetime, likely_s: float, latest_s: float, errors: ForecastErrors
) -> StartsIn:
    likely_s, latest_s = likely_s + errors.offset_s, latest_s + errors.offset_s
    return StartsIn(
        earliest_s=likely_s * errors.low,
        likely_s=likely_s,
        latest_s=max(likely_s * errors.high, latest_s),
        position=position,
        made_at=now,
    )


def _queue_s(view: DeviceView, job: Waiting) -> float:
    return view.hold_s(job) - job.hold_s


class Newcomers:
    """Jobs that are still to come and will go first, as a flow of work.

    A waiting job's score grows with its age. Work of newcomers with a higher one joins before it at
    the rate ``r(t)``, so that a job with work ``W`` before it starts when ``t = W + integral of
    r``.
    """

    def __init__(self, scores: Sequence[float], rates: Sequence[float], growth: float) -> None:
        self._scores, self._rates, self._growth = scores, rates, growth

    @classmethod
    def of(cls, policy: SchedulingPolicy, situation: Situation, view: DeviceView) -> Newcomers:
        """As if everything that came lately came again, each as new as it was then."""
        growth, traffic = policy.score_a_second(), view.traffic
        if growth is None or not traffic.jobs:
            return cls((), (0.0,), 0.0)
        ranked = policy.rank(replace(situation, waiting=traffic.jobs), view.name)
        ages = [(situation.now - one.job.submitted_at).total_seconds() for one in ranked]
        scores = (one.score - growth * age_s for one, age_s in zip(ranked, ages, strict=True))
        ordered = sorted(zip(scores, (one.job.hold_s for one in ranked), strict=True))
        work = [hold_s / traffic.span_s / view.slots for _, hold_s in ordered]
        above = list(itertools.accumulate(reversed(work), initial=0.0))[::-1]
        return cls([score for score, _ in ordered], above, growth)

    def delayed_s(self, wait_s: float, score: float) -> float:
        """When the work before a job is done, with what joins meanwhile."""
        if not self._scores or wait_s <= 0.0:
            return wait_s
        step_s = max(wait_s / STEPS, 1.0)
        elapsed_s, left_s = 0.0, wait_s
        while left_s > 0.0 and elapsed_s < LONGEST_S:
            place = bisect.bisect_right(self._scores, score + self._growth * elapsed_s)
            drained = 1.0 - min(self._rates[place], CROWDED)
            if left_s <= drained * step_s:
                return elapsed_s + left_s / drained
            left_s -= drained * step_s
            elapsed_s += step_s
            step_s *= WIDER
        return elapsed_s


def _starts(
    situation: Situation, view: DeviceView, ranked: Sequence[Ranked], *, late: bool
) -> dict[str, datetime]:
    """Starts in the order of the ranks; a short job fills a gap before a window."""
    now = situation.now if view.available else max(situation.now, view.back_at or situation.now)
    slots = _Slots.of(view, now, late=late)
    users = _UsersEnds.of(situation, late=late)
    starts: dict[str, datetime] = {}
    for one in ranked:
        job = one.job
        hold_s = view.hold_s(job, late=late)
        limit = situation.user(job.user).limits.running_jobs
        start = slots.place(job, users.ready(job.user, limit, now), hold_s)
        if start is not None:
            starts[job.job_id] = start
            users.add(job.user, start + timedelta(seconds=hold_s))
    return starts


@dataclass
class _Slots:
    """Free stretches of a device: from one moment on, or between two."""

    view: DeviceView
    free_from: list[datetime]
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)

    @classmethod
    def of(cls, view: DeviceView, now: datetime, *, late: bool) -> _Slots:
        began = [one for one in view.running if one.began_at is not None]
        ends = sorted(max(now, expected_end(view, one, now, late=late)) for one in began)
        slots = cls(view, (ends + [now] * (view.slots - len(ends)))[-view.slots :])
        slots.free_from.sort()
        for one in view.running:
            if one.began_at is None:
                slots.place(one.job, now, view.hold_s(one.job, late=late))
        return slots

    def place(self, job: Waiting, ready: datetime, hold_s: float) -> datetime | None:
        """Where a job goes; takes that stretch."""
        hold = timedelta(seconds=hold_s)
        for number, (begin, end) in enumerate(self.gaps):
            start = earliest_start(job, max(begin, ready), self.view.windows, hold_s)
            if start is not None and start + hold <= end:
                self._split(number, start, start + hold)
                return start
        free = self.free_from.pop(0)
        start = earliest_start(job, max(free, ready), self.view.windows, hold_s)
        if start is None:
            bisect.insort(self.free_from, free)
            return None
        if start > free:
            self.gaps.append((free, start))
        bisect.insort(self.free_from, start + hold)
        return start

    def _split(self, number: int, start: datetime, end: datetime) -> None:
        begin, close = self.gaps.pop(number)
        pieces = [(begin, start), (end, close)]
        self.gaps[number:number] = [piece for piece in pieces if piece[0] < piece[1]]


@dataclass
class _UsersEnds:
    """When the jobs of each user end, for those who may have only so many at once."""

    ends: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, situation: Situation, *, late: bool) -> _UsersEnds:
        known = cls()
        for view in situation.devices.values():
            for one in view.running:
                known.add(one.job.user, expected_end(view, one, situation.now, late=late))
        return known

    def ready(self, user: str, limit: int | None, now: datetime) -> datetime:
        """From when on the user may have one more."""
        ends = self.ends[user]
        if limit is None or len(ends) < limit or not limit:
            return now
        return max(now, ends[-limit])

    def add(self, user: str, end: datetime) -> None:
        bisect.insort(self.ends[user], end)
