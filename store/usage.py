"""What users have and had of the devices: what limits count, and what fair share remembers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, select, update

from qcpaas.scheduling import JobEstimate, Limits, Usage
from store.admission_rows import ADMISSION, AdmissionState
from store.database import Store
from store.tables import UserUsage, table

USAGE = table(UserUsage)

_WAITING = ADMISSION.c.state == AdmissionState.WAITING.value
_RELEASED = ADMISSION.c.state == AdmissionState.RELEASED.value
_ENDED = ADMISSION.c.state == AdmissionState.ENDED.value


def midnight(now: datetime) -> datetime:
    """The beginning of the day, UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def faded(qpu_s: float, at: datetime, now: datetime, half_life_s: float) -> float:
    """What is left at ``now`` of device seconds as they stood at ``at``."""
    elapsed_s = max(0.0, (now - at).total_seconds())
    return float(qpu_s * 0.5 ** (elapsed_s / half_life_s))


def user_lock(user: str) -> str:
    """The name under which whatever changes a user's counts is serialised."""
    return f"admission/user/{user}"


def waiting_jobs(connection: Connection, owner: str) -> int:
    return _count(connection, ADMISSION.c.owner == owner, _WAITING)


def released_jobs(connection: Connection, owner: str) -> int:
    return _count(connection, ADMISSION.c.owner == owner, _RELEASED)


def charged() -> ColumnElement[float]:
    """What an admission counts for: what it took once it has ended, else what it was to take."""
    taken = func.coalesce(ADMISSION.c.spent_qpu_s, 0.0)
    return case((_ENDED, taken), else_=ADMISSION.c.qpu_s)


def of_today(now: datetime) -> ColumnElement[bool]:
    """Admissions that count for today: those released, and those that ended since midnight."""
    return _RELEASED | (
        _ENDED & (ADMISSION.c.ended_at >= literal(midnight(now), ADMISSION.c.ended_at.type))
    )


def qpu_s_today(connection: Connection, owner: str, now: datetime) -> float:
    """Device seconds of a user that count for today's limit."""
    query = select(func.sum(charged())).where(ADMISSION.c.owner == owner, of_today(now))
    return float(connection.scalar(query) or 0.0)


class UsageBook:
    """What each user has and had."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, user: str, since: datetime, limits: Limits) -> Usage:
        """One user's.

        Args:
            limits: The user's, those of the platform filled in.
        """
        found = self._read(since, ADMISSION.c.owner == user)
        return found.get(user, Usage(user=user, since=since)).model_copy(update={"limits": limits})

    def all(self, since: datetime) -> list[Usage]:
        """Of everybody who ever submitted a job, by name, without their limits."""
        found = self._read(since)
        return [found[user] for user in sorted(found)]

    def _read(self, since: datetime, *conditions: Any) -> dict[str, Usage]:
        now = datetime.now(UTC)
        since_then = ADMISSION.c.submitted_at >= since
        ended_since = _ENDED & (ADMISSION.c.ended_at >= since)
        query = (
            select(
                ADMISSION.c.owner,
                _number(since_then).label("jobs"),
                _number(_RELEASED).label("running_jobs"),
                _number(_WAITING).label("queued_jobs"),
                func.sum(case((ended_since, charged()), else_=0.0)).label("qpu_s"),
                func.sum(case((of_today(now), charged()), else_=0.0)).label("qpu_s_today"),
            )
            .where(*conditions)
            .group_by(ADMISSION.c.owner)
        )
        asked = select(ADMISSION.c.owner, ADMISSION.c.estimate).where(
            since_then, ADMISSION.c.released_at.is_not(None), *conditions
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
            costs = _costs(connection.execute(asked))
        return {
            row.owner: Usage(
                user=row.owner,
                since=since,
                jobs=row.jobs,
                running_jobs=row.running_jobs,
                queued_jobs=row.queued_jobs,
                qpu_s=row.qpu_s,
                qpu_s_today=row.qpu_s_today,
                costs=costs[row.owner],
            )
            for row in rows
        }


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _costs(rows: Iterable[Any]) -> dict[str, dict[str, float]]:
    """What vendors ask for the jobs of each user, as estimated, by currency."""
    costs: dict[str, dict[str, float]] = defaultdict(dict)
    for owner, text in rows:
        cost = JobEstimate.model_validate_json(text).cost
        if cost is not None:
            known = costs[owner].get(cost.currency, 0.0)
            costs[owner][cost.currency] = known + cost.amount
    return costs


def add_usage(
    store: Store,
    connection: Connection,
    spent: Mapping[str, float],
    now: datetime,
    half_life_s: float,
) -> None:
    """Add device seconds to users' faded usage; in the transaction that ends their jobs."""
    for user in sorted(spent):  # one order, so that no two transactions wait in a circle
        empty = store.insert(USAGE).values(user_name=user, qpu_s=0.0, at=now)
        connection.execute(empty.on_conflict_do_nothing())
        query = select(USAGE.c.qpu_s, USAGE.c.at).where(USAGE.c.user_name == user)
        row = connection.execute(query.with_for_update()).one()
        left = faded(row.qpu_s, row.at, now, half_life_s)
        at = max(now, row.at)
        connection.execute(
            update(USAGE)
            .where(USAGE.c.user_name == user)
            .values(qpu_s=left + faded(spent[user], now, at, half_life_s), at=at)
        )


def _count(connection: Connection, *conditions: Any) -> int:
    return int(
        connection.scalar(select(func.count()).select_from(ADMISSION).where(*conditions)) or 0
    )
