"""Who did what, and who was refused it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from qcpaas.scheduling import AuditRecord
from store.database import Store
from store.tables import table
from store.tables.people import AuditEntry

AUDIT = table(AuditEntry)
_LENGTHS = {"user": 128, "action": 100, "target": 200, "outcome": 200, "address": 100}


class AuditTrail:
    """Lines that are added, read, and removed when they are old; none is ever changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, record: AuditRecord) -> None:
        values: dict[str, Any] = record.model_dump()
        for name, length in _LENGTHS.items():
            values[name] = _plain(values[name])[:length]
        values["user_name"] = values.pop("user")
        with self._store.write() as connection:
            connection.execute(AUDIT.insert().values(**values, details="{}"))

    def newest(
        self,
        limit: int = 100,
        *,
        user: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
    ) -> list[AuditRecord]:
        """The newest first."""
        query = select(AUDIT).order_by(AUDIT.c.at.desc(), AUDIT.c.entry_id.desc()).limit(limit)
        if user is not None:
            query = query.where(AUDIT.c.user_name == user)
        if action is not None:
            query = query.where(AUDIT.c.action == action)
        if since is not None:
            query = query.where(AUDIT.c.at >= since)
        with self._store.read() as connection:
            return [_record(row) for row in connection.execute(query)]


def _plain(text: str) -> str:
    """Without what a database refuses (NUL, half a surrogate), or what forges another line."""
    return "".join(
        letter if letter.isprintable() else "?" for letter in text.encode(errors="replace").decode()
    )


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(
        at=row.at,
        user=row.user_name,
        action=row.action,
        target=row.target,
        outcome=row.outcome,
        address=row.address,
        request_id=row.request_id,
    )
