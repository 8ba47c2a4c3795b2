"""``python -m flows.worker``: takes up runs of the platform's pool, until told to end.

A warm worker forks each run from a process that has imported everything; with ``--process`` each
run starts an interpreter of its own, as Prefect's process worker does it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Annotated

import typer
from prefect.logging.configuration import setup_logging

from flows.observation import POOL
from flows.patient_worker import PatientWorker
from flows.registration import Registration
from flows.vendor_queues import VendorQueues
from flows.warm.release import check_release
from qcpaas.errors import PlatformError
from qcpaas.settings import Settings


def main(
    name: Annotated[
        str,
        typer.Option(
            help="Of the worker, as pages show it; by default the machine's.",
            envvar="QCPAAS_WORKER_NAME",
            default_factory=socket.gethostname,
        ),
    ],
    *,
    pool: Annotated[
        str, typer.Option(help="Whose runs it takes up: one pool an image, so that jobs find it.")
    ] = POOL,
    limit: Annotated[int, typer.Option(help="Runs at once.", min=1)] = 4,
    warm: Annotated[
        bool, typer.Option("--warm/--process", help="Fork runs, or start an interpreter for each.")
    ] = True,
    zygotes: Annotated[int, typer.Option(help="Processes kept ready to fork.", min=1)] = 1,
    run_memory_mib: Annotated[
        int | None,
        typer.Option(help="MiB, beyond which a forked run fails; by default most of the machine."),
    ] = None,
) -> None:
    """Take up runs of a pool until told to end."""
    setup_logging()
    worker = (
        _warm(name, pool, limit, zygotes, run_memory_mib)
        if warm
        else PatientWorker(work_pool_name=pool, name=name, limit=limit)
    )
    store_url = Settings().resolved_store_url
    registration, queues = Registration(name, pool, store_url), VendorQueues(store_url)
    registration.start()
    queues.start()
    try:
        asyncio.run(_work(worker))
    except (asyncio.CancelledError, KeyboardInterrupt):
        _say(f"worker {name} stopped")
    finally:
        queues.close()
        registration.close()


async def _work(worker: PatientWorker) -> None:
    """Until a signal ends it, in order: an interrupt would end all of its tasks at once."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await worker.start(printer=_say)


def _warm(
    name: str, pool: str, limit: int, zygotes: int, run_memory_mib: int | None
) -> PatientWorker:
    try:
        check_release()
    except PlatformError as error:
        raise SystemExit(f"error: {error}") from error
    from flows.warm.worker import WarmWorker  # another Prefect may not have what it imports

    return WarmWorker(
        work_pool_name=pool,
        name=name,
        limit=limit,
        zygotes=zygotes,
        run_memory_mib=run_memory_mib,
    )


def _say(*texts: object) -> None:
    sys.stdout.write(" ".join(map(str, texts)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
