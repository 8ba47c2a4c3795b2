"""``qcpaas token``: what lets people and programs into a platform."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from qcpaas.cli.connection import AsJson, Remote
from qcpaas.cli.moments import read_duration, read_moment
from qcpaas.cli.people_connection import connect_people
from qcpaas.cli.tables import print_all
from qcpaas.scheduling import TokenInfo

app = typer.Typer(help="Make, list and revoke the tokens that open a platform.")

_NO_ARGUMENT = "yours with --remote, everybody's on the platform's machine, unless given"


@app.command("create")
def create(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose it will be.")],
    *,
    label: Annotated[str, typer.Option(help="What it is for, for people to read.")] = "",
    expires: Annotated[
        str, typer.Option(help="When it ends: 90d, 12h or 2027-01-31; never unless given.")
    ] = "",
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Make a token and print it, this once; the platform keeps its hash."""
    ends = _end(expires) if expires else None
    made = connect_people(ctx, remote).create_token(user, label, ends)
    if as_json:
        typer.echo(json.dumps({**made.info.model_dump(mode="json"), "token": made.token}))
    else:
        typer.echo(made.token)


@app.command("list")
def list_tokens(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(metavar="[USER]", help=_NO_ARGUMENT)] = "",
    *,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """List tokens, without the tokens."""
    found = connect_people(ctx, remote).tokens(user)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
    else:
        print_all([_table(found)])


@app.command("revoke")
def revoke(
    ctx: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `qcpaas token list` has it.")],
    remote: Remote = None,
) -> None:
    """Close a token for good, from this moment on."""
    connect_people(ctx, remote).revoke_token(token_id)
    typer.echo(f"token {token_id} opens nothing any more.")


def _end(text: str) -> datetime:
    """A moment to come, or how long from now."""
    duration = read_duration(text)
    return read_moment(text) if duration is None else datetime.now(UTC) + duration


def _table(found: Sequence[TokenInfo]) -> Table:
    table = Table("id", "user", "label", "made (UTC)", "ends", "last used", "state")
    now = datetime.now(UTC)
    for one in found:
        ended = one.expires_at is not None and one.expires_at <= now
        state = "revoked" if one.revoked_at else "ended" if ended else "open"
        moments = (one.created_at, one.expires_at, one.used_at)
        table.add_row(one.token_id, one.user, one.label or "-", *map(_moment, moments), state)
    return table


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
