"""``python -m deployments.set_up``: makes ready what gateways and workers expect, and ends.

The store's tables, the process work pools, the deployments of ``prefect.yaml`` and the automations,
on the server at ``PREFECT_API_URL`` and the database at ``QCPAAS_STORE_URL``. To repeat it does no
harm: an upgrade runs it again. The interpreter and the checkout that it has are those that runs are
told to use, so it runs in the image, or at the paths, of the workers. ``--pool NAME``, which may be
repeated, adds a work pool for the workers of another image.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deployments.automations import ensure_automations
from deployments.prefect_setup import ensure_deployments, ensure_pool
from flows.observation import POOL
from qcpaas.errors import InputError, PlatformError, QCPaaSError
from qcpaas.prefect_api import PrefectApi
from qcpaas.settings import Settings
from store.database import open_store

PROJECT_DIR = Path(__file__).resolve().parent.parent
AUTH = "PREFECT_API_AUTH_STRING"


def set_up(pools: Sequence[str] = ()) -> None:
    """Args:
    pools: Names of work pools beside the platform's own.

    Raises:
    InputError: No server is named.
    PlatformError: The server or the database is away, or a deployment is refused.
    """
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        raise InputError("PREFECT_API_URL is unset. Set it to Prefect's API, ending in /api.")
    settings = Settings()
    open_store(settings.resolved_store_url).close()
    api = PrefectApi(address, os.environ.get(AUTH))
    try:
        for pool in (POOL, *pools):
            ensure_pool(api, pool)
        _deploy()
        for pool in pools:
            ensure_deployments(api, pool)
        notify = settings.notify_url
        ensure_automations(api, notify.get_secret_value() if notify else None)
    finally:
        api.close()


def _deploy() -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    env = {"QCPAAS_PROJECT_DIR": str(PROJECT_DIR), **os.environ}
    done = subprocess.run(command, cwd=PROJECT_DIR, env=env, check=False)
    if done.returncode != 0:
        raise PlatformError("`prefect deploy --all` has failed; what it said stands above.")


def main(
    pool: Annotated[
        list[str] | None,
        typer.Option(help="A work pool beside the platform's own, for an image; repeat for more."),
    ] = None,
) -> None:
    """Make ready what gateways and workers expect."""
    try:
        set_up([one for one in pool or () if one != POOL])
    except QCPaaSError as error:
        sys.stderr.write(f"set up: {error}\n")
        raise typer.Exit(error.exit_code) from error
    sys.stdout.write("the platform is set up.\n")


if __name__ == "__main__":
    typer.run(main)
