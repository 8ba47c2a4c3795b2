"""Compiled circuit structures, shared by every process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update

from store.database import Store
from store.tables import Template, table

TEMPLATE = table(Template)


class Templates:
    """A cache by content key, bounded by least recent use.

    Args:
        use_resolution_s: A template's use is noted again only after so long: reading one in a
            loop then writes nothing.
    """

    def __init__(self, store: Store, use_resolution_s: float = 60.0) -> None:
        self._store = store
        self._resolution = timedelta(seconds=use_resolution_s)
        self._add = store.insert(TEMPLATE).on_conflict_do_nothing()

    def get(self, key: str) -> bytes | None:
        with self._store.read() as connection:
            row = connection.execute(
                select(TEMPLATE.c.payload, TEMPLATE.c.used_at).where(TEMPLATE.c.key == key)
            ).one_or_none()
        if row is None:
            return None
        now = datetime.now(UTC)
        if now - row.used_at >= self._resolution:
            with self._store.write() as connection:
                connection.execute(
                    update(TEMPLATE).where(TEMPLATE.c.key == key).values(used_at=now)
                )
        return bytes(row.payload)

    def put(self, key: str, payload: bytes) -> None:
        """Keep a template; where two processes compiled the same, the first stays."""
        now = datetime.now(UTC)
        with self._store.write() as connection:
            connection.execute(
                self._add, {"key": key, "payload": payload, "created_at": now, "used_at": now}
            )

    def trim(self, max_rows: int) -> None:
        """Forget the least recently used ones beyond ``max_rows``."""
        kept = (
            select(TEMPLATE.c.key)
            .order_by(TEMPLATE.c.used_at.desc(), TEMPLATE.c.key)
            .limit(max_rows)
        )
        with self._store.write() as connection:
            connection.execute(delete(TEMPLATE).where(TEMPLATE.c.key.not_in(kept)))
