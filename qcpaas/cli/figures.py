"""A result's values with their standard errors, and how they came about."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from qcpaas.binding import CalibrationChange
from qcpaas.manifest import Manifest
from qcpaas.schemas import CircuitJob, Observable

_SHOWN_PLACEMENTS = 3
_SHOWN_OUTCOMES = 16
_ERROR_SUFFIXES = ("_std_error", "_error")


def value_with_error(value: float, std_error: float | None) -> str:
    """``-1.137(2)`` written out: the value to the second digit of its standard error.

    >>> value_with_error(-1.13712, 0.00234)
    '-1.1371 ± 0.0023'
    """
    if std_error is None or not math.isfinite(std_error):
        return f"{value:.6g}"
    if std_error == 0:
        return f"{value:.8g} (exact)"
    digits = max(0, 1 - math.floor(math.log10(std_error)))
    return f"{value:.{digits}f} ± {std_error:.{digits}f}"


def result_tables(value: Any, manifest: Manifest) -> Iterator[Table | Text]:
    """A decoded result as tables: of circuits, or of what a workload returned."""
    if isinstance(manifest.job, CircuitJob):
        for item, asked in zip(value, manifest.job.items, strict=True):
            if item.get("counts") is not None:
                yield from _counts_tables(item)
            else:
                yield _expectation_table(item, asked.observables or ())
        return
    value = plain(value, finite=False)
    if not isinstance(value, Mapping):
        yield Text(_short(value))
        return
    table = Table("result", "value", box=None, header_style="bold")
    for name, figure, std_error in with_errors(value):
        is_number = isinstance(figure, int | float) and not isinstance(figure, bool)
        table.add_row(name, value_with_error(figure, std_error) if is_number else _short(figure))
    yield table


def _expectation_table(item: Mapping[str, Any], observables: Sequence[Observable]) -> Table:
    raw = item.get("raw_values")
    headers = ["point", "observable", "expectation value", *(["raw"] if raw is not None else [])]
    table = Table(
        *headers, title=item["circuit"], title_justify="left", box=None, header_style="bold"
    )
    for point, row in enumerate(plain(item["expectation_values"])):
        for column, value in enumerate(row):
            name = _observable_text(observables[column]) if column < len(observables) else ""
            cells = [str(point), name, value_with_error(value, item["std_errors"][point][column])]
            if raw is not None:
                error = item.get("raw_std_errors")
                raw_error = None if error is None else error[point][column]
                cells.append(value_with_error(raw[point][column], raw_error))
            table.add_row(*cells)
    return table


def _counts_tables(item: Mapping[str, Any]) -> Iterator[Table]:
    for point, registers in enumerate(item["counts"]):
        for register, counts in registers.items():
            title = f"{item['circuit']}, register {register}"
            title += f", point {point}" if len(item["counts"]) > 1 else ""
            yield _counts_table(title, counts, exact=item.get("shots") is None)


def _counts_table(title: str, counts: Mapping[str, float], *, exact: bool) -> Table:
    headers = ["outcome", "probability"] if exact else ["outcome", "counts", "share"]
    table = Table(*headers, title=title, title_justify="left", box=None, header_style="bold")
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    for outcome, count in ordered[:_SHOWN_OUTCOMES]:
        share = count / total if total else 0.0
        error = math.sqrt(share * (1 - share) / total) if total else 0.0
        cells = [f"{count:.6g}"] if exact else [f"{count:g}", value_with_error(share, error)]
        table.add_row(outcome, *cells)
    left = len(ordered) - _SHOWN_OUTCOMES
    if left > 0:
        table.add_row(f"and {left} more", *[""] * (len(headers) - 1))
    return table


def summary(job_id: str, manifest: Manifest) -> Table:
    """How a result came about: device, calibration, time, seed."""
    table = Table(show_header=False, box=None)
    execution = manifest.job.execution
    options = ", ".join(option.name for option in execution.options) or "none"
    rows = {
        "job": job_id + (f", repeats {manifest.job.repeats}" if manifest.job.repeats else ""),
        "device": execution.backend,
        "options": options,
        "calibration": _newest(list(dict.fromkeys(_calibrations(manifest)))),
        "placed there": _newest(list(dict.fromkeys(u.reason for u in manifest.calibrations))),
        "calibration moved": _newest([_moved(change) for change in manifest.changes]),
        "shots": "exact" if execution.exact else str(execution.shots),
        "seed": str(execution.seed),
        "executions": str(manifest.execution_count),
        "QPU time": _qpu_time(manifest),
        "stages": ", ".join(f"{k} {v:.3g} s" for k, v in manifest.stage_seconds.items()),
        "look again": f"qcpaas result {job_id}",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    return table


def _calibrations(manifest: Manifest) -> Iterator[str]:
    for use in manifest.calibrations:
        qubits = ", ".join(map(str, use.physical_qubits))
        yield f"{use.snapshot_id[:12]}, {age(use.age_s)} old, qubits {qubits}"


def _moved(change: CalibrationChange) -> str:
    return f"{change.when} of call {change.call}: {change.reason} ({change.done})"


def _newest(texts: list[str]) -> str:
    """The last few; a long loop has many."""
    left = len(texts) - _SHOWN_PLACEMENTS
    shown = "\n".join(texts[-_SHOWN_PLACEMENTS:])
    return f"{shown}\nand {left} before" if left > 0 else shown


def _qpu_time(manifest: Manifest) -> str:
    spent = f"{manifest.spent_qpu_s:.3g} s spent"
    if manifest.estimate is None:
        return spent
    return f"{spent}, {manifest.estimate.qpu_s:.3g} s estimated"


def age(seconds: float) -> str:
    """A duration in the unit that a person would use."""
    for size, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"


def plain(value: Any, *, finite: bool = True) -> Any:
    """A decoded value in JSON's own types.

    Args:
        finite: Make ``None`` of NaN and infinities, which JSON lacks.
    """
    if hasattr(value, "tolist"):
        return plain(value.tolist(), finite=finite)
    if isinstance(value, Mapping):
        return {str(key): plain(item, finite=finite) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, finite=finite) for item in value]
    if finite and isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def with_errors(values: Mapping[str, Any]) -> Iterator[tuple[str, Any, float | None]]:
    """Names and values, each joined by its standard error where ``<name>_std_error`` is there."""
    errors = {
        f"{name}{suffix}"
        for name in values
        for suffix in _ERROR_SUFFIXES
        if f"{name}{suffix}" in values
    }
    for name, value in values.items():
        if name not in errors:
            found = (values.get(f"{name}{suffix}") for suffix in _ERROR_SUFFIXES)
            yield name, value, next((e for e in found if isinstance(e, int | float)), None)


def _observable_text(observable: Observable) -> str:
    terms = [
        term.pauli if term.coefficient == 1 else f"{term.coefficient:g}*{term.pauli}"
        for term in observable.terms
    ]
    text = " + ".join(terms[:4]).replace("+ -", "- ")
    return text if len(terms) <= 4 else f"{text} + {len(terms) - 4} terms"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 300 else f"{text[:300]}... (--json shows all)"
