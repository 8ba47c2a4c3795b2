"""Noise of gate layers, learnt once for all jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "learntnoise",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("elements", sa.String(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", "layer", "elements", name="pk_learntnoise"),
    )
    op.create_index("ix_learntnoise_device_measured_at", "learntnoise", ["device", "measured_at"])
