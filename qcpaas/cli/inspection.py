"""The commands that look at what there is: jobs, results, logs, devices, options."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated

import typer

from qcpaas.cli import tables
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.errors import InputError, JobHeld, NotReady

_ENDS_WITHIN_S = 15.0

JobId = Annotated[str, typer.Argument(help="As `qcpaas jobs` lists it.")]


def jobs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """List jobs, the newest first."""
    tables.show_jobs(connect(ctx, remote).jobs(limit), as_json=as_json)


def job(ctx: typer.Context, job_id: JobId, as_json: AsJson = False, remote: Remote = None) -> None:
    """Show a job's state and progress."""
    found = connect(ctx, remote).job(job_id)
    tables.show_job(found.record(), found.address(), as_json=as_json)


def result(
    ctx: typer.Context,
    job_id: JobId,
    *,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Print how the result came about, as JSON.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="What it has finished so far, whatever its state.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Show a finished job's result, or what an unfinished one has so far."""
    if partial and manifest:
        raise InputError("--manifest goes with a whole result. Give it without --partial.")
    found = connect(ctx, remote).job(job_id)
    if partial:
        tables.show_partial(found.partial(), as_json=as_json)
        return
    if manifest:
        typer.echo(found.manifest().model_dump_json(indent=2))
        return
    tables.show_result(found, as_json=as_json)


def logs(ctx: typer.Context, job_id: JobId, as_json: AsJson = False, remote: Remote = None) -> None:
    """Print a job's log."""
    lines = list(connect(ctx, remote).job(job_id).logs())
    typer.echo(json.dumps(lines) if as_json else "\n".join(lines))


def cancel(
    ctx: typer.Context, job_id: JobId, as_json: AsJson = False, remote: Remote = None
) -> None:
    """Cancel a job, and its device jobs."""
    found = connect(ctx, remote).job(job_id)
    found.cancel()
    with suppress(NotReady, JobHeld):  # a worker ends the process in its own time
        found.wait(_ENDS_WITHIN_S)
    record = found.record()
    told = record.error.message if record.error is not None else ""
    if as_json:
        typer.echo(json.dumps({"job_id": job_id, "state": record.state.value, "message": told}))
        return
    if record.state.finished:
        typer.echo(f"job {job_id} is {record.state}" + (f": {told}" if told else ""))
    else:
        typer.echo(f"job {job_id} was asked to end; `qcpaas job {job_id}` says when it has.")


def options(ctx: typer.Context, as_json: AsJson = False, remote: Remote = None) -> None:
    """List execution options, outermost first."""
    tables.show_options(connect(ctx, remote).options(), as_json=as_json)
