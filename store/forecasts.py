"""When jobs were expected to start, as their owners were told, and how good that was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from qcpaas.scheduling import ForecastAccuracy, ForecastRecord, StartsIn
from store.database import Store
from store.jobs import JOB
from store.tables import StartForecast, table

FORECAST = table(StartForecast)

MOVED_S = 6.0
MOVED_SHARE = 0.1
NEAR_S = 60.0
NEAR_SHARE = 0.25
_AT_ONCE = 500  # job ids in one statement
_JUDGED = 5_000  # forecasts that are looked at for judging them, the newest first


def moved(before: datetime, after: datetime, now: datetime) -> bool:
    """Whether a start moved enough to be told anew: a tenth of a minute, or of the wait left."""
    left_s = max(0.0, (after - now).total_seconds())
    return abs((after - before).total_seconds()) > max(MOVED_S, MOVED_SHARE * left_s)


class Forecasts:
    """Forecasts by job id; they outlive their jobs' wait, for judging them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, told: Mapping[str, tuple[str, StartsIn]]) -> int:
        """Record what is told of waiting jobs, where it is new or has moved; how many.

        Args:
            told: Device and forecast, by job id. Of several that tell the same one is recorded.
        """
        written = 0
        for ids in _parts(sorted(told)):
            with self._store.write() as connection:
                self._store.serialise(connection, "forecasts")
                newest = _newest(connection, ids)
                rows = [
                    _row(job_id, *told[job_id])
                    for job_id in ids
                    if _is_news(newest.get(job_id), told[job_id][1])
                ]
                if rows:
                    connection.execute(FORECAST.insert(), rows)
            written += len(rows)
        return written

    def started(self, job_ids: Iterable[str]) -> None:
        """Note when jobs did start, as far as they have."""
        start = select(JOB.c.started_at).where(JOB.c.job_id == FORECAST.c.job_id).scalar_subquery()
        for ids in _parts(sorted(job_ids)):
            change = update(FORECAST).where(
                FORECAST.c.job_id.in_(ids), FORECAST.c.started_at.is_(None)
            )
            with self._store.write() as connection:
                connection.execute(change.values(started_at=start))

    def of(self, job_id: str) -> list[ForecastRecord]:
        """The oldest first."""
        query = select(FORECAST).where(FORECAST.c.job_id == job_id)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(FORECAST.c.made_at, FORECAST.c.forecast_id))
            return [_record(row) for row in rows]

    def ratios(self, since: datetime) -> list[float]:
        """How long jobs waited, relative to what was likely; of the newest forecasts that ended.

        Those of a wait under a second say nothing and are left out.
        """
        query = (
            select(FORECAST)
            .where(FORECAST.c.made_at >= since, FORECAST.c.started_at.is_not(None))
            .order_by(FORECAST.c.made_at.desc())
            .limit(_JUDGED)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        waits = [_waits(row) for row in rows]
        return [actual / likely for likely, actual in waits if likely >= 1.0 and actual >= 0.0]

    def accuracy(self, since: datetime, device: str = "") -> ForecastAccuracy:
        """How good the first forecast of each job was; of all devices where none is named."""
        first = (
            select(func.min(FORECAST.c.forecast_id))
            .where(FORECAST.c.made_at >= since, FORECAST.c.started_at.is_not(None))
            .group_by(FORECAST.c.job_id)
        )
        if device:
            first = first.where(FORECAST.c.device == device)
        query = select(FORECAST).where(FORECAST.c.forecast_id.in_(first))
        with self._store.read() as connection:
            rows = connection.execute(
                query.order_by(FORECAST.c.forecast_id.desc()).limit(_JUDGED)
            ).all()
        return _judged(rows, since, device)

    def forget(self, older_than: timedelta) -> int:
        """Remove old forecasts; how many."""
        old = delete(FORECAST).where(FORECAST.c.made_at < datetime.now(UTC) - older_than)
        with self._store.write() as connection:
            return connection.execute(old).rowcount


def _judged(rows: Sequence[Row[Any]], since: datetime, device: str) -> ForecastAccuracy:
    if not rows:
        return ForecastAccuracy(since=since, device=device)
    waits = [_waits(row) for row in rows]
    near = [abs(actual - likely) <= max(NEAR_S, NEAR_SHARE * actual) for likely, actual in waits]
    inside = [row.earliest_at <= row.started_at <= row.latest_at for row in rows]
    return ForecastAccuracy(
        since=since,
        device=device,
        jobs=len(rows),
        within=sum(near) / len(rows),
        in_interval=sum(inside) / len(rows),
        mean_error_s=sum(actual - likely for likely, actual in waits) / len(rows),
    )


def _waits(row: Row[Any]) -> tuple[float, float]:
    """Likely and actual, seconds from when it was told."""
    return (
        (row.likely_at - row.made_at).total_seconds(),
        (row.started_at - row.made_at).total_seconds(),
    )


def _newest(connection: Connection, job_ids: Sequence[str]) -> dict[str, datetime]:
    last = (
        select(func.max(FORECAST.c.forecast_id))
        .where(FORECAST.c.job_id.in_(job_ids))
        .group_by(FORECAST.c.job_id)
    )
    query = select(FORECAST.c.job_id, FORECAST.c.likely_at)
    rows = connection.execute(query.where(FORECAST.c.forecast_id.in_(last)))
    return {row.job_id: row.likely_at for row in rows}


def _is_news(before: datetime | None, told: StartsIn) -> bool:
    likely_at = told.made_at + timedelta(seconds=told.likely_s)
    return before is None or moved(before, likely_at, told.made_at)


def _row(job_id: str, device: str, told: StartsIn) -> dict[str, Any]:
    made_at = told.made_at
    return {
        "job_id": job_id,
        "device": device,
        "made_at": made_at,
        "earliest_at": made_at + timedelta(seconds=told.earliest_s),
        "likely_at": made_at + timedelta(seconds=told.likely_s),
        "latest_at": made_at + timedelta(seconds=told.latest_s),
    }


def _record(row: Row[Any]) -> ForecastRecord:
    return ForecastRecord(
        made_at=row.made_at,
        earliest_at=row.earliest_at,
        likely_at=row.likely_at,
        latest_at=row.latest_at,
        started_at=row.started_at,
    )


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
