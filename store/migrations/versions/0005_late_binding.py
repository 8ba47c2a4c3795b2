"""What was compiled, in one bounded cache; what observed fidelities say about calibrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

INSTANT = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("submission", sa.Column("snapshot_id", sa.String(), nullable=True))
    # A cache whose keys have all changed: nothing of it would be found again.
    op.drop_table("template")
    op.create_table(
        "compiled",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_compiled"),
    )
    op.create_index("ix_compiled_used_at", "compiled", ["used_at"])
    op.create_table(
        "feedback",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", name="pk_feedback"),
    )
    op.create_table(
        "observation",
        sa.Column("observation_id", NUMBER, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("log_fidelity", sa.Float(), nullable=False),
        sa.Column("std_error", sa.Float(), nullable=False),
        sa.Column("predicted", sa.Float(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("observation_id", name="pk_observation"),
    )
    op.create_index("ix_observation_device_observed_at", "observation", ["device", "observed_at"])
