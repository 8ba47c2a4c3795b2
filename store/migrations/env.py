"""What Alembic runs for each command; `store.migrations.upgrade` hands it the connection."""

from __future__ import annotations

from alembic import context

from store.migrations import VERSION_TABLE
from store.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    version_table=VERSION_TABLE,
    # SQLite cannot alter most of a table in place.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
