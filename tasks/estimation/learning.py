"""What jobs that have ended teach about a device's times, and about estimates of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import log
from typing import Any

from sqlalchemy import Row, func, select

from calibration.template import Template
from calibration.workload import measurement_s, workload_of
from qcpaas.circuits import from_payload
from qcpaas.errors import NotReady, QCPaaSError
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import CircuitPayload, JobState, WorkloadJob
from store.admission_rows import ADMISSION
from store.calibrations import Calibrations
from store.database import Store
from store.jobs import JOB, Jobs
from store.ledger_rows import SUBMISSION, SubmissionState
from store.payloads import unpack
from store.records import Request, decode_request
from store.results import CIRCUIT, Results
from store.timings import DeviceTimings, Judged, Observed, PastRun, Timings
from tasks.estimation.workload_key import inputs_bytes, workload_key

JOBS_AT_ONCE = 20
OF_ONE_JOB = 50  # submissions; a long loop's are much alike
CIRCUITS_OF_ONE_JOB = 12
KEPT_SUBMISSIONS = 400
KEPT_OVERHEADS = 50
KEPT_WORKLOADS = 100
KEPT_RUNS = 12
OVERLAP = timedelta(seconds=60)  # a job may be seen to have ended after one that ended later
LEVEL = 0.95
STEP = 0.2
WIDEST, NARROWEST = log(20.0), log(0.5)

_DONE = SUBMISSION.c.state == SubmissionState.DONE.value
_ENDED = [JobState.COMPLETED.value]

logger = logging.getLogger(__name__)


def learn_timings(store: Store, device: str, most: int = JOBS_AT_ONCE) -> int:
    """Take in the jobs that have completed on a device since the last time.

    Args:
        most: Jobs, the oldest first; the next time goes on from there.

    Returns:
        How many jobs were taken in; 0 too where another process did it at the same time.
    """
    timings = Timings(store)
    known, before = timings.read(device)
    jobs = _ended(store, device, known, most)
    if not jobs:
        return 0
    for row in jobs:
        known = _with_job(store, known, row)
    until = max([row.finished_at for row in jobs] + ([known.until] if known.until else []))
    recent = (*known.counted, *(row.job_id for row in jobs))
    kept = known.model_copy(update={"until": until, "counted": recent[-200:]})
    return len(jobs) if timings.keep(device, kept, before) else 0


def judged(before: Judged, estimate: JobEstimate, qpu_s: float) -> Judged:
    """How estimates have turned out, with one more.

    An interval that missed makes the next ones wider, one that held makes them a little narrower,
    so that in the long run 95 % hold, whatever errors are like: adaptive conformal inference,
    Gibbs & Candes, NeurIPS 2021.
    """
    held = estimate.qpu_s_lo <= qpu_s <= estimate.qpu_s_hi
    step = STEP * ((0.0 if held else 1.0) - (1.0 - LEVEL))
    return Judged(
        jobs=before.jobs + 1,
        covered=before.covered + held,
        log_ratio=before.log_ratio + log(qpu_s / estimate.qpu_s),
        log_widening=min(WIDEST, max(NARROWEST, before.log_widening + step)),
    )


def _ended(store: Store, device: str, known: DeviceTimings, most: int) -> Sequence[Row[Any]]:
    query = (
        select(JOB.c.job_id, JOB.c.kind, JOB.c.started_at, JOB.c.finished_at, JOB.c.interruptions)
        .where(
            JOB.c.backend == device,
            JOB.c.state.in_(_ENDED),
            JOB.c.started_at.is_not(None),
            JOB.c.finished_at.is_not(None),
            JOB.c.pruned_at.is_(None),
        )
        .order_by(JOB.c.finished_at)
    )
    if known.until is not None:
        query = query.where(
            JOB.c.finished_at >= known.until - OVERLAP, JOB.c.job_id.not_in(known.counted)
        )
    with store.read() as connection:
        return connection.execute(query.limit(most)).all()


@dataclass(frozen=True)
class _Spent:
    """All that a job's submissions took."""

    submissions: int
    qpu_s: float
    seconds: float


def _with_job(store: Store, known: DeviceTimings, row: Row[Any]) -> DeviceTimings:
    """What is known with one more job; one whose records cannot be read teaches nothing."""
    try:
        observed = _observed(store, row.job_id)
        spent = _spent(store, row.job_id)
    except (QCPaaSError, ValueError, LookupError) as error:
        logger.warning("job %s teaches nothing about times: %s", row.job_id, error)
        return known
    if not observed:
        return known
    changes: dict[str, Any] = {"observed": (*known.observed, *observed)[-KEPT_SUBMISSIONS:]}
    took_s = (row.finished_at - row.started_at).total_seconds()
    if not row.interruptions:
        if row.kind == "workload":
            changes["workloads"] = _with_run(store, known, row, observed, spent)
        else:
            overhead_s = max(0.0, took_s - spent.seconds)
            changes["overheads_s"] = (*known.overheads_s, overhead_s)[-KEPT_OVERHEADS:]
    estimate = _estimate(store, row.job_id)
    if estimate is not None and estimate.qpu_s > 0.0 and spent.qpu_s > 0.0:
        before = known.judged.get(row.kind, Judged())
        changes["judged"] = {**known.judged, row.kind: judged(before, estimate, spent.qpu_s)}
    return known.model_copy(update=changes)


def _with_run(
    store: Store,
    known: DeviceTimings,
    row: Row[Any],
    observed: Sequence[Observed],
    spent: _Spent,
) -> dict[str, tuple[PastRun, ...]]:
    """The runs of each workload with one more; its key is then the newest."""
    job = Jobs(store).spec(row.job_id)
    took_s = (row.finished_at - row.started_at).total_seconds()
    if not isinstance(job, WorkloadJob):
        return known.workloads
    share = spent.submissions / len(observed)
    queued_s = max(0.0, spent.seconds - spent.qpu_s) if spent.qpu_s else 0.0
    run = PastRun(
        inputs_bytes=inputs_bytes(job),
        circuits=round(share * sum(each.circuits for each in observed)),
        shots=round(share * sum(each.shots for each in observed)),
        qpu_s=spent.qpu_s,
        wall_s=max(took_s - queued_s, 0.001),
    )
    key = workload_key(job)
    runs = dict(known.workloads)
    earlier = runs.pop(key, ())
    runs[key] = (*earlier, run)[-KEPT_RUNS:]
    return dict(list(runs.items())[-KEPT_WORKLOADS:])


def _spent(store: Store, job_id: str) -> _Spent:
    query = select(
        func.count(), func.sum(SUBMISSION.c.qpu_s), func.sum(SUBMISSION.c.seconds)
    ).where(SUBMISSION.c.job_id == job_id, _DONE)
    with store.read() as connection:
        count, qpu_s, seconds = connection.execute(query).one()
    return _Spent(count, qpu_s or 0.0, seconds or 0.0)


def _estimate(store: Store, job_id: str) -> JobEstimate | None:
    with store.read() as connection:
        text = connection.scalar(select(ADMISSION.c.estimate).where(ADMISSION.c.job_id == job_id))
    return None if text is None else JobEstimate.model_validate_json(text)


def _observed(store: Store, job_id: str) -> tuple[Observed, ...]:
    """The newest submissions of a job, with what their circuits take by the schedule.

    Raises:
        PlatformError: Records are damaged.
    """
    query = (
        select(SUBMISSION.c.request, SUBMISSION.c.qpu_s, SUBMISSION.c.seconds)
        .where(SUBMISSION.c.job_id == job_id, _DONE, SUBMISSION.c.seconds.is_not(None))
        .order_by(SUBMISSION.c.call.desc(), SUBMISSION.c.part.desc())
        .limit(OF_ONE_JOB)
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    requests = [decode_request(row.request) for row in rows]
    durations = _durations_s(store, job_id, requests)
    return tuple(_one(request, row, durations) for request, row in zip(requests, rows, strict=True))


def _one(request: Request, row: Row[Any], durations: Mapping[str, float]) -> Observed:
    points = [len(values) for values in request.values]
    shots = [n * (each or 0) for n, each in zip(points, request.shots, strict=True)]
    # Circuits beyond the few that were scheduled take what those take on average.
    usual = sum(durations.values()) / len(durations) if durations else 0.0
    times = [durations.get(key, usual) for key in request.keys]
    return Observed(
        circuits=sum(points),
        shots=sum(shots),
        circuit_s=sum(n * duration_s for n, duration_s in zip(shots, times, strict=True)),
        qpu_s=row.qpu_s or 0.0,
        seconds=row.seconds,
    )


def _durations_s(store: Store, job_id: str, requests: Sequence[Request]) -> dict[str, float]:
    """Scheduled durations of the first few circuits, at the place where the job lay first."""
    try:
        placed = Results(store).load(job_id, executions=False).manifest.calibrations
    except NotReady:
        return {}
    if not placed:
        return {}
    keys = list(dict.fromkeys(key for request in requests for key in request.keys))
    query = select(CIRCUIT.c.key, CIRCUIT.c.payload).where(
        CIRCUIT.c.job_id == job_id, CIRCUIT.c.key.in_(keys[:CIRCUITS_OF_ONE_JOB])
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    found = {}
    for key, payload in rows:
        circuit = from_payload(unpack(CircuitPayload, payload))
        fitting = [use for use in placed if len(use.physical_qubits) == circuit.num_qubits]
        if not fitting:
            continue
        use = fitting[0]
        snapshot = Calibrations(store).get(use.snapshot_id)
        template = Template.in_place(circuit, use.physical_qubits)
        found[key] = workload_of(template, snapshot).duration_s or measurement_s(
            snapshot, use.physical_qubits
        )
    return found


def learn_quietly(store: Store, device: str, most: int = JOBS_AT_ONCE) -> None:
    """`learn_timings`, for whoever has something better to do where that fails."""
    try:
        learn_timings(store, device, most)
    except QCPaaSError as error:
        logger.warning("nothing was learnt about the times of %s: %s", device, error)
