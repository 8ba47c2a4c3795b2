"""How registered devices are reached."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name, default in (("address", ""), ("credentials", ""), ("settings", "{}")):
        op.add_column("device", sa.Column(name, sa.Text(), nullable=False, server_default=default))
