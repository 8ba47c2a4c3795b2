"""Estimates of jobs: every estimator asked in turn, on every device."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from qcpaas.circuits import circuit_key
from qcpaas.devices import DeviceInfo
from qcpaas.errors import PlatformUnavailable, QCPaaSError, StoreFull
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import CircuitJob, WorkloadJob
from store.database import Store
from store.devices import Devices
from store.timings import DeviceTimings, Timings
from tasks.batch import read_batch
from tasks.device import Device
from tasks.estimation.case import Asked, Case
from tasks.estimation.circuits import refused
from tasks.estimation.estimator import Estimator, find_estimators, found
from tasks.estimation.layouts import Layouts
from tasks.estimation.learning import learn_quietly
from tasks.estimation.view import view_device

BUDGET_S = 10.0  # for laying out circuits that were not laid out before, on all devices
IDEAL = "simulators"  # the adapter whose answers are exact
LOOK_EVERY_S = 30.0
FEW = 3
KEPT_JOBS = 32
KEPT_DEVICES = 128
KEPT_BYTES = 4 * 2**20  # a job with more circuits than that is read again each time

log = logging.getLogger(__name__)


def estimate_job(
    job: CircuitJob | WorkloadJob,
    devices: Sequence[str],
    store: Store,
    *,
    fault_tolerant: bool = False,
) -> list[JobEstimate]:
    """`Estimation.estimate`, for whoever asks once."""
    return Estimation(store).estimate(job, devices, fault_tolerant=fault_tolerant)


@dataclass(eq=False)
class Known:
    """A device and what was reckoned on it."""

    device: Device
    layouts: Layouts
    info: DeviceInfo | None
    timings: DeviceTimings = field(default_factory=DeviceTimings)
    timings_of: datetime | None = None
    looked_at: float = -inf


class Estimation:
    """Estimates jobs, and remembers circuits, devices and layouts for the next; threads may share.

    Nothing of a job is run: a workload's source is not even read, and no vendor is asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._timings = Timings(store)
        self._estimators = find_estimators()
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._lock = threading.Lock()

    def estimate(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[str],
        *,
        fault_tolerant: bool = False,
    ) -> list[JobEstimate]:
        """What a job takes on each device, in the order of the devices.

        What is wrong with the job, or with it on one device, is told in ``problems``.
        """
        try:
            asked = self._read(job) if isinstance(job, CircuitJob) else None
        except QCPaaSError as error:
            return [JobEstimate(device=name, problems=(str(error),)) for name in devices]
        until = time.monotonic() + BUDGET_S
        return [self._on(job, asked, name, fault_tolerant, until) for name in devices]

    def compare(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[DeviceInfo],
        *,
        fault_tolerant: bool = False,
    ) -> list[JobEstimate]:
        """What a job takes on each device that can run it, ideal simulators left out.

        Where none can, why not, of each.
        """
        names = [one.name for one in self._wide_enough(job, devices) if one.adapter != IDEAL]
        estimates = self.estimate(job, names, fault_tolerant=fault_tolerant)
        return [one for one in estimates if not one.problems] or estimates

    def _wide_enough(
        self, job: CircuitJob | WorkloadJob, devices: Sequence[DeviceInfo]
    ) -> Sequence[DeviceInfo]:
        try:
            asked = self._read(job) if isinstance(job, CircuitJob) else None
        except QCPaaSError:
            return devices
        widest = 0 if asked is None else asked.width
        return [one for one in devices if not one.num_qubits or one.num_qubits >= widest]

    def _on(
        self,
        job: CircuitJob | WorkloadJob,
        asked: Asked | None,
        name: str,
        fault_tolerant: bool,
        until: float,
    ) -> JobEstimate:
        estimate = JobEstimate(device=name)
        try:
            known = self._view(name)
            case = Case(
                job,
                asked,
                known.device,
                known.layouts,
                known.timings,
                info=known.info,
                fault_tolerant=fault_tolerant,
                until=until,
            )
            problem = refused(case) if asked is not None else ""
            if problem:
                return estimate.model_copy(update={"problems": (problem,)})
            for estimator in self._estimators:
                estimate = _asked(estimator, case, estimate)
        except (PlatformUnavailable, StoreFull):
            raise
        except QCPaaSError as error:
            return estimate.model_copy(update={"problems": (str(error),)})
        return estimate

    def _read(self, job: CircuitJob) -> Asked:
        text = job.model_dump_json(include={"items", "execution"})
        key = hashlib.sha256(text.encode()).hexdigest()
        with self._lock:
            if key in self._asked:
                self._asked.move_to_end(key)
                return self._asked[key]
        batch = read_batch(job)
        asked = Asked(batch, tuple(circuit_key(each.circuit) for each in batch.experiments))
        if len(text) <= KEPT_BYTES:
            with self._lock:
                self._asked[key] = asked
                while len(self._asked) > KEPT_JOBS:
                    self._asked.popitem(last=False)
        return asked

    def _view(self, name: str) -> Known:
        """A device with what is known of it by now.

        Raises:
            UnknownDevice: There is no such device.
        """
        with self._lock:
            known = self._known.get(name)
        if known is None:
            device = view_device(name, self._store)
            known = Known(device, Layouts(device), Devices(self._store).get(name))
            with self._lock:
                self._known[name] = known
                while len(self._known) > KEPT_DEVICES:
                    self._known.popitem(last=False)
        now = time.monotonic()
        if now - known.looked_at > LOOK_EVERY_S:
            known.looked_at = now
            learn_quietly(self._store, name, most=FEW)  # usually the jobs themselves have done it
        changed_at = self._timings.changed_at(name)
        if changed_at != known.timings_of:
            known.timings, known.timings_of = self._timings.read(name)
        return known


def _asked(estimator: Estimator, case: Case, estimate: JobEstimate) -> JobEstimate:
    """One estimator's answer; an installed one that fails is left out, and said to have failed."""
    if type(estimator).__module__.startswith(f"{__package__}."):
        return estimator.estimate(case, estimate)
    try:
        return estimator.estimate(case, estimate)
    except Exception as error:  # whatever a plug-in raises, the job can be estimated without it
        log.exception("the estimator %s failed", type(estimator).__name__)
        name = type(estimator).__name__
        return found(estimate, f"{name}: failed ({type(error).__name__}: {error})")
