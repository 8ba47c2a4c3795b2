"""The rows of the ledger as values: calls, intents, submissions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, select

from store.tables import OPEN, Call, Checkpoint, SavedJournal, SentPlan, Submission, table

CALL = table(Call)
SUBMISSION = table(Submission)
PLAN = table(SentPlan)
CHECKPOINT = table(Checkpoint)
JOURNAL = table(SavedJournal)


class CallState(StrEnum):
    """``set_aside``: the code no longer asks for it."""

    OPEN = "open"
    DONE = "done"
    SET_ASIDE = "set_aside"


class SubmissionState(StrEnum):
    """``intent``: about to be sent, or sent; nobody knows whether the device has it."""

    INTENT = "intent"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def open(self) -> bool:
        return self in {SubmissionState.INTENT, SubmissionState.ACCEPTED}


@dataclass(frozen=True, eq=False)
class NewCall:
    """A call as it begins.

    Attributes:
        key: Of its content.
        plan_key: Of the plan that its circuits became (`Ledger.keep_plan`).
        asked: What `store.records.encode_asked` wrote.
    """

    index: int
    key: str
    plan_key: str
    asked: bytes


@dataclass(frozen=True, eq=False)
class Intent:
    """A submission before it is sent.

    Attributes:
        token: Its name for ever; no other submission of any job has it.
        content_key: Of what is sent.
        request: What `store.records.encode_request` wrote.
    """

    call: int
    part: int
    attempt: int
    token: str
    device: str
    session_id: str | None
    content_key: str
    seed: int
    request: bytes
    submitted_at: datetime


@dataclass(frozen=True)
class RecordedCall:
    """A call that the ledger knows."""

    index: int
    key: str
    plan_key: str
    done: bool


@dataclass(frozen=True, eq=False)
class RecordedSubmission(Intent):
    """A submission that the ledger knows.

    Attributes:
        answer: What `store.records.encode_outcomes` wrote.
        seconds: From sending to the answer.
        note: Why it failed or was cancelled.
    """

    state: SubmissionState
    device_job_id: str | None
    answer: bytes | None
    seconds: float | None
    qpu_s: float | None
    snapshot_id: str | None
    note: str | None


@dataclass(frozen=True, eq=False)
class AnsweredCall:
    """A call that is done; `store.records` decodes ``asked`` and ``outcomes``."""

    index: int
    asked: bytes
    outcomes: bytes
    finished_at: datetime


def submissions_of(job_id: str, call: int | None = None, open_only: bool = False) -> Select[Any]:
    """In order of call, part and attempt."""
    query = (
        select(*(column for column in SUBMISSION.c if column.name != "job_id"))
        .where(SUBMISSION.c.job_id == job_id)
        .order_by(SUBMISSION.c.call, SUBMISSION.c.part, SUBMISSION.c.attempt)
    )
    if call is not None:
        query = query.where(SUBMISSION.c.call == call)
    return query.where(OPEN) if open_only else query


def recorded(row: Row[Any]) -> RecordedSubmission:
    fields = row._asdict()
    return RecordedSubmission(**fields | {"state": SubmissionState(row.state)})
