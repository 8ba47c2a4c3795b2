"""Jobs, devices and options as tables for people, or as JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.table import Table

from qcpaas.cli.figures import age, plain, result_tables, summary
from qcpaas.cli.partial import partial_tables
from qcpaas.cli.schedules import ending_text, schedule_rows, waiting_text
from qcpaas.devices import CredentialsInfo, DeviceInfo
from qcpaas.jobs import RuntimeJob
from qcpaas.partial import PartialResult
from qcpaas.schemas import JobRecord, JobState, OptionInfo, PrunedJob

_PIPED_COLUMNS = 160


def show_result(job: RuntimeJob, *, as_json: bool) -> None:
    """A finished job's value and how it came about.

    Raises:
        NotReady: It is unfinished.
        QCPaaSError: The job's own error, where it failed.
    """
    value, manifest = job.answer()
    if as_json:
        shown = {
            "job_id": job.job_id,
            "value": plain(value),
            "manifest": manifest.model_dump(mode="json"),
        }
        typer.echo(json.dumps(shown))
        return
    shown_on = console()
    for table in result_tables(value, manifest):
        shown_on.print(table)
    shown_on.print(summary(job.job_id, manifest))


def show_partial(partial: PartialResult, *, as_json: bool) -> None:
    """What a job has finished so far."""
    if as_json:
        typer.echo(json.dumps(plain(partial.model_dump(mode="json"))))
        return
    print_all(partial_tables(partial))


def show_pruned(pruned: Sequence[PrunedJob], older_than: str, *, dry_run: bool) -> None:
    """Jobs whose results went, or would go, and how much space that gives back."""
    if not pruned:
        typer.echo(f"No job ended longer ago than {older_than}: nothing to remove.")
        return
    table = _table("job", "name", "ended (UTC)", "size")
    for job in pruned:
        ended = f"{job.finished_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        table.add_row(job.job_id, job.name, ended, _size(job.size_bytes))
    _print(table, "")
    total = _size(sum(job.size_bytes for job in pruned))
    jobs = "1 job" if len(pruned) == 1 else f"{len(pruned)} jobs"
    typer.echo(
        f"The results of {jobs} would go, {total}. Nothing was removed (--dry-run)."
        if dry_run
        else f"The results of {jobs} were removed, {total}. Their records stay."
    )


def show_jobs(records: Sequence[JobRecord], *, as_json: bool) -> None:
    if as_json:
        _echo(records)
        return
    table = _table("job", "name", "device", "options", "state", "progress", "created (UTC)", "took")
    for record in records:
        table.add_row(
            record.job_id,
            record.name,
            record.backend,
            ", ".join(record.options),
            record.state.value,
            waiting_text(record)
            or ", ".join(filter(None, (_progress(record), ending_text(record)))),
            f"{record.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            _took(record),
        )
    _print(table, "No jobs yet. `qcpaas run FILE` makes one.")
    if any(record.waits_for_person for record in records):
        typer.echo("held or interrupted: `qcpaas job ID` says why, `qcpaas resume ID` goes on.")


def show_job(record: JobRecord, address: str | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**record.model_dump(mode="json"), "address": address}))
        return
    rows = {
        "job": record.job_id,
        "name": record.name,
        "kind": record.kind,
        "device": record.backend,
        "options": ", ".join(record.options) or "none",
        "state": record.state.value,
        "progress": _progress(record),
        "figures": ", ".join(f"{k} {v:.6g}" for k, v in record.progress.metrics.items()),
        "created": f"{record.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "took": _took(record),
        **dict(schedule_rows(record)),
        **_reason(record),
        "watch at": address or "",
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    _print(table, "")
    if record.error is not None and record.error.traceback_text:
        typer.echo(record.error.traceback_text)


def show_devices(devices: Sequence[DeviceInfo], *, as_json: bool) -> None:
    if as_json:
        _echo(devices)
        return
    table = _table("device", "qubits", "adapter", "calibration", "calibrated", "description")
    for device in sorted(devices, key=lambda device: (device.num_qubits, device.name)):
        table.add_row(
            device.name,
            str(device.num_qubits),
            device.adapter,
            (device.snapshot_id or "")[:12],
            _calibrated(device),
            device.description,
        )
    _print(table, "No devices are registered.")


def show_credentials(kept: Sequence[CredentialsInfo], *, as_json: bool) -> None:
    if as_json:
        _echo(kept)
        return
    table = _table("credentials", "adapter")
    for each in kept:
        table.add_row(each.name, each.adapter)
    _print(table, "No credentials are kept.")


def show_options(options: Sequence[OptionInfo], *, as_json: bool) -> None:
    if as_json:
        _echo(options)
        return
    table = _table("option", "rank", "what it does", "needs", "settings")
    for option in sorted(options, key=lambda option: (option.rank, option.name)):
        settings = option.settings.get("properties", option.settings)
        table.add_row(
            option.name,
            str(option.rank),
            option.summary,
            ", ".join(option.requires),
            ", ".join(settings),
        )
    _print(table, "The worker has no options.")


def _echo(models: Sequence[BaseModel]) -> None:
    typer.echo(json.dumps([model.model_dump(mode="json") for model in models]))


def _print(table: Table, empty: str) -> None:
    console().print(table if table.row_count else empty)


def print_all(parts: Iterable[RenderableType]) -> None:
    shown_on = console()
    for part in parts:
        shown_on.print(part)


def console() -> Console:
    # Away from a terminal Rich assumes 80 columns, and folds what another program would read.
    narrow = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _PIPED_COLUMNS if narrow else None
    # Users' texts may look like Rich's markup.
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        # A name that is cut off cannot be used in the next command.
        table.add_column(column, overflow="fold", no_wrap=column in {"job", "device", "option"})
    return table


def _way(record: JobRecord) -> str:
    """How far it is, or when it begins."""
    parts = (waiting_text(record), _progress(record), ending_text(record))
    return ", ".join(part for part in parts if part)


def _progress(record: JobRecord) -> str:
    progress = record.progress
    count = "" if progress.total is None else f"{progress.done:g}/{progress.total:g}"
    return " ".join(part for part in (progress.stage, count, progress.message) if part)


def _reason(record: JobRecord) -> dict[str, str]:
    """Why a job failed, or what it waits for."""
    if record.error is None:
        return {}
    if record.state is JobState.HELD:
        return {"waits for": record.error.message}
    if record.state is JobState.INTERRUPTED:
        return {"interrupted": record.error.message}
    return {"error": f"{record.error.type}: {record.error.message}"}


def _calibrated(device: DeviceInfo) -> str:
    """How old its calibration is, and whether it still answers."""
    known = ""
    if device.calibrated_at is not None:
        known = f"{age((datetime.now(UTC) - device.calibrated_at).total_seconds())} ago"
    return ", ".join(filter(None, (known, "did not answer" if device.problem else "")))


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} GB"


def _took(record: JobRecord) -> str:
    if record.started_at is None:
        return ""
    end = record.finished_at or datetime.now(UTC)
    return f"{(end - record.started_at).total_seconds():.1f} s"
