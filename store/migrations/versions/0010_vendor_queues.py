"""How long jobs wait at a device's vendor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("device", sa.Column("queue_s", sa.Float()))
    op.add_column("device", sa.Column("queue_note", sa.Text(), nullable=False, server_default=""))
