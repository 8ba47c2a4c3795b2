"""Who goes together onto one device."""

from __future__ import annotations

from gateway.scheduling.sharing import (
    APART,
    LARGEST_GROUP,
    LARGEST_PART,
    Shareable,
    partners,
    saved_s,
)


def job(
    name: str, width: int = 3, qpu_s: float = 10.0, agreement: tuple[object, ...] = ("d",)
) -> Shareable:
    return Shareable(name, "ada", width, qpu_s, agreement)


def ids(found: list[Shareable]) -> list[str]:
    return [one.job_id for one in found]


def test_partners_come_in_their_turn_as_far_as_there_is_room() -> None:
    waiting = [job("a"), job("wide", width=6), job("b", width=2), job("c")]
    assert ids(partners(job("first"), waiting, 27)) == ["a"]
    found = partners(job("first"), waiting, 44)
    assert ids(found) == ["a", "b", "c"]
    taken = APART * sum(one.width for one in [job("first"), *found])
    assert taken <= LARGEST_PART * 44


def test_a_large_device_takes_only_so_many() -> None:
    waiting = [job(str(n)) for n in range(20)]
    assert len(partners(job("first"), waiting, 1000)) == LARGEST_GROUP - 1


def test_jobs_that_need_another_submission_stay_behind() -> None:
    waiting = [job("other shots", agreement=("d", 1)), job("same")]
    assert ids(partners(job("first"), waiting, 127)) == ["same"]


def test_a_long_job_does_not_keep_the_first_one_waiting() -> None:
    waiting = [job("hours", qpu_s=10_000.0), job("short")]
    assert ids(partners(job("first"), waiting, 127)) == ["short"]


def test_a_small_device_is_left_to_one() -> None:
    assert partners(job("first"), [job("a")], 5) == []


def test_a_group_takes_as_long_as_its_longest() -> None:
    assert saved_s([job("a"), job("b", qpu_s=4.0)]) == 4.0
    assert saved_s([]) == 0.0
