from __future__ import annotations

import pytest
from sqlalchemy import select

from flows.image_workers import PREFIX, renew_images
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
