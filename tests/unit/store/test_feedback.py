import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from qcpaas.binding import Observation
from store.feedback import FEEDBACK, KEPT_OBSERVATIONS, OBSERVATION, Feedbacks

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def observation(number=0, source="echo"):
    return Observation(
        job_id=f"job-{number}", observed_at=NOW + timedelta(seconds=number), log_fidelity=-0.25,
        std_error=0.01, predicted=-0.2, source=source,
    )  # fmt: skip


@pytest.fixture
def feedbacks(store):
    return Feedbacks(store)


def test_nothing_is_known_before_the_first_observation(feedbacks):
    assert feedbacks.version("lima") == 0
    assert feedbacks.read("lima").payload == b""
    assert feedbacks.observations("lima") == []
    assert feedbacks.observation_count("lima") == 0


def test_update_replaces_the_payload_and_raises_the_version(feedbacks):
    assert feedbacks.update("lima", lambda held: held + b"a", [observation(1)]) == 1
    assert feedbacks.update("lima", lambda held: held + b"b", [observation(2, "user")]) == 2
    stored = feedbacks.read("lima")
    assert (stored.payload, stored.version) == (b"ab", 2)
    assert stored.updated_at is not None
    assert feedbacks.version("lima") == 2
    assert feedbacks.version("quito") == 0
    assert feedbacks.observations("lima") == [observation(2, "user"), observation(1)]
    assert feedbacks.observations("lima", limit=1) == [observation(2, "user")]


def test_reset_forgets_and_still_counts_on(feedbacks):
    feedbacks.update("lima", lambda _: b"a", [observation()])
    feedbacks.update("quito", lambda _: b"q", [observation()])
    feedbacks.reset("lima")
    assert feedbacks.read("lima").payload == b""
    assert feedbacks.version("lima") == 2  # whoever holds version 1 notices
    assert feedbacks.observations("lima") == []
    assert feedbacks.read("quito").payload == b"q"
    assert feedbacks.observation_count("quito") == 1
    assert feedbacks.update("lima", lambda held: held + b"new") == 3
    feedbacks.reset("unknown")
    assert feedbacks.version("unknown") == 0


def test_concurrent_writers_lose_nothing(store):
    writers, each = 6, 5
    start = threading.Barrier(writers)

    def write(number):
        mine = Feedbacks(store)
        start.wait()
        for step in range(each):
            mine.update("lima", lambda held: held + b".", [observation(number * each + step)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = Feedbacks(store).read("lima")
    assert (stored.payload, stored.version) == (b"." * writers * each, writers * each)
    assert Feedbacks(store).observation_count("lima") == writers * each


def test_writer_that_always_comes_late_makes_the_others_wait(store):
    """Whoever is overtaken at every try is not kept out for ever."""
    feedbacks = Feedbacks(store)
    feedbacks.update("lima", lambda _: b"first")
    calls = []

    def overtaken(held):
        calls.append(held)
        if len(calls) <= 8:
            with store.write() as connection:
                connection.execute(update(FEEDBACK).values(version=FEEDBACK.c.version + 1))
        return held + b" and mine"

    assert feedbacks.update("lima", overtaken) == 1 + 8 + 1
    assert feedbacks.read("lima").payload == b"first and mine"
    assert len(calls) == 9


def test_failed_change_writes_nothing(feedbacks):
    feedbacks.update("lima", lambda _: b"a", [observation(1)])

    def fails(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        feedbacks.update("lima", fails, [observation(2)])
    assert feedbacks.version("lima") == 1
    assert feedbacks.observation_count("lima") == 1


def test_only_the_newest_observations_are_kept(feedbacks, store):
    many = [observation(number) for number in range(KEPT_OBSERVATIONS)]
    feedbacks.update("lima", lambda _: b"a", many)
    feedbacks.update("quito", lambda _: b"q", [observation(1)])
    feedbacks.update("lima", lambda _: b"a", [observation(5000), observation(5001)])
    assert feedbacks.observation_count("lima") == KEPT_OBSERVATIONS
    assert feedbacks.observation_count("quito") == 1
    with store.read() as connection:
        jobs = set(connection.scalars(select(OBSERVATION.c.job_id)))
    assert "job-0" not in jobs
    assert {"job-2", "job-5001"} <= jobs
