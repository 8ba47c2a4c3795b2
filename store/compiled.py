"""What compiling gave, shared by every process and every user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update

from store.database import Store
from store.tables import Compiled, table

COMPILED = table(Compiled)


class CompiledCache:
    """A cache by content key, bounded by bytes, the least recently used going first.

    Args:
        use_resolution_s: A use is noted again only after so long: reading in a loop writes nothing.
    """

    def __init__(self, store: Store, use_resolution_s: float = 60.0) -> None:
        self._store = store
        self._resolution = timedelta(seconds=use_resolution_s)
        self._add = store.insert(COMPILED).on_conflict_do_nothing()

    def get(self, key: str) -> bytes | None:
        with self._store.read() as connection:
            row = connection.execute(
                select(COMPILED.c.payload, COMPILED.c.used_at).where(COMPILED.c.key == key)
            ).one_or_none()
        if row is None:
            return None
        now = datetime.now(UTC)
        if now - row.used_at >= self._resolution:
            with self._store.write() as connection:
                connection.execute(
                    update(COMPILED).where(COMPILED.c.key == key).values(used_at=now)
                )
        return bytes(row.payload)

    def put(self, key: str, payload: bytes) -> None:
        """Keep what was compiled; where two processes did the same, the first stays."""
        now = datetime.now(UTC)
        row = {"key": key, "payload": payload, "size_bytes": len(payload)}
        with self._store.write() as connection:
            connection.execute(self._add, {**row, "created_at": now, "used_at": now})

    def trim(self, max_bytes: int) -> None:
        """Forget the least recently used beyond ``max_bytes`` in all."""
        newest_first = (COMPILED.c.used_at.desc(), COMPILED.c.key)
        so_far = func.sum(COMPILED.c.size_bytes).over(order_by=newest_first).label("so_far")
        sums = select(COMPILED.c.key, so_far).subquery()
        beyond = select(sums.c.key).where(sums.c.so_far > max_bytes)
        with self._store.write() as connection:
            connection.execute(delete(COMPILED).where(COMPILED.c.key.in_(beyond)))
