"""``qcpaas workers``: who takes up jobs, and what each has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.figures import age
from qcpaas.cli.tables import print_all
from qcpaas.scheduling import WorkerInfo


def workers(
    ctx: typer.Context,
    *,
    packages: Annotated[
        bool, typer.Option("--packages", help="Also the distributions that each has installed.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """List the workers that are alive, with what each of them has."""
    found = connect(ctx, remote).operations.workers()
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    if not found:
        print_all([Text("no worker is alive.")])
        return
    print_all([_table(found), *(_packages(one) for one in found if packages)])


def _table(found: Sequence[WorkerInfo]) -> Table:
    table = Table(
        "worker", "pool", "image", "python", "CPUs", "memory", "GPUs", "options", "adapters", "seen"
    )
    for one in found:
        table.add_row(
            one.name,
            one.pool,
            one.image or "-",
            one.python,
            str(one.cpus),
            f"{one.memory_mib / 1024:.1f} GiB",
            ", ".join(one.gpus) or "-",
            str(len(one.options)),
            ", ".join(one.adapters),
            f"{age((datetime.now(UTC) - one.renewed_at).total_seconds())} ago",
        )
    return table


def _packages(one: WorkerInfo) -> Table:
    table = Table(f"installed at {one.name}", "version")
    for name in sorted(one.distributions, key=str.casefold):
        table.add_row(name, one.distributions[name])
    return table
