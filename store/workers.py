"""Workers that are alive, and what each of them has."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update

from qcpaas.scheduling import WorkerInfo
from qcpaas.schemas import Environment
from store.database import Store
from store.tables import RegisteredWorker, table

WORKER = table(RegisteredWorker)

RENEWED_EVERY_S = 20.0
GONE_AFTER_S = 90.0
FORGOTTEN_AFTER_S = 24 * 3600.0  # an image whose pool has been without a worker for a while


class Workers:
    """Workers by name; one that is not renewed for a minute and a half is gone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, name: str, pool: str, environment: Environment) -> None:
        """Keep what a worker has, in place of what it had."""
        text = environment.model_dump_json()
        now = datetime.now(UTC)
        told = {
            "pool": pool,
            "image": environment.image,
            "environment": text,
            "environment_key": hashlib.sha256(text.encode()).hexdigest(),
            "renewed_at": now,
        }
        insert = self._store.insert(WORKER).values(name=name, registered_at=now, **told)
        with self._store.write() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=told))

    def renew(self, name: str) -> bool:
        """Say that a worker is alive; whether it is still known."""
        change = update(WORKER).where(WORKER.c.name == name)
        with self._store.write() as connection:
            return connection.execute(change.values(renewed_at=datetime.now(UTC))).rowcount > 0

    def living(self) -> list[tuple[WorkerInfo, Environment]]:
        """Those that are alive, the longest known first."""
        query = select(WORKER).where(WORKER.c.renewed_at > _gone_before())
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(WORKER.c.registered_at, WORKER.c.name)).all()
        return [_read(row) for row in rows]

    def named(self, prefix: str) -> list[tuple[str, str]]:
        """Names and pools of those whose name begins so, alive or not."""
        query = select(WORKER.c.name, WORKER.c.pool)
        query = query.where(WORKER.c.name.startswith(prefix, autoescape=True))
        with self._store.read() as connection:
            return [(row.name, row.pool) for row in connection.execute(query)]

    def pools(self) -> list[str]:
        """Pools whose workers are not forgotten yet, alive or not."""
        with self._store.read() as connection:
            return list(
                connection.scalars(select(WORKER.c.pool).distinct().order_by(WORKER.c.pool))
            )

    def forget(self, name: str) -> None:
        """Of a worker that ends in order."""
        with self._store.write() as connection:
            connection.execute(delete(WORKER).where(WORKER.c.name == name))

    def forget_gone(self) -> int:
        """Drop those that went without a word a day ago; how many."""
        since = datetime.now(UTC) - timedelta(seconds=FORGOTTEN_AFTER_S)
        with self._store.write() as connection:
            gone = connection.execute(delete(WORKER).where(WORKER.c.renewed_at <= since))
        return gone.rowcount


def _gone_before() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=GONE_AFTER_S)


def _read(row: Row[Any]) -> tuple[WorkerInfo, Environment]:
    environment = Environment.model_validate_json(row.environment)
    info = WorkerInfo(
        name=row.name,
        pool=row.pool,
        image=row.image,
        python=environment.python,
        distributions=environment.distributions,
        options=tuple(option.name for option in environment.options),
        adapters=environment.adapters,
        devices=tuple(device.name for device in environment.devices),
        cpus=environment.cpus,
        memory_mib=environment.memory_mib,
        gpus=environment.gpus,
        registered_at=row.registered_at,
        renewed_at=row.renewed_at,
    )
    return info, environment
