"""``python -m deployments.up``: the platform on this machine, until Ctrl-C.

PostgreSQL, a Prefect server with its UI, the deployments of ``prefect.yaml``, workers, the store
and the gateway, with all data in one folder.
"""

from __future__ import annotations

import signal
import time
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from deployments.data_folder import PlatformAddresses, claimed
from deployments.local_platform import LocalPlatform, PlatformOptions
from deployments.processes import Processes
from deployments.supervision import Supervisor
from qcpaas.errors import QCPaaSError
from qcpaas.settings import Settings

CHECK_EVERY_S = 0.5


def up(
    *,
    port: Annotated[
        int, typer.Option(help="Of Prefect's UI, on this machine.", min=1, max=65535)
    ] = 4200,
    gateway_port: Annotated[
        int, typer.Option(help="Of the gateway, for clients.", min=1, max=65535)
    ] = 4300,
    host: Annotated[str, typer.Option(help="Address that the gateway listens on.")] = "127.0.0.1",
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of databases, results and logs.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 1,
    runs: Annotated[int, typer.Option(help="Jobs that a worker runs at once.", min=1)] = 4,
) -> None:
    """Start the platform, wait until all of it is healthy, and keep it until Ctrl-C."""
    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    folder = settings.data_dir.resolve()
    options = PlatformOptions(folder, host, port, workers, runs, gateway_port=gateway_port)
    console = Console(highlight=False, soft_wrap=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    processes = Processes()
    try:
        with claimed(folder, processes.mark):
            run(options, processes, settings.platform_file, console)
    except QCPaaSError as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"error: {error}")
        raise typer.Exit(error.exit_code) from error


def run(
    options: PlatformOptions, processes: Processes, platform_file: Path, console: Console
) -> None:
    """Start, announce, supervise; stops everything on the way out, however that is reached."""

    def tell(part: str, seconds: float) -> None:
        console.print(f"  {part:<26}{seconds:6.1f} s")

    def report(what: str) -> None:
        console.print(f"{datetime.now().astimezone():%H:%M:%S} {what}", markup=False)

    try:
        console.print(f"Starting the platform in {options.data_dir}")
        began = time.monotonic()
        addresses = LocalPlatform(options, processes, tell).start()
        addresses.write(platform_file)
        tell("Ready", time.monotonic() - began)
        _announce(console, addresses, options)
        supervisor = Supervisor(processes, report)
        while True:
            time.sleep(CHECK_EVERY_S)
            supervisor.look()
    except KeyboardInterrupt:
        console.print("\nStopping")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes
        platform_file.unlink(missing_ok=True)
        processes.stop()
    console.print("Stopped; jobs and results are kept, and what ran goes on at the next start.")


def _announce(console: Console, addresses: PlatformAddresses, options: PlatformOptions) -> None:
    console.print(
        f"\n  API     {addresses.api_url}, described at {addresses.api_url}/docs\n"
        f"  UI      {addresses.ui_url}\n"
        f"  Store   {addresses.store_url}\n"
        f"  Logs    {options.data_dir / 'logs'}\n\n"
        "  Submit  qcpaas run examples/h2_vqe.py --remote\n"
        f"          (elsewhere on this machine: QCPAAS_API_URL={addresses.api_url})\n\n"
        "Ctrl-C stops all of it."
    )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    typer.run(up)


if __name__ == "__main__":
    main()
