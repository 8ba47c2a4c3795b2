"""What observed fidelities say about each device, and the newest observations themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from qcpaas.binding import Observation as SeenFidelity
from store.database import Store
from store.tables import Feedback, Observation, table

FEEDBACK = table(Feedback)
OBSERVATION = table(Observation)

KEPT_OBSERVATIONS = 1000  # of a device
TRIES = 8  # before a writer lets nobody else write while it works

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class StoredFeedback:
    """What was learnt of a device, and how often; ``payload`` is empty where nothing was."""

    version: int
    payload: bytes
    updated_at: datetime | None


NOTHING = StoredFeedback(0, b"", None)


class Feedbacks:
    """One payload a device, whose version grows with every change and never falls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Returning, since PostgreSQL's driver does not count the rows of such an insert.
        self._add = store.insert(FEEDBACK).on_conflict_do_nothing().returning(FEEDBACK.c.version)

    def version(self, device: str) -> int:
        """0 where nothing was ever learnt."""
        query = select(FEEDBACK.c.version).where(FEEDBACK.c.device == device)
        with self._store.read() as connection:
            return connection.scalar(query) or 0

    def read(self, device: str) -> StoredFeedback:
        with self._store.read() as connection:
            return _read(connection, device)

    def update(self, device: str, change: Change, observations: Sequence[SeenFidelity] = ()) -> int:
        """Change what was learnt, whatever others write meanwhile, and keep observations.

        Args:
            change: The new payload from the one before, which is empty where there is none. It
                may be called several times.

        Returns:
            The new version.
        """
        for _ in range(TRIES):
            held = self.read(device)
            payload = change(held.payload)
            with self._store.write() as connection:
                if self._replace(connection, device, held.version, payload):
                    _keep(connection, device, observations)
                    return held.version + 1
        with self._store.write() as connection:  # others are always faster: let them wait
            held = _read(connection, device, for_update=True)
            self._replace(connection, device, held.version, change(held.payload))
            _keep(connection, device, observations)
        return held.version + 1

    def reset(self, device: str) -> None:
        """Forget what was learnt and observed of a device."""
        with self._store.write() as connection:
            connection.execute(
                update(FEEDBACK)
                .where(FEEDBACK.c.device == device)
                .values(version=FEEDBACK.c.version + 1, payload=b"", updated_at=datetime.now(UTC))
            )
            connection.execute(delete(OBSERVATION).where(OBSERVATION.c.device == device))

    def observations(self, device: str, limit: int = 50) -> list[SeenFidelity]:
        """The newest first."""
        query = (
            select(OBSERVATION)
            .where(OBSERVATION.c.device == device)
            .order_by(OBSERVATION.c.observation_id.desc())
            .limit(limit)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            SeenFidelity(**{name: row[name] for name in SeenFidelity.model_fields}) for row in rows
        ]

    def observation_count(self, device: str) -> int:
        """Of those that are kept."""
        query = select(func.count()).where(OBSERVATION.c.device == device)
        with self._store.read() as connection:
            return connection.scalar(query) or 0

    def _replace(self, connection: Connection, device: str, version: int, payload: bytes) -> bool:
        """Whether nobody has written since ``version``."""
        new = {"version": version + 1, "payload": payload, "updated_at": datetime.now(UTC)}
        if not version:
            return connection.scalar(self._add, {"device": device, **new}) is not None
        same = (FEEDBACK.c.device == device, FEEDBACK.c.version == version)
        return connection.execute(update(FEEDBACK).where(*same).values(new)).rowcount == 1


def _read(connection: Connection, device: str, *, for_update: bool = False) -> StoredFeedback:
    query = select(FEEDBACK.c.version, FEEDBACK.c.payload, FEEDBACK.c.updated_at).where(
        FEEDBACK.c.device == device
    )
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    return NOTHING if row is None else StoredFeedback(row[0], bytes(row[1]), row[2])


def _keep(connection: Connection, device: str, observations: Sequence[SeenFidelity]) -> None:
    """Add observations, and drop the oldest beyond `KEPT_OBSERVATIONS`."""
    if not observations:
        return
    rows: list[dict[str, Any]] = [{"device": device, **one.model_dump()} for one in observations]
    connection.execute(OBSERVATION.insert(), rows)
    beyond = (
        select(OBSERVATION.c.observation_id)
        .where(OBSERVATION.c.device == device)
        .order_by(OBSERVATION.c.observation_id.desc())
        .offset(KEPT_OBSERVATIONS)
        .limit(1)
    )
    connection.execute(
        delete(OBSERVATION).where(
            OBSERVATION.c.device == device,
            OBSERVATION.c.observation_id <= beyond.scalar_subquery(),
        )
    )
