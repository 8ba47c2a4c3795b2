"""``qcpaas usage``: what jobs took, and how much is left of what one may have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.moments import read_moment
from qcpaas.cli.tables import print_all
from qcpaas.scheduling import Usage


def usage(
    ctx: typer.Context,
    *,
    since: Annotated[str, typer.Option(help="A date, or how long ago: 2h, 7d.")] = "30d",
    user: Annotated[str, typer.Option(help="Another's; for administrators.")] = "",
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Show jobs, device time and cost of a time; an administrator sees everybody's."""
    begin = read_moment(since, end_of_day=False)
    found = connect(ctx, remote).operations.usage(begin, user)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    if not found:
        print_all([Text("nobody has submitted a job.")])
        return
    print_all([_table(found)])


def _table(found: Sequence[Usage]) -> Table:
    """What there is, with its limit where there is one: ``3 of 10``."""
    table = Table("user", "jobs", "running", "waiting", "device s", "device s today", "cost")
    for one in found:
        limits = one.limits
        table.add_row(
            one.user,
            str(one.jobs),
            _of(one.running_jobs, limits.running_jobs),
            _of(one.queued_jobs, limits.queued_jobs),
            f"{one.qpu_s:.4g}",
            _of(one.qpu_s_today, limits.qpu_s_a_day),
            ", ".join(f"{amount:.2f} {name}" for name, amount in sorted(one.costs.items())) or "-",
        )
    return table


def _of(value: float, limit: float | None) -> str:
    return f"{value:.4g}" if limit is None else f"{value:.4g} of {limit:.4g}"
