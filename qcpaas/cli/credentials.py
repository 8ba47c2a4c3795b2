"""``qcpaas credentials``: what opens vendors' devices; secrets go in and are never shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from qcpaas.cli import tables
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.devices import CredentialsKind
from qcpaas.errors import InputError, UnknownDevice, nearest

app = typer.Typer(help="Keep what opens vendors' devices.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="What devices call them: lower case, digits, dashes.")]
Adapter = Annotated[str, typer.Option(help="Whose: ibm, iqm, rigetti, braket, qpu.")]


@app.callback()
def credentials(ctx: typer.Context, as_json: AsJson = False, remote: Remote = None) -> None:
    """List the credentials that are kept, without what they hold; add and remove them."""
    if ctx.invoked_subcommand is None:
        found = connect(ctx, remote).administration.credentials()
        tables.show_credentials(found, as_json=as_json)


@app.command("add")
def add(
    ctx: typer.Context,
    name: Name,
    *,
    adapter: Adapter,
    from_environment: Annotated[
        bool,
        typer.Option(
            "--from-environment", help="Take the vendor's usual variables, and ask nothing."
        ),
    ] = False,
    remote: Remote = None,
) -> None:
    """Keep credentials; each field is asked for, secrets unseen, or read as JSON from a pipe."""
    administration = connect(ctx, remote).administration
    kind = _kind(administration.credential_kinds(), adapter)
    if from_environment:
        values = _of_environment(kind)
    elif sys.stdin.isatty():
        values = _asked(kind)
    else:
        values = _piped(kind)
    administration.keep_credentials(name, adapter, values)
    typer.echo(
        f"credentials {name} of {adapter} are kept: {', '.join(values) or 'nothing in them'}."
    )


@app.command("remove")
def remove(ctx: typer.Context, name: Name, *, adapter: Adapter, remote: Remote = None) -> None:
    """Forget credentials; devices that are opened with them cannot be opened any more."""
    connect(ctx, remote).administration.remove_credentials(name, adapter)
    typer.echo(f"credentials {name} of {adapter} are removed.")


def _kind(kinds: Any, adapter: str) -> CredentialsKind:
    known: dict[str, CredentialsKind] = {kind.adapter: kind for kind in kinds}
    if adapter not in known:
        raise UnknownDevice(
            f"there is no adapter {adapter!r} with credentials. {nearest(adapter, known)}"
        )
    return known[adapter]


def _of_environment(kind: CredentialsKind) -> dict[str, SecretStr]:
    found = {}
    tried = []
    for field, schema in kind.fields.items():
        variables = schema.get("environment", [])
        tried += variables
        value = next(filter(None, map(os.environ.get, variables)), None)
        if value is not None:
            found[field] = SecretStr(value)
    if not found:
        raise InputError(f"none of {', '.join(tried) or 'no variables'} is set.")
    return found


def _asked(kind: CredentialsKind) -> dict[str, SecretStr]:
    """What a person types; an empty answer leaves a field out."""
    found = {}
    for field, schema in kind.fields.items():
        label = schema.get("description") or field
        value = typer.prompt(
            f"{field} ({label})" if label != field else field,
            default="",
            show_default=False,
            hide_input=is_secret(schema),
        )
        if value:
            found[field] = SecretStr(value)
    return found


def _piped(kind: CredentialsKind) -> dict[str, SecretStr]:
    try:
        told = json.loads(sys.stdin.read())
    except json.JSONDecodeError:
        told = None
    if not isinstance(told, dict) or not all(isinstance(each, str) for each in told.values()):
        raise InputError(
            "what came through the pipe is no JSON object of texts. Its fields are "
            f"{', '.join(kind.fields)}."
        )
    return {field: SecretStr(value) for field, value in told.items()}


def is_secret(schema: Mapping[str, Any]) -> bool:
    """Whether a field's JSON schema says that it is a password, also where it may be absent."""
    ways = [schema, *schema.get("anyOf", ())]
    return any(way.get("format") == "password" for way in ways)
