"""A partial result for people: how far the job is, its curves, its newest calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from rich.table import Table
from rich.text import Text

from qcpaas.cli.figures import age, value_with_error
from qcpaas.partial import CallOutcome, FinishedCall, OpenSubmission, PartialResult

SHOWN_CALLS = 10
_SHOWN_VALUES = 4
_SHOWN_OUTCOMES = 4
_SHOWN_PARAMETERS = 3
PLOT_COLUMNS, PLOT_ROWS = 64, 8
_LEVELS = " ▁▂▃▄▅▆▇█"


def partial_tables(partial: PartialResult) -> Iterator[Table | Text]:
    """What there is, the newest last."""
    yield _heading(partial)
    for name, points in partial.metrics.items():
        if len(points) > 1:
            yield Text(curve_text(name, points))
    if partial.calls:
        yield _calls_table(partial)
    if partial.open_submissions:
        yield _open_table(partial.open_submissions)


def curve_text(name: str, points: Sequence[tuple[float, float]]) -> str:
    """A curve in characters, each an eighth of a row high; one column a step, or its mean."""
    finite = [(x, y) for x, y in points if y - y == 0]  # neither NaN nor infinite
    if not finite:
        return f"{name}: no finite value"
    columns = _columns([y for _, y in finite])
    low, high = min(columns), max(columns)
    span = high - low or 1.0
    # The lowest column is one eighth high, so that it is seen.
    heights = [1 + round((8 * PLOT_ROWS - 1) * (value - low) / span) for value in columns]
    labels = {0: f"{high:.6g}", PLOT_ROWS - 1: f"{low:.6g}"}
    margin = max(map(len, labels.values()))
    lines = [f"{name}, latest {points[-1][1]:.6g}"]
    for row in range(PLOT_ROWS):
        floor = 8 * (PLOT_ROWS - 1 - row)
        bar = "".join(_LEVELS[min(8, max(0, height - floor))] for height in heights)
        lines.append(f"{labels.get(row, ''):>{margin}} ┤{bar}".rstrip())
    first, last = f"{finite[0][0]:g}", f"{finite[-1][0]:g}"
    width = max(len(columns), len(first) + 1 + len(last))
    lines.append(f"{'':{margin}}  {first}{last:>{width - len(first)}}")
    return "\n".join(lines)


def _columns(values: Sequence[float]) -> list[float]:
    """At most as many values as the plot is wide, each the mean of its share."""
    count = min(len(values), PLOT_COLUMNS)
    edges = [index * len(values) // count for index in range(count + 1)]
    shares = (values[start:stop] for start, stop in pairwise(edges))
    return [sum(share) / len(share) for share in shares]


def _heading(partial: PartialResult) -> Table:
    progress = partial.progress
    count = f"{progress.done:g} of {progress.total:g}" if progress.total else ""
    figures = ", ".join(f"{name} {value:.6g}" for name, value in progress.metrics.items())
    rows = {
        "job": f"{partial.job_id}, {partial.state}",
        "progress": " ".join(filter(None, (progress.stage, count, progress.message))),
        "figures": figures,
        "finished calls": str(partial.finished),
        "checkpoint": "kept" if partial.checkpoint is not None else "",
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    return table


def _calls_table(partial: PartialResult) -> Table:
    shown = partial.calls[-SHOWN_CALLS:]
    title = f"the newest {len(shown)} of {partial.finished} finished calls"
    table = Table(
        "call",
        "circuits",
        "parameters",
        "value ± standard error, or counts",
        "finished (UTC)",
        title=title,
        title_justify="left",
        box=None,
        header_style="bold",
    )
    for call in shown:
        table.add_row(
            str(call.index),
            _named(call.circuits),
            _parameters(call),
            "; ".join(_outcome(outcome) for outcome in call.outcomes[:_SHOWN_VALUES])
            + _more(len(call.outcomes) - _SHOWN_VALUES),
            f"{call.finished_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        )
    return table


def _open_table(submissions: Sequence[OpenSubmission]) -> Table:
    table = Table(
        "device",
        "device job",
        "token",
        "sent",
        title="sent, and not answered yet",
        title_justify="left",
        box=None,
        header_style="bold",
    )
    for submission in submissions:
        since = (datetime.now(UTC) - submission.submitted_at).total_seconds()
        found = submission.device_job_id or "not known"
        table.add_row(submission.device, found, submission.token, f"{age(since)} ago")
    return table


def _outcome(outcome: CallOutcome) -> str:
    if outcome.counts is not None:
        point = outcome.counts[0] if outcome.counts else {}
        best = sorted(point.items(), key=lambda entry: (-entry[1], entry[0]))
        text = ", ".join(f"{bits} {weight:g}" for bits, weight in best[:_SHOWN_OUTCOMES])
        return text + _more(len(best) - _SHOWN_OUTCOMES) + _points(len(outcome.counts))
    errors = [error for row in outcome.standard_errors or () for error in row]
    values = [value for row in outcome.values or () for value in row]
    shown = [
        value_with_error(value, errors[place] if place < len(errors) else None)
        for place, value in enumerate(values[:_SHOWN_VALUES])
    ]
    return ", ".join(shown) + _more(len(values) - _SHOWN_VALUES)


def _parameters(call: FinishedCall) -> str:
    rows = next((rows for rows in call.parameter_values if any(rows)), ())
    if not rows:
        return ""
    text = ", ".join(f"{value:.4g}" for value in rows[0][:_SHOWN_PARAMETERS])
    return text + _more(len(rows[0]) - _SHOWN_PARAMETERS) + _points(len(rows))


def _named(circuits: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(circuits))
    return ", ".join(distinct[:2]) + _more(len(distinct) - 2)


def _more(left: int) -> str:
    return f" and {left} more" if left > 0 else ""


def _points(count: int) -> str:
    return f" (of {count} points the first)" if count > 1 else ""
