"""A job's progress while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from qcpaas import schemas
from qcpaas.cli.schedules import waiting_text
from qcpaas.errors import JobCancelled, JobHeld, NotReady, PlatformUnavailable
from qcpaas.jobs import RuntimeJob

_LINE_EVERY_S = 5.0
_CANCEL_WITHIN_S = 30.0


class _Display(Protocol):
    def show(self, record: schemas.JobRecord) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def follow(job: RuntimeJob, *, quiet: bool) -> schemas.JobRecord:
    """Show a job until it is finished or waits for a person.

    Ctrl-C cancels it, a second one leaves at once.

    Raises:
        JobCancelled: The user interrupted it.
    """
    console = Console(stderr=True, quiet=quiet, highlight=False, markup=False, emoji=False)
    address = job.address()
    console.print(f"job {job.job_id}" + (f", {address}" if address else ""), soft_wrap=True)
    try:
        with _Bar(console) if console.is_terminal else _Lines(console) as display:
            for record in job.watch():
                display.show(record)
        return record
    except KeyboardInterrupt:
        raise JobCancelled(_cancel(job)) from None


def _cancel(job: RuntimeJob) -> str:
    """Cancel a job and say how it ended."""
    sys.stderr.write(f"cancelling job {job.job_id}; Ctrl-C again leaves at once\n")
    try:
        job.cancel()
        return f"job {job.job_id} was {job.wait(_CANCEL_WITHIN_S).state}."
    except (JobHeld, NotReady, PlatformUnavailable) as error:
        return f"job {job.job_id} was asked to end, and may still be running: {error}"
    except KeyboardInterrupt:
        sys.stderr.write("left; the job may still be running\n")
        sys.stderr.flush()
        os._exit(130)  # not sys.exit, which waits for the embedded platform's thread


class _Bar:
    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("queued", total=None, count="", told="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, record: schemas.JobRecord) -> None:
        progress = record.progress
        self._bar.update(
            self._task,
            description=_stage(record),
            completed=progress.done,
            total=progress.total,
            count=_count(progress),
            told=_told(progress),
        )


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._shown = ("", -_LINE_EVERY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, record: schemas.JobRecord) -> None:
        """A line when the stage changes, and every 5 s while the figures change."""
        progress = record.progress
        stage = f"{record.state} {progress.stage}".strip()
        seconds = time.monotonic() - self._started
        if stage == self._shown[0] and seconds - self._shown[1] < _LINE_EVERY_S:
            return
        self._shown = (stage, seconds)
        waiting = "" if progress.stage else waiting_text(record)
        parts = [f"{seconds:6.1f} s", stage, waiting, _count(progress), _told(progress)]
        self._console.print("  ".join(part for part in parts if part), soft_wrap=True)


def _stage(record: schemas.JobRecord) -> str:
    """The stage where it is in one, else the state."""
    stopped = record.state in {schemas.JobState.INTERRUPTED, schemas.JobState.HELD}
    if stopped:
        return record.state.value
    return record.progress.stage or waiting_text(record) or record.state.value


def _count(progress: schemas.Progress) -> str:
    return "" if progress.total is None else f"{progress.done:g}/{progress.total:g}"


def _told(progress: schemas.Progress) -> str:
    figures = (f"{name} {value:.6g}" for name, value in progress.metrics.items())
    return "  ".join(part for part in (progress.message, *figures) if part)
