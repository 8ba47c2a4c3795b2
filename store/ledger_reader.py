"""Ledgers as others see them: how far a job is, what it was answered, what is still out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, func, select

from qcpaas.execution import Counts, ExpectationValues
from qcpaas.manifest import CalibrationUse, ExecutionRecord
from store.database import Store
from store.ledger_rows import (
    CALL,
    CHECKPOINT,
    PLAN,
    SUBMISSION,
    AnsweredCall,
    CallState,
    RecordedSubmission,
    SubmissionState,
    recorded,
    submissions_of,
)
from store.records import decode_outcomes, decode_request

Placement = tuple[str, tuple[int, ...]]


class LedgerReader:
    """Any job's ledger, for reading; never waits for the process that writes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def finished_count(self, job_id: str) -> int:
        """How many calls are done; 0 for an unknown job."""
        with self._store.read() as connection:
            return count(connection, job_id, CallState.DONE)

    def newest_calls(self, job_id: str, limit: int = 200) -> list[AnsweredCall]:
        """The newest calls that are done, in order of index."""
        query = (
            select(CALL.c.index, CALL.c.asked, CALL.c.outcomes, CALL.c.finished_at)
            .where(CALL.c.job_id == job_id, CALL.c.index >= 0, CALL.c.outcomes.is_not(None))
            .order_by(CALL.c.index.desc())
            .limit(limit)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [AnsweredCall(*row) for row in reversed(rows)]

    def open_submissions(self, job_id: str) -> list[RecordedSubmission]:
        """Those that the device may still be working on."""
        query = submissions_of(job_id, open_only=True)
        with self._store.read() as connection:
            return [recorded(row) for row in connection.execute(query)]

    def latest_checkpoint(self, job_id: str) -> tuple[int, bytes] | None:
        """The position and the state that a workload kept last."""
        query = select(CHECKPOINT.c.position, CHECKPOINT.c.payload).where(
            CHECKPOINT.c.job_id == job_id
        )
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.position, bytes(row.payload))

    def executions(
        self, job_id: str, calibrations: Sequence[CalibrationUse] = ()
    ) -> tuple[ExecutionRecord, ...]:
        """Every answered submission, in order of call, part and attempt, but of calls set aside.

        Args:
            calibrations: The manifest's, which the records name by place.
        """
        with self._store.read() as connection:
            return executions_of(connection, job_id, calibrations)


def count(connection: Connection, job_id: str, state: CallState | None = None) -> int:
    """Of calls, but those set aside."""
    query = select(func.count()).where(CALL.c.job_id == job_id, CALL.c.index >= 0)
    if state is not None:
        query = query.where(CALL.c.state == state.value)
    return connection.scalar(query) or 0


def execution_count(connection: Connection, job_id: str) -> int:
    query = select(func.count()).where(
        SUBMISSION.c.job_id == job_id,
        SUBMISSION.c.call >= 0,
        SUBMISSION.c.state == SubmissionState.DONE.value,
    )
    return connection.scalar(query) or 0


def executions_of(
    connection: Connection, job_id: str, calibrations: Sequence[CalibrationUse]
) -> tuple[ExecutionRecord, ...]:
    query = (
        select(SUBMISSION, CALL.c.plan_key)
        .join(CALL, (CALL.c.job_id == SUBMISSION.c.job_id) & (CALL.c.index == SUBMISSION.c.call))
        .where(
            SUBMISSION.c.job_id == job_id,
            SUBMISSION.c.call >= 0,
            SUBMISSION.c.state == SubmissionState.DONE.value,
        )
        .order_by(SUBMISSION.c.call, SUBMISSION.c.part, SUBMISSION.c.attempt)
    )
    places = {
        (use.snapshot_id, use.physical_qubits): place for place, use in enumerate(calibrations)
    }
    plans = {
        key: [places.get(placement) for placement in _placements(text)]
        for key, text in connection.execute(
            select(PLAN.c.key, PLAN.c.placements).where(PLAN.c.job_id == job_id)
        )
    }
    return tuple(_execution(row, plans) for row in connection.execute(query))


def _placements(text: str) -> list[Placement]:
    return [(use["snapshot_id"], tuple(use["physical_qubits"])) for use in json.loads(text)]


def _estimated(outcome: ExpectationValues) -> tuple[tuple[tuple[float, float], ...], ...]:
    pairs = np.stack([outcome.values, np.sqrt(outcome.variances)], axis=-1)
    return tuple(tuple((value, error) for value, error in point) for point in pairs.tolist())


def _execution(row: Row[Any], plans: dict[str, list[int | None]]) -> ExecutionRecord:
    request = decode_request(row.request)
    calibration = request.calibration
    if row.plan_key and calibration is not None:
        places = plans.get(row.plan_key, [])
        calibration = places[calibration] if calibration < len(places) else None
    outcomes = decode_outcomes(row.answer)
    # Unvalidated: every value is the platform's own, and a manifest may hold thousands.
    return ExecutionRecord.model_construct(
        index=row.call,
        part=row.part,
        attempt=row.attempt,
        token=row.token,
        session_id=row.session_id,
        snapshot_id=row.snapshot_id,
        circuits=request.keys,
        parameter_values=tuple(tuple(map(tuple, values.tolist())) for values in request.values),
        shots=request.shots,
        counts=tuple(
            tuple(point.to_dict() for point in outcome.points)
            for outcome in outcomes
            if isinstance(outcome, Counts)
        ),
        observables=request.observables,
        estimates=tuple(
            _estimated(outcome) for outcome in outcomes if isinstance(outcome, ExpectationValues)
        ),
        calibration=calibration,
        device_job_id=row.device_job_id or "",
        seed=row.seed,
        submitted_at=row.submitted_at,
        seconds=row.seconds,
        qpu_s=row.qpu_s,
    )
