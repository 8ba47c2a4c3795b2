"""A discrete-event simulation of the platform: the real policy code, on the world's own clock."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from benchmarks.scheduler_world import (
    CLASSICAL_S,
    HIGH,
    LIMITS,
    SimulatedDevice,
    SimulatedJob,
    World,
    moment,
)
from gateway.scheduling.calendar import foreign_window
from gateway.scheduling.forecast import ForecastErrors, would_start
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.release import next_jobs
from gateway.scheduling.situation import (
    DeviceView,
    Running,
    Situation,
    Suitable,
    Traffic,
    UserView,
    Waiting,
    Window,
)
from qcpaas.scheduling import Limits

MEMORY, ENOUGH = 60, 10  # arrivals at a device from which the next ones are foretold
REMEMBERED = 400  # forecasts that the next ones learn from
LOOK_AGAIN_S = 60.0  # while jobs are held back by a window or a limit


@dataclass
class Outcome:
    """What became of one job.

    Attributes:
        foretold_s: How long it was told that it would wait.
        fidelity: Relative to the best device at its submission.
        broken_window, broken_limit: Whether it ran in another's window, or beyond a limit.
    """

    job: SimulatedJob
    device: str
    foretold_s: float
    fidelity: float
    started_s: float = math.nan
    ended_s: float = math.nan
    busy_s: float = 0.0
    broken_window: bool = False
    broken_limit: bool = False

    @property
    def waited_s(self) -> float:
        return self.started_s - self.job.at_s

    @property
    def well_foretold(self) -> bool:
        return abs(self.waited_s - self.foretold_s) <= max(60.0, 0.25 * self.waited_s)


@dataclass
class _Device:
    """A simulated device as it stands; ``ends_s`` is when it is free again."""

    world: SimulatedDevice
    waiting: dict[str, Waiting] = field(default_factory=dict)
    running: Running | None = None
    look_s: float = math.inf
    arrivals: deque[tuple[float, Waiting]] = field(default_factory=lambda: deque(maxlen=MEMORY))


class Simulation:
    """Runs a world under a policy.

    Args:
        fidelity_weight: That all users ask for.
        sessions: Whether a loop holds its device; otherwise each iteration waits anew.
        limits: Of every user.
    """

    def __init__(
        self,
        world: World,
        policy: SchedulingPolicy,
        *,
        fidelity_weight: float = 0.5,
        sessions: bool = True,
        limits: Limits | None = LIMITS,
    ) -> None:
        self._world, self._policy = world, policy
        self._weight, self._sessions = fidelity_weight, sessions
        self._limits = limits or Limits()
        self._devices = {one.name: _Device(one) for one in world.devices}
        self._usage: dict[str, tuple[float, float]] = {}
        self._typical_then: tuple[float, float] | None = None
        self._active: dict[str, int] = defaultdict(int)
        self._ratios: list[float] = []
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._left: dict[str, int] = {}
        self.outcomes: dict[str, Outcome] = {}

    def run(self) -> list[Outcome]:
        """Every job to its end; those that were submitted first come first."""
        for job in self._world.jobs:
            self._at(job.at_s, partial(self._submit, job))
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return list(self.outcomes.values())

    def _at(self, seconds: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (seconds, next(self._order), happen))

    def _submit(self, job: SimulatedJob, now: float) -> None:
        errors = ForecastErrors.of(self._ratios[-REMEMBERED:])
        able = [one for one in self._devices.values() if one.world.qubits >= job.qubits]
        suitable, waits = [], []
        for device in able:
            there = self._waiting(job, device.world)
            situation = self._situation(device, now, job.user)
            start = would_start(self._policy, situation, there, errors)
            assert start is not None
            log_esp = device.world.log_esp(job, now)
            suitable.append(Suitable(device.world.name, log_esp, there.qpu_s, there.hold_s))
            waits.append(start.likely_s - errors.offset_s)
        chosen = self._policy.weigh(Situation(moment(now)), suitable, self._weight, waits)[0].device
        place = next(n for n, one in enumerate(suitable) if one.device == chosen)
        best = max(one.log_esp or 0.0 for one in suitable)
        fidelity = math.exp((suitable[place].log_esp or 0.0) - best)
        self.outcomes[job.job_id] = Outcome(job, chosen, waits[place], fidelity)
        self._left[job.job_id] = job.iterations
        self._join(job, now)

    def _join(self, job: SimulatedJob, now: float) -> None:
        device = self._devices[self.outcomes[job.job_id].device]
        waiting = self._waiting(job, device.world)
        if self._left[job.job_id] < job.iterations:  # one more iteration of a loop
            waiting = replace(waiting, submitted_at=moment(now))
        device.waiting[job.job_id] = waiting
        device.arrivals.append((now, waiting))
        self._look(device, now)

    def _waiting(self, job: SimulatedJob, device: SimulatedDevice) -> Waiting:
        qpu_s, hold_s = job.qpu_s / device.speed, job.hold_s
        hold_s += qpu_s - job.qpu_s
        if not self._sessions:
            qpu_s = hold_s = qpu_s / job.iterations
        return Waiting(
            job_id=job.job_id,
            user=job.user,
            device=device.name,
            priority=job.priority,
            submitted_at=moment(job.at_s),
            qpu_s=qpu_s,
            qpu_s_hi=qpu_s * HIGH,
            hold_s=hold_s,
            hold_s_hi=hold_s * HIGH,
            session=job.iterations > 1,
        )

    def _look(self, device: _Device, now: float) -> None:
        """Release the next job where the device is free; look again later if none may go."""
        if device.running is not None or not device.waiting:
            return
        situation = self._situation(device, now)
        ranked = next_jobs(self._policy, situation, device.world.name, 1)
        if ranked:
            self._start(device, ranked[0].job, now)
        elif device.look_s <= now or device.look_s == math.inf:
            device.look_s = now + LOOK_AGAIN_S
            self._at(device.look_s, lambda then: self._look_again(device, then))

    def _look_again(self, device: _Device, now: float) -> None:
        device.look_s = math.inf
        self._look(device, now)

    def _start(self, device: _Device, job: Waiting, now: float) -> None:
        del device.waiting[job.job_id]
        outcome = self.outcomes[job.job_id]
        if math.isnan(outcome.started_s):
            outcome.started_s = now
            self._ratios.append(max(outcome.waited_s, 1.0) / max(outcome.foretold_s, 1.0))
        device.running = Running(job, moment(now), began_at=moment(now))
        self._active[job.user] += 1
        limit = self._limits.running_jobs
        outcome.broken_limit |= limit is not None and self._active[job.user] > limit
        actual = outcome.job.actual
        busy_s = job.qpu_s * actual
        hold_s = busy_s + (job.hold_s - job.qpu_s)
        end = now + hold_s
        outcome.broken_window |= self._breaks_window(device, job, now, end)
        self._at(end, lambda then: self._end(device, job, busy_s, then))

    def _breaks_window(self, device: _Device, job: Waiting, now: float, end: float) -> bool:
        for window in device.world.windows:
            inside = window.begins_at < moment(end) and window.ends_at > moment(now)
            if inside and window.holder != job.user:
                return True
        return foreign_window(job.user, device.world.windows, moment(now)) is not None

    def _end(self, device: _Device, job: Waiting, busy_s: float, now: float) -> None:
        device.running = None
        self._active[job.user] -= 1
        self._usage[job.user] = (self._faded(job.user, now) + busy_s, now)
        self._typical_then = None
        outcome = self.outcomes[job.job_id]
        outcome.busy_s += busy_s
        left = 0 if self._sessions else self._left[job.job_id] - 1
        self._left[job.job_id] = left
        if left:
            self._at(now + CLASSICAL_S, lambda then: self._join(outcome.job, then))
        else:
            outcome.ended_s = now
        self._look(device, now)

    def _faded(self, user: str, now: float) -> float:
        used, at = self._usage.get(user, (0.0, now))
        return float(used * 0.5 ** ((now - at) / self._policy.usage_half_life_s()))

    def _situation(self, device: _Device, now: float, newcomer: str = "") -> Situation:
        """What the policy sees of one device: the others do not matter for its order."""
        running = (device.running,) if device.running is not None else ()
        names = {job.user for job in device.waiting.values()} | {one.job.user for one in running}
        names |= {newcomer, *(job.user for _, job in device.arrivals)}
        view = DeviceView(
            device.world.name,
            running=running,
            windows=_coming(device.world, moment(now)),
            traffic=_traffic(device, now),
        )
        users = {
            name: UserView(
                name,
                usage_qpu_s=self._faded(name, now),
                running=self._active[name],
                limits=self._limits,
            )
            for name in names
        }
        waiting, typical = list(device.waiting.values()), self._typical(now)
        return Situation(moment(now), waiting, {device.world.name: view}, users, typical)

    def _typical(self, now: float) -> float:
        """What users have used in the mean, worked out once for all devices."""
        if self._typical_then is None or self._typical_then[0] != now:
            used = [self._faded(name, now) for name in self._usage]
            self._typical_then = now, sum(used) / len(used) if used else 0.0
        return self._typical_then[1]


def _traffic(device: _Device, now: float) -> Traffic:
    if len(device.arrivals) < ENOUGH:
        return Traffic()
    span_s = now - device.arrivals[0][0]
    return Traffic(tuple(job for _, job in device.arrivals), span_s)


def _coming(device: SimulatedDevice, now: datetime) -> tuple[Window, ...]:
    horizon = now + timedelta(days=1)
    return tuple(w for w in device.windows if w.ends_at > now and w.begins_at < horizon)
