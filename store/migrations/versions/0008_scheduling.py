"""Users, the backlog, reservations, workers, and how well starts were foretold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_MOMENT = sa.DateTime(timezone=True)
_WAITING = sa.text("state = 'waiting'")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _people()
    _backlog()
    _devices_and_workers()


def _people() -> None:
    op.create_table(
        "platform_user",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("issuer", sa.String()),
        sa.Column("subject", sa.String()),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("running_jobs", sa.Integer()),
        sa.Column("queued_jobs", sa.Integer()),
        sa.Column("qpu_s_a_day", sa.Float()),
        sa.PrimaryKeyConstraint("name", name="pk_platform_user"),
    )
    op.create_index(
        "ix_platform_user_issuer_subject", "platform_user", ["issuer", "subject"], unique=True
    )
    op.create_table(
        "api_token",
        sa.Column("token_id", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
        sa.Column("used_at", _MOMENT),
        sa.PrimaryKeyConstraint("token_id", name="pk_api_token"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["platform_user.name"], name="fk_api_token_user_name_platform_user"
        ),
    )
    op.create_index("ix_api_token_user_name", "api_token", ["user_name"])
    op.create_table(
        "audit",
        sa.Column("entry_id", _NUMBER, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("user_name", "action", "target", "outcome", "address", "request_id")
        ),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_user_name_at", "audit", ["user_name", "at"])
    op.create_table(
        "user_usage",
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("qpu_s", sa.Float(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_name", name="pk_user_usage"),
    )


def _backlog() -> None:
    op.create_table(
        "admission",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("client_key", sa.String()),
        sa.Column("content_key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("priority", sa.String(), nullable=False),
        sa.Column("deadline", _MOMENT),
        sa.Column("submitted_at", _MOMENT, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("session", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("reservation_id", sa.String()),
        sa.Column("qpu_s", sa.Float(), nullable=False),
        sa.Column("qpu_s_hi", sa.Float(), nullable=False),
        sa.Column("wall_s", sa.Float(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("estimate", sa.Text(), nullable=False),
        sa.Column("released_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("spent_qpu_s", sa.Float()),
        sa.PrimaryKeyConstraint("job_id", name="pk_admission"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_admission_job_id_job"),
    )
    op.create_index(
        "uq_admission_owner_client_key", "admission", ["owner", "client_key"], unique=True
    )
    op.create_index(
        "ix_admission_waiting",
        "admission",
        ["device", "submitted_at"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index("ix_admission_state_device", "admission", ["state", "device"])
    op.create_index("ix_admission_owner_submitted_at", "admission", ["owner", "submitted_at"])
    op.create_index(
        "ix_admission_owner_state_ended_at", "admission", ["owner", "state", "ended_at"]
    )
    op.create_table(
        "start_forecast",
        sa.Column("forecast_id", _NUMBER, nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        *(
            sa.Column(name, _MOMENT, nullable=False)
            for name in ("made_at", "earliest_at", "likely_at", "latest_at")
        ),
        sa.Column("started_at", _MOMENT),
        sa.PrimaryKeyConstraint("forecast_id", name="pk_start_forecast"),
    )
    op.create_index("ix_start_forecast_job_id_made_at", "start_forecast", ["job_id", "made_at"])
    op.create_index("ix_start_forecast_device_made_at", "start_forecast", ["device", "made_at"])


def _devices_and_workers() -> None:
    for column in (
        sa.Column("concurrent_jobs", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("online", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("back_at", _MOMENT),
        sa.Column("queue_length", sa.Integer()),
        sa.Column("availability_at", _MOMENT),
    ):
        op.add_column("device", column)
    op.create_table(
        "reservation",
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("begins_at", _MOMENT, nullable=False),
        sa.Column("ends_at", _MOMENT, nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("cancelled_at", _MOMENT),
        sa.PrimaryKeyConstraint("reservation_id", name="pk_reservation"),
    )
    op.create_index("ix_reservation_device_ends_at", "reservation", ["device", "ends_at"])
    op.create_table(
        "worker",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("image", sa.String(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("environment_key", sa.String(), nullable=False),
        sa.Column("registered_at", _MOMENT, nullable=False),
        sa.Column("renewed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_worker"),
    )
    op.create_table(
        "device_timing",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("observations", sa.Integer(), nullable=False),
        sa.Column("fitted_at", _MOMENT, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", name="pk_device_timing"),
    )
