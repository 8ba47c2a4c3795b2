"""``qcpaas user``: who may use a platform, and how much of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from qcpaas.cli.connection import AsJson, Remote
from qcpaas.cli.people_connection import connect_people
from qcpaas.cli.tables import print_all
from qcpaas.errors import Conflict, InputError, nearest
from qcpaas.operations import Operations
from qcpaas.scheduling import Role, UserInfo
from qcpaas.services import PeopleService

app = typer.Typer(help="Add, list and change the users of a platform.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and . @ - _")]
RoleOption = Annotated[
    Role | None,
    typer.Option("--role", help="An owner reserves and calibrates devices; user unless given."),
]
Weight = Annotated[
    float | None, typer.Option(help="Their share beside those of others; 1 unless given.")
]
RunningJobs = Annotated[int | None, typer.Option(help="At once; the platform's unless given.")]
QueuedJobs = Annotated[int | None, typer.Option(help="That wait; the platform's unless given.")]
QpuSeconds = Annotated[
    float | None, typer.Option("--qpu-s-a-day", help="The platform's unless given.")
]


@app.command("add")
def add(
    ctx: typer.Context,
    name: Name,
    *,
    role: RoleOption = None,
    weight: Weight = None,
    running_jobs: RunningJobs = None,
    queued_jobs: QueuedJobs = None,
    qpu_s_a_day: QpuSeconds = None,
    remote: Remote = None,
) -> None:
    """Add a user; `qcpaas token create` then makes what lets them in."""
    people = connect_people(ctx, remote)
    if any(user.name == name for user in people.users()):
        raise Conflict(f"there is a user {name!r} already. Change them with `qcpaas user set`.")
    limits = _given(running_jobs=running_jobs, queued_jobs=queued_jobs, qpu_s_a_day=qpu_s_a_day)
    kept = people.keep_user(_user(name=name, limits=limits, **_given(role=role, weight=weight)))
    typer.echo(f"{kept.name} is {kept.role.value} now. `qcpaas token create {name}` lets them in.")


@app.command("list")
def list_users(ctx: typer.Context, *, as_json: AsJson = False, remote: Remote = None) -> None:
    """List the users with their roles, shares and limits."""
    found = connect_people(ctx, remote).users()
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
    else:
        print_all([_table(found)])


@app.command("set")
def change(
    ctx: typer.Context,
    name: Name,
    *,
    role: RoleOption = None,
    weight: Weight = None,
    running_jobs: RunningJobs = None,
    queued_jobs: QueuedJobs = None,
    qpu_s_a_day: QpuSeconds = None,
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Whether they are let in.")
    ] = None,
    remote: Remote = None,
) -> None:
    """Change what is given; the rest stays."""
    people = connect_people(ctx, remote)
    known = _known(people, name).model_dump()
    known["limits"] |= _given(
        running_jobs=running_jobs, queued_jobs=queued_jobs, qpu_s_a_day=qpu_s_a_day
    )
    kept = people.keep_user(_user(**known | _given(role=role, weight=weight, disabled=disable)))
    print_all([_table([kept])])


def _known(people: PeopleService | Operations, name: str) -> UserInfo:
    users = {user.name: user for user in people.users()}
    if name not in users:
        raise InputError(f"there is no user {name!r}. {nearest(name, users)}")
    return users[name]


def _user(**told: Any) -> UserInfo:
    try:
        return UserInfo.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}."
        ) from error


def _given(**told: Any) -> dict[str, Any]:
    return {key: value for key, value in told.items() if value is not None}


def _table(found: Sequence[UserInfo]) -> Table:
    table = Table("user", "role", "share", "running", "queued", "QPU s a day", "let in")
    for one in found:
        limits = one.limits
        table.add_row(
            one.name,
            one.role.value,
            f"{one.weight:g}",
            *map(_limit, (limits.running_jobs, limits.queued_jobs, limits.qpu_s_a_day)),
            "no" if one.disabled else "yes",
        )
    return table


def _limit(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
