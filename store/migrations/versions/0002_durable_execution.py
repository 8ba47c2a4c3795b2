"""The ledger of calls and submissions, leases, and what an interrupted job needs."""

from __future__ import annotations

import json
import zlib
from typing import Any

import sqlalchemy as sa
from alembic import op

from qcpaas.execution import Counts, Distribution
from store.records import encode_outcomes, encode_request

revision = "0002"
down_revision = "0001"

INSTANT = sa.DateTime(timezone=True)
OPEN = sa.text("state IN ('intent', 'accepted')")


def upgrade() -> None:
    add_job_columns()
    create_ledger_tables()
    create_tables_of_one_row_a_job()
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    convert_executions(op.get_bind())
    op.drop_table("execution")


def add_job_columns() -> None:
    for name in ("interruptions", "calls_when_interrupted"):
        op.add_column("job", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("pruned_at", INSTANT, nullable=True))


def create_ledger_tables() -> None:
    op.create_table(
        "call",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("plan_key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("outcomes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "index", name="pk_call"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_call_job_id_job"),
    )
    op.create_table(
        "submission",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("call", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("device_job_id", sa.String(), nullable=True),
        sa.Column("session_id", sa.String(), nullable=True),
        sa.Column("content_key", sa.String(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("submitted_at", INSTANT, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("qpu_s", sa.Float(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "call", "part", "attempt", name="pk_submission"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_submission_job_id_job"),
        sa.UniqueConstraint("token", name="uq_submission_token"),
    )
    op.create_index(
        "ix_submission_open", "submission", ["job_id"], sqlite_where=OPEN, postgresql_where=OPEN
    )


def create_tables_of_one_row_a_job() -> None:
    op.create_table(
        "plan",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("placements", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_plan"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_plan_job_id_job"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_checkpoint"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_checkpoint_job_id_job"),
    )
    op.create_table(
        "journal",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_journal"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_journal_job_id_job"),
    )


JOB = sa.table("job", sa.column("job_id"), sa.column("backend"))
RESULT = sa.table("result", sa.column("job_id"))
EXECUTION = sa.table(
    "execution",
    *(sa.column(name) for name in ("job_id", "index", "device_job_id", "qpu_s", "payload")),
    sa.column("submitted_at", INSTANT),
)
CALL = sa.table(
    "call",
    *(sa.column(name) for name in ("job_id", "index", "key", "plan_key", "state", "asked")),
    sa.column("created_at", INSTANT),
    sa.column("finished_at", INSTANT),
)
SUBMISSION = sa.table(
    "submission",
    *(sa.column(name) for name in ("job_id", "call", "part", "attempt", "token", "device")),
    *(sa.column(name) for name in ("state", "device_job_id", "content_key", "seed", "seconds")),
    *(sa.column(name) for name in ("qpu_s", "request", "answer")),
    sa.column("submitted_at", INSTANT),
)


def convert_executions(connection: sa.Connection) -> None:
    """Each execution becomes a call and its one submission.

    They have no keys to replay by. So those of a job without a result, which may be run again,
    are set aside.
    """
    with_result = set(connection.scalars(sa.select(RESULT.c.job_id)))
    backends = sa.select(JOB.c.job_id, JOB.c.backend).where(
        JOB.c.job_id.in_(sa.select(EXECUTION.c.job_id))
    )
    for job in connection.execute(backends).all():
        executions = sa.select(EXECUTION).where(EXECUTION.c.job_id == job.job_id)
        for row in connection.execute(executions).all():
            convert(connection, row, job.backend, job.job_id in with_result)


def convert(connection: sa.Connection, row: Any, backend: str, done: bool) -> None:
    record = json.loads(zlib.decompress(row.payload))
    index = row.index if done else -1 - row.index
    values = [points or [[]] for points in record["parameter_values"]]
    connection.execute(
        CALL.insert(),
        {
            "job_id": row.job_id,
            "index": index,
            "key": "",
            "plan_key": "",
            "state": "done" if done else "set_aside",
            "asked": b"",
            "created_at": row.submitted_at,
            "finished_at": row.submitted_at,
        },
    )
    connection.execute(
        SUBMISSION.insert(),
        {
            "job_id": row.job_id,
            "call": index,
            "part": 0,
            "attempt": 0,
            "token": f"{row.job_id}/{row.index}",
            "device": backend,
            "state": "done",
            "device_job_id": row.device_job_id,
            "content_key": "",
            "seed": record["seed"],
            "submitted_at": row.submitted_at,
            "seconds": record["seconds"],
            "qpu_s": row.qpu_s,
            "request": encode_request(
                record["circuits"], values, record["shots"], record["calibration"]
            ),
            "answer": encode_outcomes(
                [
                    counts(points, shots)
                    for points, shots in zip(record["counts"], record["shots"], strict=True)
                ]
            ),
        },
    )


def counts(points: list[dict[str, float]], shots: int | None) -> Counts:
    """What was measured of one circuit; the names of its registers were not kept."""
    width = max((len(bits) for point in points for bits in point), default=0)
    return Counts(
        points=tuple(Distribution.from_dict(point, width, shots) for point in points),
        registers=(("c", width),),
    )
