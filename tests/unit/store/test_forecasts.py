"""What was foretold, and how good that was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from qcpaas.scheduling import StartsIn
from qcpaas.schemas import Bundle, ExecutionSettings, WorkloadJob
from store.database import Store
from store.forecasts import Forecasts, moved
from store.jobs import JOB, Jobs

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def told(likely_s: float, at_s: float = 0.0) -> tuple[str, StartsIn]:
    made_at = NOW + timedelta(seconds=at_s)
    return "alpha", StartsIn(
        earliest_s=likely_s * 0.5,
        likely_s=likely_s,
        latest_s=likely_s * 2,
        position=1,
        made_at=made_at,
    )


def started(store: Store, job_id: str, after_s: float) -> None:
    job = WorkloadJob(
        job_id=job_id,
        execution=ExecutionSettings(backend="alpha"),
        bundle=Bundle(entry="a:B", modules={}),
    )
    Jobs(store).create(job)
    with store.write() as connection:
        began = NOW + timedelta(seconds=after_s)
        connection.execute(update(JOB).where(JOB.c.job_id == job_id).values(started_at=began))
    Forecasts(store).started([job_id])


@pytest.mark.parametrize(
    ("before_s", "after_s", "is_news"),
    [(10, 15, False), (10, 17, True), (600, 650, False), (600, 700, True), (600, 500, True)],
)
def test_a_start_moves_by_a_tenth_of_a_minute_or_of_the_wait(
    before_s: float, after_s: float, is_news: bool
) -> None:
    before, after = (NOW + timedelta(seconds=seconds) for seconds in (before_s, after_s))
    assert moved(before, after, NOW) is is_news


def test_a_forecast_is_kept_where_it_is_new_or_has_moved(store: Store) -> None:
    forecasts = Forecasts(store)
    assert forecasts.keep({"one": told(100), "two": told(100)}) == 2
    assert forecasts.keep({"one": told(91, at_s=10), "two": told(150, at_s=10)}) == 1
    first, second = forecasts.of("two")
    assert first.likely_at == NOW + timedelta(seconds=100)
    assert second.earliest_at == NOW + timedelta(seconds=85)
    assert len(forecasts.of("one")) == 1
    assert second.started_at is None


def test_a_start_is_noted_on_every_forecast_of_the_job(store: Store) -> None:
    forecasts = Forecasts(store)
    forecasts.keep({"one": told(100)})
    forecasts.keep({"one": told(200, at_s=10)})
    started(store, "one", after_s=150)
    assert {one.started_at for one in forecasts.of("one")} == {NOW + timedelta(seconds=150)}


def test_accuracy_judges_the_first_forecast_of_each_job_that_started(store: Store) -> None:
    forecasts = Forecasts(store)
    # Waits of 159, 161, 1,300 and 1,400 s where 100 and 1,000 s were likely: off by at most a
    # minute, by more, by at most a quarter of the wait, by more.
    waits = {"near": (100, 159), "far": (100, 161), "long": (1000, 1300), "longer": (1000, 1400)}
    forecasts.keep({job_id: told(likely) for job_id, (likely, _) in waits.items()})
    forecasts.keep({"far": told(161 - 50, at_s=50), "waits": told(5)})
    for job_id, (_, actual) in waits.items():
        started(store, job_id, after_s=actual)
    found = forecasts.accuracy(NOW)
    assert (found.jobs, found.within, found.in_interval) == (4, 0.5, 1.0)
    assert found.mean_error_s == pytest.approx((59 + 61 + 300 + 400) / 4)
    assert forecasts.accuracy(NOW, "beta").jobs == 0
    assert forecasts.accuracy(NOW, "beta").within is None
    ratios = forecasts.ratios(NOW)
    assert sorted(ratios)[-1] == pytest.approx(1.61)
    assert len(ratios) == 5


def test_old_forecasts_are_forgotten(store: Store) -> None:
    forecasts = Forecasts(store)
    forecasts.keep({"one": told(100, at_s=-1e7), "two": told(100, at_s=1e8)})
    assert forecasts.forget(timedelta(days=30)) == 1
    assert len(forecasts.of("two")) == 1
