"""Devices, calibrations, jobs, results and compiled templates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_device_and_calibration_tables()
    create_job_tables()
    op.create_table(
        "template",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_template"),
    )
    op.create_index("ix_template_used_at", "template", ["used_at"])


def create_device_and_calibration_tables() -> None:
    op.create_table(
        "device",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("adapter", sa.String(), nullable=False),
        sa.Column("num_qubits", sa.Integer(), nullable=False),
        sa.Column("simulator", sa.Boolean(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("registered_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_device"),
    )
    op.create_table(
        "snapshot_content",
        sa.Column("content_id", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("num_qubits", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("median_t1_s", sa.Float(), nullable=True),
        sa.Column("median_t2_s", sa.Float(), nullable=True),
        sa.Column("median_two_qubit_error", sa.Float(), nullable=True),
        sa.Column("median_readout_error", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("content_id", name="pk_snapshot_content"),
    )
    op.create_table(
        "snapshot_pull",
        sa.Column("pull_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("pulled_at", INSTANT, nullable=False),
        sa.Column("content_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pull_id", name="pk_snapshot_pull"),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["snapshot_content.content_id"],
            name="fk_snapshot_pull_content_id_snapshot_content",
        ),
    )
    op.create_index(
        "ix_snapshot_pull_device_pulled_at_pull_id_content_id",
        "snapshot_pull",
        ["device", "pulled_at", "pull_id", "content_id"],
    )
    op.create_index(
        "ix_snapshot_pull_content_id_pulled_at", "snapshot_pull", ["content_id", "pulled_at"]
    )


def create_job_tables() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("flow_run_id", sa.String(), nullable=True),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job"),
    )
    op.create_index("ix_job_created_at_job_id", "job", ["created_at", "job_id"])
    op.create_index("ix_job_state_created_at", "job", ["state", "created_at"])
    op.create_index("ix_job_flow_run_id", "job", ["flow_run_id"])
    op.create_table(
        "result",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_result"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_result_job_id_job"),
    )
    op.create_table(
        "execution",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("device_job_id", sa.String(), nullable=False),
        sa.Column("submitted_at", INSTANT, nullable=False),
        sa.Column("qpu_s", sa.Float(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "index", name="pk_execution"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_execution_job_id_job"),
    )
    op.create_table(
        "executed_circuit",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_executed_circuit"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_executed_circuit_job_id_job"),
    )
