from __future__ import annotations

from typing import Any

import pytest

from deployments.prefect_setup import JOB_FLOWS, ensure_deployments, ensure_pool
from deployments.set_up import set_up
from qcpaas.errors import InputError, PlatformError


class RecordedApi:
    """A server with the deployments of ``prefect.yaml``."""

    def __init__(self, flows: tuple[str, ...]) -> None:
        self._flows = flows
        self.posted: list[dict[str, Any]] = []

    def get(self, path: str) -> Any:
        flow = path.split("/")[2]
        if flow not in self._flows:
            return None
        return {"id": "1", "flow_id": f"id-of-{flow}", "entrypoint": f"flows.{flow}", "path": None}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.posted.append(body)
        return {"id": "2"}


def test_a_pool_of_its_own_gets_a_deployment_of_every_flow_that_runs_jobs():
    api: Any = RecordedApi(JOB_FLOWS)
    ensure_deployments(api, "gpu")
    assert [one["name"] for one in api.posted] == [f"{flow}-gpu" for flow in JOB_FLOWS]
    assert {one["work_pool_name"] for one in api.posted} == {"gpu"}
    assert api.posted[0]["entrypoint"] == "flows.hybrid-job"
    assert "id" not in api.posted[0]


def test_a_pool_without_the_platforms_deployments_is_refused():
    api: Any = RecordedApi(("hybrid-job",))
    with pytest.raises(PlatformError, match="shared-jobs"):
        ensure_deployments(api, "gpu")


def test_setting_up_without_a_server_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(InputError, match="PREFECT_API_URL"):
        set_up()


class ApiWithPool(RecordedApi):
    """A server that has the pool already, of Prefect's type kubernetes."""

    def get(self, path: str) -> Any:
        assert path == "work_pools/jobs"
        return {"name": "jobs", "type": "kubernetes"}

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        raise AssertionError(f"{path} was changed")


def test_a_pool_of_containers_keeps_its_own_template():
    api: Any = ApiWithPool(JOB_FLOWS)
    ensure_pool(api, "jobs")
    assert api.posted == []
