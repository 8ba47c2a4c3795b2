"""Errors across a process boundary: an exception to a report, and back."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

from qcpaas import errors
from qcpaas.errors import (
    JobCancelled,
    JobFailed,
    JobHeld,
    QCPaaSError,
    Superseded,
    WorkloadError,
)
from qcpaas.schemas import ErrorReport
from qcpaas.unpacking import as_named_by_user, is_user_file

# Where the code stood then is no part of the reason.
_FROM_OUTSIDE = (JobCancelled, JobHeld, Superseded)
_PLATFORM = f"{Path(__file__).parent}{os.sep}"  # every call into the platform enters through here


def report_error(error: BaseException) -> ErrorReport:
    """What a client needs to know of an error.

    An error of our tree keeps its class, a class derived elsewhere counts as the one in the tree
    that it comes from. Any other becomes `WorkloadError` where it passed through
    the user's modules, and `JobFailed` elsewhere. The traceback starts at the user's own lines.
    """
    text = "" if isinstance(error, _FROM_OUTSIDE) else user_traceback(error)
    if isinstance(error, QCPaaSError):
        return ErrorReport(
            type=_class_in_tree(type(error)).__name__,
            message=as_named_by_user(str(error)),
            retryable=error.retryable,
            traceback_text=as_named_by_user(getattr(error, "traceback_text", "")) or text,
        )
    kind = WorkloadError if text else JobFailed
    told = "".join(traceback.format_exception_only(error)).strip()
    return ErrorReport(
        type=kind.__name__,
        message=as_named_by_user(told.splitlines()[-1]) if told else type(error).__name__,
        retryable=kind.retryable,
        traceback_text=text or "".join(traceback.format_exception(error)),
    )


def _class_in_tree(kind: type[QCPaaSError]) -> type[QCPaaSError]:
    return next(each for each in kind.__mro__ if each.__module__ == errors.__name__)


def rebuild(report: ErrorReport) -> QCPaaSError:
    """The error that a report describes; a class that is not in `qcpaas.errors` is `JobFailed`."""
    kind = getattr(errors, report.type, None)
    if not (isinstance(kind, type) and issubclass(kind, QCPaaSError)):
        rebuilt: QCPaaSError = JobFailed(f"{report.type}: {report.message}")
    elif issubclass(kind, WorkloadError):
        rebuilt = kind(report.message, report.traceback_text)
    else:
        rebuilt = kind(report.message)
    if report.traceback_text:
        rebuilt.add_note(report.traceback_text)
    return rebuilt


def user_traceback(error: BaseException) -> str:
    """The traceback from the user's first line on; empty where no user code took part."""
    frames = _user_frames(error.__traceback__)
    if not frames:
        return ""
    lines = [
        "Traceback (most recent call last):\n",
        *traceback.format_list(frames),
        *traceback.format_exception_only(error),
    ]
    return as_named_by_user("".join(lines))


def _user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The user's frames and those of libraries that they call; none of the platform's.

    What the platform calls in its turn is left out too, up to the user's next frame.
    """
    kept: list[traceback.FrameSummary] = []
    inside_platform = True
    for frame in traceback.extract_tb(trace):
        if is_user_file(frame.filename):
            inside_platform = False
        elif frame.filename.startswith(_PLATFORM):
            inside_platform = True
        if not inside_platform:
            kept.append(frame)
    return kept
