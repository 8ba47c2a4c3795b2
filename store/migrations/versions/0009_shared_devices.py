"""Jobs that run side by side on one device, in one submission."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "shared_job",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_shared_job"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="fk_shared_job_job_id_job"),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["job.job_id"], name="fk_shared_job_submission_id_job"
        ),
    )
    op.create_index("ix_shared_job_submission_id", "shared_job", ["submission_id"])
