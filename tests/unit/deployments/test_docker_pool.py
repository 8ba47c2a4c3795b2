import json
from copy import deepcopy
from importlib import resources
from typing import Any

import pytest

from deployments.docker_pool import ensure_docker_pool, template
from deployments.prefect_setup import JOB_FLOWS
from qcpaas.errors import InputError, PlatformError

KNOWN = json.loads(
    (
        resources.files("prefect.server.api")
        / "collections_data/views/aggregate-worker-metadata.json"
    ).read_text()
)


class RecordedApi:
    """A server with one pool at most, and the deployments of ``prefect.yaml``."""

    def __init__(self, pool: dict[str, Any] | None = None) -> None:
        self._pool = pool
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str) -> Any:
        if path.startswith("collections"):
            return deepcopy(KNOWN)
        return self._pool if path.startswith("work_pools") else {"flow_id": path}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.sent.append((path, body))

    patch = post


def test_a_pool_of_an_image_is_made_with_deployments_and_without_a_password():
    api: Any = RecordedApi()
    ensure_docker_pool(api, "lab", "registry/lab:1")
    (path, made), *deployments = api.sent
    assert (path, made["type"], len(deployments)) == ("work_pools/", "docker", len(JOB_FLOWS))
    variables = made["base_job_template"]["variables"]["properties"]
    assert variables["image"]["default"] == "registry/lab:1"
    assert variables["env"]["default"] == {
        "QCPAAS_IMAGE": "registry/lab:1",
        "QCPAAS_STORE_URL": "{{ prefect.blocks.secret.qcpaas-store-url }}",
    }


def test_a_pool_that_is_there_gets_the_new_image():
    api: Any = RecordedApi({"type": "docker"})
    ensure_docker_pool(api, "lab", "registry/lab:2", network="host")
    path, made = api.sent[0]
    variables = made["base_job_template"]["variables"]["properties"]
    assert path == "work_pools/lab"
    assert (variables["image"]["default"], variables["network_mode"]["default"]) == (
        "registry/lab:2",
        "host",
    )


def test_a_pool_of_another_type_is_left_alone():
    api: Any = RecordedApi({"type": "process"})
    with pytest.raises(InputError, match="is of the type process"):
        ensure_docker_pool(api, "qcpaas", "registry/lab:1")
    assert api.sent == []


def test_a_server_that_knows_no_docker_is_told():
    with pytest.raises(PlatformError, match="no work pools of the type docker"):
        template({"prefect": {}}, "registry/lab:1", "")
