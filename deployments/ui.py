"""``python -m deployments.ui``: the pages of jobs that ran embedded, until Ctrl-C."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from deployments.prefect_server import start_server
from deployments.processes import Processes, port_taken
from qcpaas.errors import PlatformError, QCPaaSError
from qcpaas.settings import Settings

HOST = "127.0.0.1"


def ui(port: Annotated[int, typer.Option(help="Of the UI.", min=1, max=65535)] = 4200) -> None:
    """Serve Prefect's pages over the embedded platform's database."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if port_taken(HOST, port):
            raise PlatformError(f"port {port} is taken. Choose another: make ui PORT=4300.")
        with Processes() as processes:
            address = start_server(processes, HOST, port, Settings().data_dir)
            typer.echo(f"{address}  (Ctrl-C ends it)")
            processes.children[0].process.wait()
    except KeyboardInterrupt:
        return
    except QCPaaSError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(ui)
