"""The command line as a whole: its commands, and what an error looks like."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from qcpaas.cli import (
    calibrating,
    calibration,
    credentials,
    device,
    devices,
    estimate,
    feedback,
    images,
    inspection,
    noise,
    recovery,
    reservations,
    run,
    tokens,
    usage,
    users,
    workers,
)
from qcpaas.cli.connection import REMEMBERED
from qcpaas.errors import JobFailed, QCPaaSError
from qcpaas.reports import rebuild, report_error

_DEFECT = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
_ADDRESS = re.compile(r"https?://|[\w.-]+:\d+$")


class _Program(TyperGroup):
    """Reads ``--remote`` with and without an address, and turns errors into messages."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _spell_out_remote(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except QCPaaSError as error:
            raise typer.Exit(_told(error)) from None
        except Exception as error:
            # Exits and usage errors are Typer's own business.
            if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "format_message"):
                raise
            if os.environ.get("QCPAAS_DEBUG"):
                raise
            raise typer.Exit(_unexpected(error)) from None


def _told(error: QCPaaSError) -> int:
    """Say what went wrong; of a traceback only the user's own lines."""
    text = getattr(error, "traceback_text", "").rstrip()
    if not text and not isinstance(error, JobFailed):  # whose traceback is the platform's
        text = "\n".join(getattr(error, "__notes__", ())).rstrip()
    if text:
        sys.stderr.write(f"{text}\n\n")
    _say(str(error) or type(error).__name__)
    return error.exit_code


def _unexpected(error: Exception) -> int:
    report = report_error(error)
    if report.type == "WorkloadError":
        return _told(rebuild(report))
    _say(
        f"unexpected {report.message}\nThis is a defect of qcpaas, not of your job. "
        "QCPAAS_DEBUG=1 shows the traceback for a report."
    )
    return _DEFECT


def _say(message: str) -> None:
    sys.stderr.write(f"qcpaas: {message}\n")


def _spell_out_remote(args: list[str]) -> list[str]:
    """``--remote`` without an address means the platform that this machine remembers."""
    spelt: list[str] = []
    rest = iter(enumerate(args))
    for index, argument in rest:
        following = args[index + 1] if index + 1 < len(args) else ""
        if argument == "--":
            return [*spelt, *args[index:]]
        if argument == "--remote":
            given = bool(_ADDRESS.match(following))
            spelt.append(f"--remote={following if given else REMEMBERED}")
            if given:
                next(rest)
        else:
            spelt.append(argument)
    return spelt


app = typer.Typer(
    cls=_Program,
    name="qcpaas",
    help="Run hybrid quantum-classical jobs, here or on a running platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("estimate")(estimate.estimate)
app.command("rerun")(run.rerun)
app.command("resume")(recovery.resume)
app.command("jobs")(inspection.jobs)
app.command("job")(inspection.job)
app.command("result")(inspection.result)
app.command("logs")(inspection.logs)
app.command("cancel")(inspection.cancel)
app.command("gc")(recovery.gc)
app.add_typer(devices.app, name="devices")
app.add_typer(credentials.app, name="credentials")
app.command("options")(inspection.options)
app.command("calibration")(calibration.calibration)
app.command("calibrate")(calibrating.calibrate)
app.command("feedback")(feedback.feedback)
app.command("noise")(noise.noise)
app.command("workers")(workers.workers)
app.command("usage")(usage.usage)
app.add_typer(reservations.app, name="reservations")
app.add_typer(device.app, name="device")
app.add_typer(images.app, name="image")
app.add_typer(users.app, name="user")
app.add_typer(tokens.app, name="token")
