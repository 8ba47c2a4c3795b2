"""What a job has finished so far, read from the store, whether its process lives or not."""

from __future__ import annotations

import json
import zlib

import numpy as np
from pydantic import JsonValue

from qcpaas.execution import Counts, Outcome
from qcpaas.partial import CallOutcome, FinishedCall, OpenSubmission, PartialResult
from store.curves import Curves
from store.database import Store
from store.jobs import Jobs
from store.ledger import AnsweredCall, LedgerReader
from store.records import decode_asked, decode_outcomes

NEWEST_CALLS = 200


def partial_result(store: Store, job_id: str, calls: int = NEWEST_CALLS) -> PartialResult:
    """A job's finished calls, open submissions, reported figures and newest checkpoint.

    Args:
        calls: How many of the newest calls to read; their number is known either way.

    Raises:
        UnknownJob: There is no such job.
    """
    record = Jobs(store).get(job_id)
    ledger = LedgerReader(store)
    return PartialResult(
        job_id=job_id,
        state=record.state,
        progress=record.progress,
        finished=ledger.finished_count(job_id),
        calls=tuple(map(_finished_call, ledger.newest_calls(job_id, calls))),
        open_submissions=tuple(
            OpenSubmission(
                token=submission.token,
                device=submission.device,
                device_job_id=submission.device_job_id,
                submitted_at=submission.submitted_at,
            )
            for submission in ledger.open_submissions(job_id)
        ),
        metrics=Curves(store).of(job_id),
        checkpoint=_checkpoint(ledger, job_id),
    )


def _finished_call(call: AnsweredCall) -> FinishedCall:
    asked = decode_asked(call.asked)
    return FinishedCall(
        index=call.index,
        circuits=asked.names,
        parameter_values=tuple(tuple(map(tuple, values.tolist())) for values in asked.values),
        outcomes=tuple(map(_outcome, decode_outcomes(call.outcomes))),
        finished_at=call.finished_at,
    )


def _outcome(outcome: Outcome) -> CallOutcome:
    if isinstance(outcome, Counts):
        return CallOutcome(counts=tuple(point.to_dict() for point in outcome.points))
    errors = np.sqrt(np.maximum(outcome.variances, 0.0))
    return CallOutcome(
        values=tuple(map(tuple, outcome.values.tolist())),
        standard_errors=tuple(map(tuple, errors.tolist())),
    )


def _checkpoint(ledger: LedgerReader, job_id: str) -> JsonValue:
    """The workload's own state, without what a replay needs beside it."""
    found = ledger.latest_checkpoint(job_id)
    if found is None:
        return None
    state: JsonValue = json.loads(zlib.decompress(found[1]))["state"]
    return state
