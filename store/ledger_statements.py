"""What the ledger writes, as statements compiled once for a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update

from store.database import Store
from store.leases import LEASE
from store.ledger_rows import (
    CALL,
    CHECKPOINT,
    JOURNAL,
    PLAN,
    SUBMISSION,
    CallState,
    Intent,
    SubmissionState,
)
from store.writer import Prepared

_BY_TOKEN = update(SUBMISSION).where(SUBMISSION.c.token == bindparam("of_token"))
_ACCEPTED = _BY_TOKEN.values(
    device_job_id=bindparam("new_id"),
    # One that has been cancelled meanwhile stays so; its id is needed for cancelling it there.
    state=case(
        (SUBMISSION.c.state == SubmissionState.INTENT.value, SubmissionState.ACCEPTED.value),
        else_=SUBMISSION.c.state,
    ),
)
_ANSWERED = _BY_TOKEN.where(SUBMISSION.c.state != SubmissionState.DONE.value).values(
    state=SubmissionState.DONE.value,
    answer=bindparam("new_answer"),
    seconds=bindparam("new_seconds"),
    qpu_s=bindparam("new_qpu_s"),
    snapshot_id=bindparam("new_snapshot_id"),
)
_FAILED = _BY_TOKEN.where(SUBMISSION.c.state != SubmissionState.DONE.value).values(
    state=bindparam("new_state"), note=bindparam("new_note")
)
_THE_CALL = (CALL.c.job_id == bindparam("of_job")) & (CALL.c.index == bindparam("of_call"))
_FINISHED = (
    update(CALL)
    .where(_THE_CALL, CALL.c.state == CallState.OPEN.value)
    .values(
        state=CallState.DONE.value,
        outcomes=bindparam("new_outcomes"),
        finished_at=bindparam("moment"),
    )
)
_WRITTEN_CALL = select(CALL.c.key).where(_THE_CALL)
_WRITTEN_INTENT = select(SUBMISSION.c.token).where(
    SUBMISSION.c.job_id == bindparam("of_job"),
    SUBMISSION.c.call == bindparam("of_call"),
    SUBMISSION.c.part == bindparam("of_part"),
    SUBMISSION.c.attempt == bindparam("of_attempt"),
)
_LEAST_INDEX = select(func.min(CALL.c.index)).where(CALL.c.job_id == bindparam("of_job"))
_MOVE_CALL = (
    update(CALL)
    .where(_THE_CALL)
    .values(index=bindparam("new_index"), state=CallState.SET_ASIDE.value)
)
_MOVE_SUBMISSIONS = (
    update(SUBMISSION)
    .where(SUBMISSION.c.job_id == bindparam("of_job"), SUBMISSION.c.call == bindparam("of_call"))
    .values(call=bindparam("new_index"))
)


class LedgerStatements:
    """What the ledger writes, compiled once for a database."""

    def __init__(self, store: Store) -> None:
        dialect = store.engine.dialect
        new_call = store.insert(CALL).on_conflict_do_nothing()
        calls = [name for name in CALL.c.keys() if name not in {"finished_at", "outcomes"}]  # noqa: SIM118
        intent = store.insert(SUBMISSION).on_conflict_do_nothing()
        intents = [*Intent.__dataclass_fields__, "job_id", "state"]
        self.call = Prepared(new_call, dialect, calls)
        self.intent = Prepared(intent, dialect, intents)
        self.accepted = Prepared(_ACCEPTED, dialect)
        self.answered = Prepared(_ANSWERED, dialect)
        self.finished = Prepared(_FINISHED, dialect)
        self.failed = Prepared(_FAILED, dialect)
        self._guards: dict[int, Prepared] = {}
        self._dialect = dialect
        self.written_call = Prepared(_WRITTEN_CALL, dialect)
        self.written_intent = Prepared(_WRITTEN_INTENT, dialect)
        self.least_index = Prepared(_LEAST_INDEX, dialect)
        self.move_call = Prepared(_MOVE_CALL, dialect)
        self.move_submissions = Prepared(_MOVE_SUBMISSIONS, dialect)
        plan = store.insert(PLAN).on_conflict_do_nothing()
        self.plan = Prepared(plan, dialect, PLAN.c.keys())
        self.checkpoint = Prepared(_put(store, CHECKPOINT), dialect, CHECKPOINT.c.keys())
        self.journal = Prepared(_put(store, JOURNAL), dialect, JOURNAL.c.keys())

    def guard(self, leases: int) -> Prepared:
        """Finds those of so many leases that are held under their fences, in one statement."""
        if leases not in self._guards:
            self._guards[leases] = Prepared(_guard(leases), self._dialect)
        return self._guards[leases]


def _put(store: Store, one_a_job: Any) -> Any:
    insert = store.insert(one_a_job)
    values = {name: insert.excluded[name] for name in one_a_job.c.keys() if name != "job_id"}  # noqa: SIM118
    return insert.on_conflict_do_update(index_elements=["job_id"], set_=values)


def _guard(leases: int) -> Any:
    held = [
        and_(LEASE.c.name == bindparam(f"name_{n}"), LEASE.c.fence == bindparam(f"fence_{n}"))
        for n in range(leases)
    ]
    return (
        select(LEASE.c.name)
        .where(or_(*held), LEASE.c.expires_at.is_not(None))
        .order_by(LEASE.c.name)  # so that no two wait for each other in a circle
        # On PostgreSQL nobody can take a lease while this transaction lasts.
        .with_for_update(read=True)
    )
