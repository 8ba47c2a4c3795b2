"""``python -m deployments.docker_pool POOL IMAGE``: a work pool that runs jobs in containers.

Creates the pool, or gives it another image; lets the platform's jobs run there; keeps the store's
address as a secret of Prefect's that containers get; and starts the run by which the image tells
the platform what it has. Prefect's Docker worker of the pool starts the containers:
``prefect worker start --type docker --pool POOL``, where prefect-docker is installed.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from deployments.prefect_setup import ensure_deployments, start_run, wait_for_runs
from qcpaas.errors import InputError, PlatformError, QCPaaSError
from qcpaas.prefect_api import PrefectApi

SECRET = "qcpaas-store-url"  # noqa: S105 - the name of one
TYPE = "docker"


def template(known: dict[str, Any], image: str, network: str) -> dict[str, Any]:
    """The server's own template of a Docker pool, with an image as what it starts.

    Args:
        known: What the server answers about the kinds of workers that it knows.

    Raises:
        PlatformError: It does not know Docker's.
    """
    try:
        found: dict[str, Any] = known["prefect-docker"][TYPE]["default_base_job_configuration"]
    except KeyError as error:
        raise PlatformError(
            "this Prefect server knows no work pools of the type docker."
        ) from error
    defaults = {
        "image": image,
        "image_pull_policy": "IfNotPresent",
        "auto_remove": True,
        "command": "python -m flows.engine",
        "env": {
            "QCPAAS_IMAGE": image,
            "QCPAAS_STORE_URL": f"{{{{ prefect.blocks.secret.{SECRET} }}}}",
        },
        **({"network_mode": network} if network else {}),
    }
    for name, value in defaults.items():
        found["variables"]["properties"][name]["default"] = value
    return found


def ensure_docker_pool(api: PrefectApi, pool: str, image: str, network: str = "") -> None:
    """Create the pool and its deployments, or bring both up to date.

    Raises:
        InputError: A pool of that name is of another type.
    """
    there = api.get(f"work_pools/{pool}")
    if there is not None and there["type"] != TYPE:
        raise InputError(
            f"the work pool {pool} is of the type {there['type']}, not {TYPE}. Choose another name."
        )
    made = template(api.get("collections/views/aggregate-worker-metadata"), image, network)
    if there is None:
        api.post("work_pools/", {"name": pool, "type": TYPE, "base_job_template": made})
    else:
        api.patch(f"work_pools/{pool}", {"base_job_template": made})
    ensure_deployments(api, pool)


def keep_store_url(store_url: str) -> None:
    """As a block of Prefect's, which it encrypts and shows to nobody."""
    from prefect.blocks.system import Secret

    Secret(value=store_url).save(SECRET, overwrite=True)


def main(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Name of the work pool.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="That it starts, with its tag.")],
    network: Annotated[
        str, typer.Option(help="Docker's network mode of containers, such as host.")
    ] = "",
) -> None:
    """Make a work pool of an image, or give it a new image."""
    address = os.environ.get("PREFECT_API_URL")
    store_url = os.environ.get("QCPAAS_STORE_URL")
    try:
        if not address or not store_url:
            raise InputError("set PREFECT_API_URL, and QCPAAS_STORE_URL as containers reach it.")
        api = PrefectApi(address)
        keep_store_url(store_url)
        ensure_docker_pool(api, pool, image, network)
        run = start_run(api, f"register-worker/register-worker-{pool}")
        wait_for_runs(api, [run], lambda: None)
    except QCPaaSError as error:
        sys.stderr.write(f"docker pool: {error}\n")
        raise typer.Exit(error.exit_code) from error
    sys.stdout.write(f"jobs can run in {image}, in the work pool {pool}.\n")


if __name__ == "__main__":
    typer.run(main)
