"""``qcpaas devices``: what there is to run on, and how it is reached."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from pydantic import JsonValue, ValidationError

from qcpaas.cli import tables
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import InputError

app = typer.Typer(help="List, add and remove devices.", invoke_without_command=True)

Credentials = Annotated[
    str,
    typer.Option(
        help="Name of those that open it (`qcpaas credentials`); the environment's unless given."
    ),
]


@app.callback()
def devices(ctx: typer.Context, as_json: AsJson = False, remote: Remote = None) -> None:
    """List devices and their calibrations; add and remove them."""
    if ctx.invoked_subcommand is None:
        tables.show_devices(connect(ctx, remote).devices(), as_json=as_json)


@app.command("add")
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the platform is to call it.")],
    *,
    adapter: Annotated[str, typer.Option(help="Such as ibm, iqm, rigetti, braket or qpu.")],
    address: Annotated[
        str, typer.Option(help="What its vendor calls it: a backend's name, an ARN, a URL.")
    ],
    credentials: Credentials = "",
    setting: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the adapter; may repeat.")
    ] = None,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Check a device, register it, and pull its first calibration."""
    try:
        registration = DeviceRegistration(
            name=name,
            adapter=adapter,
            address=address,
            credentials=credentials,
            settings=_settings(setting or []),
        )
    except ValidationError as error:
        raise InputError(
            f"{name!r} cannot be a device's name. Use letters, digits and . - _ : / + @, and start "
            "with a letter or a digit."
        ) from error
    info = connect(ctx, remote).administration.add_device(registration)
    if as_json:
        typer.echo(info.model_dump_json())
        return
    typer.echo(_added(info))


@app.command("remove")
def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="As `qcpaas devices` lists it.")],
    remote: Remote = None,
) -> None:
    """Forget how a device is reached; its calibrations and jobs stay."""
    connect(ctx, remote).administration.remove_device(name)
    typer.echo(f"device {name} is removed.")


@app.command("available")
def available(
    ctx: typer.Context,
    adapter: Annotated[str, typer.Argument(help="Such as ibm, iqm, rigetti or braket.")],
    credentials: Credentials = "",
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """List what a vendor has for you; the name of each is its address."""
    found = connect(ctx, remote).administration.available_devices(adapter, credentials)
    tables.show_devices(found, as_json=as_json)


def _settings(given: list[str]) -> dict[str, JsonValue]:
    settings: dict[str, JsonValue] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"setting {text!r} is not of the form KEY=VALUE.")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def _added(info: DeviceInfo) -> str:
    known = f"calibration {info.snapshot_id[:12]}" if info.snapshot_id else "no calibration"
    return f"device {info.name} has {info.num_qubits} qubits and {known}."
