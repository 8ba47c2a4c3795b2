from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from qcpaas.schemas import Environment
from store.workers import FORGOTTEN_AFTER_S, GONE_AFTER_S, WORKER, Workers

HERE = Environment(python="3.11.7", distributions={"numpy": "2.2.6"}, adapters=("ibm",), cpus=2)


@pytest.fixture
def workers(store):
    return Workers(store)


def silent_since(store, name, seconds):
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    with store.write() as connection:
        connection.execute(update(WORKER).where(WORKER.c.name == name).values(renewed_at=moment))


def test_a_worker_tells_what_it_has(workers):
    workers.register("one", "qcpaas", HERE)
    ((info, environment),) = workers.living()
    assert (info.name, info.pool, info.cpus) == ("one", "qcpaas", 2)
    assert environment == HERE


def test_registering_again_replaces_what_it_had_and_keeps_since_when(workers):
    workers.register("one", "qcpaas", HERE)
    ((before, _),) = workers.living()
    workers.register("one", "qcpaas", HERE.model_copy(update={"cpus": 8}))
    ((after, _),) = workers.living()
    assert after.cpus == 8
    assert after.registered_at == before.registered_at


def test_a_worker_that_went_without_a_word_is_forgotten(workers, store):
    workers.register("gone", "qcpaas", HERE)
    workers.register("here", "qcpaas", HERE)
    silent_since(store, "gone", GONE_AFTER_S + 1)
    assert [info.name for info, _ in workers.living()] == ["here"]
    assert workers.forget_gone() == 0  # it may come back
    silent_since(store, "gone", FORGOTTEN_AFTER_S + 1)
    assert workers.forget_gone() == 1
    assert not workers.renew("gone")


def test_a_renewed_worker_stays(workers, store):
    workers.register("one", "qcpaas", HERE)
    silent_since(store, "one", GONE_AFTER_S - 5)
    assert workers.renew("one")
    assert workers.forget_gone() == 0


def test_a_worker_that_ends_in_order_is_gone_at_once(workers):
    workers.register("one", "qcpaas", HERE)
    workers.forget("one")
    assert workers.living() == []


def test_workers_are_found_by_the_beginning_of_their_names(workers):
    workers.register("image-of-gpu", "gpu", HERE)
    workers.register("one", "qcpaas", HERE)
    assert workers.named("image-of-") == [("image-of-gpu", "gpu")]
