"""The calendar of devices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from qcpaas.errors import Conflict, InputError
from qcpaas.scheduling import Choice, JobEstimate, Limits, Reservation, Scheduling
from qcpaas.schemas import Bundle, ExecutionSettings, WorkloadJob
from store.admissions import Admissions
from store.database import Store
from store.reservations import EVERYBODY, Reservations

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def now(request: pytest.FixtureRequest) -> None:
    """Of each test: the module may have been imported long before."""
    request.module.NOW = datetime.now(UTC)


def window(begin_h: float, end_h: float, holder: str = "ada", **changed: str) -> Reservation:
    """Hours from now."""
    return Reservation(
        device=changed.pop("device", "alpha"),
        begins_at=NOW + timedelta(hours=begin_h),
        ends_at=NOW + timedelta(hours=end_h),
        holder=holder,
        **changed,  # type: ignore[arg-type]
    )


def waiting_job(store: Store, reservation: str) -> str:
    job = WorkloadJob(
        execution=ExecutionSettings(backend="alpha"),
        bundle=Bundle(entry="a:B", modules={}),
        scheduling=Scheduling(reservation=reservation),
    )
    Admissions(store).add(
        None,
        job,
        owner="ada",
        client_key=None,
        content_key="content",
        device="alpha",
        pool="pool",
        session=True,
        estimate=JobEstimate(device="alpha"),
        choice=Choice(device="alpha", explanation=""),
        limits=Limits(),
    )
    return job.job_id


def wish_of(store: Store, job_id: str) -> str | None:
    found = Admissions(store).get(job_id)
    assert found is not None
    return found.reservation_id


def test_a_reservation_is_listed_until_it_is_over(store: Store) -> None:
    calendar = Reservations(store)
    later = calendar.add(window(5, 6), "owner")
    sooner = calendar.add(window(1, 2, "bob", device="beta", reason="a demonstration"), "owner")
    assert calendar.between(NOW) == [sooner, later]
    assert calendar.between(NOW, device="alpha") == [later]
    assert calendar.between(NOW, holder="bob") == [sooner]
    assert calendar.between(NOW + timedelta(hours=3)) == [later]
    assert calendar.between(NOW, NOW + timedelta(hours=3)) == [sooner]
    assert calendar.get(later.reservation_id) == later
    assert sooner.reason == "a demonstration"


@pytest.mark.parametrize(("begin_h", "end_h"), [(0.5, 1.5), (1.2, 1.8), (1.5, 3), (0.5, 3)])
def test_time_that_is_anothers_is_a_conflict(store: Store, begin_h: float, end_h: float) -> None:
    calendar = Reservations(store)
    calendar.add(window(1, 2), "owner")
    with pytest.raises(Conflict, match="kept for somebody else") as refusal:
        calendar.add(window(begin_h, end_h, "bob"), "owner")
    assert "ada" not in str(refusal.value)
    calendar.add(window(begin_h, end_h, "ada"), "owner")
    calendar.add(window(begin_h, end_h, "bob", device="beta"), "owner")


def test_windows_may_touch(store: Store) -> None:
    calendar = Reservations(store)
    calendar.add(window(1, 2), "owner")
    calendar.add(window(2, 3, "bob"), "owner")
    calendar.add(window(0, 1, ""), "owner")


def test_a_reservation_begins_in_the_future(store: Store) -> None:
    with pytest.raises(InputError, match="Choose a time to come"):
        Reservations(store).add(window(-1, 1), "owner")


def test_of_many_who_want_the_same_time_one_gets_it(store: Store) -> None:
    calendar = Reservations(store)

    def ask(number: int) -> bool:
        try:
            calendar.add(window(1, 2, f"user-{number}"), "owner")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


def test_a_cancelled_window_is_free_and_its_jobs_join_the_backlog(store: Store) -> None:
    calendar = Reservations(store)
    made = calendar.add(window(1, 2), "owner")
    job_id = waiting_job(store, made.reservation_id)
    assert calendar.cancel(made.reservation_id)
    assert not calendar.cancel(made.reservation_id)
    assert calendar.between(NOW) == []
    assert wish_of(store, job_id) is None
    calendar.add(window(1, 2, "bob"), "owner")


def test_jobs_whose_window_is_over_join_the_backlog(store: Store) -> None:
    calendar = Reservations(store)
    over, coming = waiting_job(store, "r-over"), calendar.add(window(1, 2), "owner")
    later = waiting_job(store, coming.reservation_id)
    calendar.leave_ended()
    assert wish_of(store, over) is None
    assert wish_of(store, later) == coming.reservation_id


def test_only_its_holder_may_ask_for_a_window(store: Store) -> None:
    calendar = Reservations(store)
    made = calendar.add(window(1, 2), "owner")
    assert calendar.for_job(made.reservation_id, "ada") == made
    assert calendar.for_job(made.reservation_id, "ada", "alpha") == made
    with pytest.raises(InputError, match="has no open or coming reservation"):
        calendar.for_job(made.reservation_id, "bob")
    with pytest.raises(InputError, match="is for alpha, and the job asks for beta"):
        calendar.for_job(made.reservation_id, "ada", "beta")
    with pytest.raises(InputError, match="has no open or coming reservation"):
        calendar.for_job("r-nothing", "ada")


def test_vendors_windows_follow_what_the_vendor_says(store: Store) -> None:
    calendar = Reservations(store)
    first = window(1, 2, EVERYBODY, reservation_id="qcs-1", source="rigetti")
    second = window(3, 4, EVERYBODY, reservation_id="qcs-2", source="rigetti")
    calendar.put_vendors("alpha", "rigetti", [first, second])
    calendar.add(window(1, 2, "bob"), "owner")  # that everybody may use it keeps nobody out
    with pytest.raises(Conflict, match="Cancel it there"):
        calendar.cancel("qcs-1")
    moved = second.model_copy(update={"ends_at": NOW + timedelta(hours=5)})
    given = calendar.add(second.model_copy(update={"holder": "ada"}), "owner")
    assert given.holder == "ada"
    calendar.put_vendors("alpha", "rigetti", [moved])
    (found,) = calendar.between(NOW, holder="ada")
    assert found.ends_at == moved.ends_at
    assert calendar.get("qcs-1") is None
    with pytest.raises(Conflict):
        calendar.add(window(3.5, 4.5, "bob"), "owner")


def test_only_a_window_that_a_vendor_told_of_is_given_away(store: Store) -> None:
    calendar = Reservations(store)
    made = calendar.add(window(1, 2), "owner")
    with pytest.raises(InputError, match="no vendor told of"):
        calendar.add(made.model_copy(update={"holder": "bob"}), "owner")
