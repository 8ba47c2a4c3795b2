"""The world of the scheduler's simulation: devices that drift, users, and the jobs they send."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gateway.scheduling.situation import Window
from qcpaas.calibration import Quantity
from qcpaas.scheduling import Limits, Priority
from store.snapshot import Snapshot

Array = NDArray[np.float64]

EPOCH = datetime(2026, 3, 2, tzinfo=UTC)
HOUR_S = 3600.0
TWINS = (
    "FakeKolkata",
    "FakeMumbai",
    "FakeHanoi",
    "FakeCairo",
    "FakeAuckland",
    "FakeMontreal",
    "FakeToronto",
    "FakeSydney",
    "FakeAlgiers",
)
USERS = 200
ZIPF = 1.1
PRIORITIES = ((Priority.LOW, 0.2), (Priority.NORMAL, 0.65), (Priority.HIGH, 0.15))
SESSIONS = 0.12  # of the jobs
ITERATIONS = (40, 200)
CLASSICAL_S = 0.5  # of an iteration, between two executions
MEDIAN_QPU_S, SPREAD_QPU = 12.0, 1.0
ESTIMATE_ERROR = 0.25  # standard deviation of the log of actual over estimated seconds
HIGH = math.exp(1.96 * ESTIMATE_ERROR)
DRIFT = 0.18  # standard deviation of the log of an error rate, from one calibration to the next
CALIBRATED_EVERY_S = 12 * HOUR_S
WINDOWS_A_DAY = 2.0  # reserved, of each device
WINDOW_S = HOUR_S
LIMITS = Limits(running_jobs=10)


@dataclass(frozen=True)
class SimulatedJob:
    """A job as its user sends it.

    Attributes:
        qpu_s: Device seconds as estimated; ``actual`` is what they are multiplied by in truth.
        iterations: Of a session, each with a classical part; 1 otherwise.
    """

    job_id: str
    user: str
    at_s: float
    priority: Priority
    qubits: int
    two_qubit_gates: int
    qpu_s: float
    actual: float
    iterations: int = 1

    @property
    def hold_s(self) -> float:
        return self.qpu_s + (self.iterations - 1) * CLASSICAL_S

    @property
    def actual_hold_s(self) -> float:
        return self.qpu_s * self.actual + (self.iterations - 1) * CLASSICAL_S


@dataclass(frozen=True, eq=False)
class SimulatedDevice:
    """A twin: its medians, how fast it is, and what drift makes of its errors.

    Attributes:
        drift: Factor of the errors in each calibration period.
    """

    name: str
    qubits: int
    two_qubit_error: float
    readout_error: float
    speed: float
    drift: Array
    windows: tuple[Window, ...] = ()

    def log_esp(self, job: SimulatedJob, at_s: float) -> float:
        """Of a job's circuits, by the calibration of that moment."""
        period = min(int(at_s // CALIBRATED_EVERY_S), len(self.drift) - 1)
        factor = float(self.drift[period])
        gates = job.two_qubit_gates * math.log1p(-min(self.two_qubit_error * factor, 0.5))
        return gates + job.qubits * math.log1p(-min(self.readout_error * factor, 0.5))


@dataclass(frozen=True, eq=False)
class World:
    devices: tuple[SimulatedDevice, ...]
    jobs: tuple[SimulatedJob, ...]
    length_s: float

    def device(self, name: str) -> SimulatedDevice:
        return next(one for one in self.devices if one.name == name)


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def device_of(
    name: str, speed: float, drift: Array, windows: tuple[Window, ...] = ()
) -> SimulatedDevice:
    """A twin with its own medians."""
    from adapters.contract import Unsupported
    from adapters.registry import open_device

    snapshot = open_device(name).calibration()
    assert not isinstance(snapshot, Unsupported)
    readout = _values(snapshot, Quantity.READOUT_P01, Quantity.READOUT_P10)
    return SimulatedDevice(
        name=name,
        qubits=snapshot.num_qubits,
        two_qubit_error=float(np.nanmedian(snapshot.values[snapshot.layout.of_pairs])),
        readout_error=float(np.median(readout)),
        speed=speed,
        drift=drift,
        windows=windows,
    )


def twin_devices(length_s: float, rng: np.random.Generator) -> tuple[SimulatedDevice, ...]:
    """The nine twins, each drifting by itself."""
    periods = int(length_s // CALIBRATED_EVERY_S) + 2
    return tuple(
        device_of(
            name,
            speed=float(rng.uniform(0.8, 1.25)),
            drift=np.exp(rng.normal(0.0, DRIFT, periods)),
            windows=_windows(name, length_s, rng),
        )
        for name in TWINS
    )


def make_world(load: float, length_s: float, seed: int) -> World:
    """Jobs that would keep the devices busy for the share ``load`` of the time.

    Users send by a Zipf law: a few send most. Everything follows from the seed.
    """
    rng = np.random.default_rng([seed, round(load * 1000)])
    devices = twin_devices(length_s, rng)
    mean_hold_s = float(np.mean([_draw(rng, "", "", 0.0).hold_s for _ in range(4000)]))
    reserved = WINDOWS_A_DAY * WINDOW_S / (24 * HOUR_S)
    rate = load * len(devices) * (1.0 - reserved) / mean_hold_s
    shares = 1.0 / np.arange(1, USERS + 1) ** ZIPF
    shares /= shares.sum()
    jobs = []
    at_s = 0.0
    for number in itertools.count():
        at_s += float(rng.exponential(1.0 / rate))
        if at_s > length_s:
            break
        user = f"user{int(rng.choice(USERS, p=shares)):03d}"
        jobs.append(_draw(rng, f"job{number:06d}", user, at_s))
    return World(devices, tuple(jobs), length_s)


def busiest(jobs: Sequence[SimulatedJob], share: float = 0.5) -> set[str]:
    """The users that send the given share of the work."""
    work: dict[str, float] = {}
    for job in jobs:
        work[job.user] = work.get(job.user, 0.0) + job.qpu_s
    found: set[str] = set()
    total, taken = sum(work.values()), 0.0
    for user in heapq.nlargest(len(work), work, key=lambda name: work[name]):
        if taken >= share * total:
            break
        found.add(user)
        taken += work[user]
    return found


def _draw(rng: np.random.Generator, job_id: str, user: str, at_s: float) -> SimulatedJob:
    qubits = int(rng.integers(4, 21))
    session = rng.random() < SESSIONS
    iterations = int(rng.integers(*ITERATIONS)) if session else 1
    qpu_s = float(rng.lognormal(math.log(MEDIAN_QPU_S), SPREAD_QPU)) * (4.0 if session else 1.0)
    classes, weights = [one for one, _ in PRIORITIES], [share for _, share in PRIORITIES]
    return SimulatedJob(
        job_id=job_id,
        user=user,
        at_s=at_s,
        priority=classes[int(rng.choice(len(classes), p=weights))],
        qubits=qubits,
        two_qubit_gates=int(qubits * rng.integers(2, 13)),
        qpu_s=qpu_s,
        actual=float(rng.lognormal(0.0, ESTIMATE_ERROR)),
        iterations=iterations,
    )


def _values(snapshot: Snapshot, *quantities: Quantity) -> Array:
    rows = [row for row, key in enumerate(snapshot.layout.keys) if key[0] in quantities]
    return snapshot.values[rows]


def _windows(device: str, length_s: float, rng: np.random.Generator) -> tuple[Window, ...]:
    count = int(rng.poisson(WINDOWS_A_DAY * length_s / (24 * HOUR_S)))
    begins = np.sort(rng.uniform(0.0, length_s, count))
    windows: list[Window] = []
    for number, begin_s in enumerate(begins):
        begins_at = moment(float(begin_s))
        if windows and begins_at < windows[-1].ends_at:
            continue
        holder = f"user{int(rng.integers(USERS)):03d}"
        ends_at = begins_at + timedelta(seconds=WINDOW_S)
        windows.append(Window(f"{device}-{number}", holder, begins_at, ends_at))
    return tuple(windows)
