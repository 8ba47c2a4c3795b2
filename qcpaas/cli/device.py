"""``qcpaas device``: a quantum device behind the open hardware API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from qcpaas.services import DeviceService, add_token, serve_device
from qcpaas.settings import Settings

TOKENS = "device-tokens"

app = typer.Typer(help="Put a quantum device behind the open hardware API.", no_args_is_help=True)

TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="Hashes of the tokens that open the device."),
]


@app.command("serve")
def serve(
    device: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE",
            help="A device's name (FakeAthens, iqm:garnet), or a class of your own "
            "(path/to/lab.py:Device, package.module:Device).",
        ),
    ],
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8400,
    state: Annotated[
        Path | None,
        typer.Option(help="File of its jobs, made if new; by default in the data folder."),
    ] = None,
    token_file: TokenFile = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate.")] = None,
    prefix: Annotated[str, typer.Option(help="Of every path, such as /emu.")] = "",
    max_body_mib: Annotated[int, typer.Option(help="Of one request.", min=1, max=1024)] = 64,
    keep_results_days: Annotated[
        float | None,
        typer.Option(help="Days after a job's end; for good unless given.", min=0.001),
    ] = None,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", help="End when standard input is closed.")
    ] = False,
) -> None:
    """Serve a device over HTTP until Ctrl-C; its jobs are kept.

    Without --token-file only this machine gets in. A user reaches the device as qpu:URL, with the
    token in QCPAAS_QPU_TOKEN.
    """
    service = DeviceService(
        device=device,
        host=host,
        port=port,
        state=state or _state(device),
        token_file=token_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        prefix=prefix.rstrip("/"),
        max_body_mib=max_body_mib,
        keep_results_days=keep_results_days,
        with_parent=with_parent,
    )
    serve_device()(service)


@app.command("token")
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")],
    token_file: TokenFile = None,
) -> None:
    """Make a token, print it once, and add its hash to the file."""
    file = token_file or Settings().data_dir / TOKENS
    typer.echo(add_token()(file, name))


def _state(device: str) -> Path:
    plain = re.sub(r"[^\w.-]+", "_", device).strip("_")
    return Settings().data_dir / "served" / f"{plain}.db"
