from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import select

from flows import image_workers
from flows.image_workers import PREFIX, register_image, renew_images
from flows.observation import POOL
from qcpaas.schemas import Environment
from store.database import open_store
from store.workers import WORKER, Workers


class Pools:
    """Answers as Prefect's API does what it knows of a pool's workers."""

    def __init__(self, **statuses):
        self._statuses = statuses

    def post(self, path, body):
        pool = path.split("/")[1]
        if pool not in self._statuses:
            return None
        return [{"name": "one", "status": self._statuses[pool]}]


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        for pool in ("gpu", "away", "removed"):
            Workers(opened).register(
                f"{PREFIX}{pool}", pool, Environment(python="3.11.7", distributions={})
            )
        yield opened


def renewed(store):
    with store.read() as connection:
        rows = connection.execute(select(WORKER.c.pool, WORKER.c.renewed_at)).all()
    return {row.pool: row.renewed_at for row in rows}


def test_an_image_stands_while_its_pool_has_a_worker(store):
    before = renewed(store)
    renew_images(Pools(gpu="ONLINE", away="OFFLINE"), store)
    after = renewed(store)
    assert after["gpu"] > before["gpu"]
    assert after["away"] == before["away"]
    assert after["removed"] == before["removed"]


@pytest.mark.parametrize("pool", ["docker pool", POOL, None])
def test_a_run_tells_what_the_image_of_its_pool_has(store, monkeypatch, pool):
    run = SimpleNamespace(flow_run=SimpleNamespace(work_pool_name=pool))
    monkeypatch.setattr(image_workers.FlowRunContext, "get", lambda: run)
    image = Environment(python="3.11.7", distributions={"torch": "2.4.0"}, image="lab/gpu:3")
    register_image(store, image)
    known = {info.pool: info for info, _ in Workers(store).living()}
    if pool == "docker pool":
        assert (known[pool].name, known[pool].image) == ("image-of-docker pool", "lab/gpu:3")
        assert known[pool].distributions == {"torch": "2.4.0"}
    else:  # the platform's own workers live and tell it themselves
        assert set(known) == {"gpu", "away", "removed"}


def test_a_run_outside_of_a_flow_registers_nothing(store):
    register_image(store, Environment(python="3.11.7", distributions={}))
    assert len(Workers(store).living()) == 3
