"""``qcpaas feedback``: what observed fidelities say about a device's calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.binding import FeedbackReport, LearntFactor
from qcpaas.cli.calibration import Device
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.figures import age
from qcpaas.cli.tables import print_all
from qcpaas.errors import InputError
from qcpaas.provider import RuntimeProvider

SHOWN_FACTORS = 20
SHOWN_OBSERVATIONS = 10
KINDS = {"two_qubit": "coupler", "one_qubit": "gates", "readout": "readout", "idle": "waiting"}


def feedback(
    ctx: typer.Context,
    device: Device,
    *,
    job: Annotated[
        str | None, typer.Option("--job", help="Learn from the fidelity of this finished job.")
    ] = None,
    fidelity: Annotated[
        float | None, typer.Option(help="With --job: as you know it, above 0, at most 1.")
    ] = None,
    error: Annotated[
        float | None, typer.Option(min=0, help="With --job: the fidelity's standard error.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget what was observed and learnt.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Show how far a device's errors are from their calibration, as observed fidelities say."""
    given = [job is not None, fidelity is not None, error is not None]
    if any(given) and not all(given):
        raise InputError("--job, --fidelity and --error go together.")
    if reset and job is not None:
        raise InputError("--reset forgets, and --job adds. Give one of them.")
    provider = connect(ctx, remote)
    report = _asked(provider, device, job, fidelity, error, reset=reset)
    if as_json:
        typer.echo(report.model_dump_json())
        return
    print_all(feedback_tables(report))


def _asked(
    provider: RuntimeProvider,
    device: str,
    job: str | None,
    fidelity: float | None,
    error: float | None,
    *,
    reset: bool,
) -> FeedbackReport:
    if job is not None and fidelity is not None and error is not None:
        return provider.observe_fidelity(job, fidelity, error, device)
    return provider.reset_feedback(device) if reset else provider.feedback(device)


def feedback_tables(report: FeedbackReport, now: datetime | None = None) -> Iterator[Table | Text]:
    """The most surprising factors, and the newest observations."""
    now = now or datetime.now(UTC)
    if not report.observations:
        yield Text(
            f"{report.device}: no fidelity was observed. Echo circuits observe some where a job's "
            "binding policy has an echo_rate; --job adds what you know yourself."
        )
        return
    since = (
        ""
        if report.updated_at is None
        else f", the last {age((now - report.updated_at).total_seconds())} ago"
    )
    yield Text(f"{report.device}: {report.observations} fidelities observed{since}")
    yield _factors(report.factors[:SHOWN_FACTORS])
    if len(report.factors) > SHOWN_FACTORS:
        yield Text(f"{len(report.factors) - SHOWN_FACTORS} more are closer to their calibration.")
    yield _observations(report, now)


def _factors(factors: tuple[LearntFactor, ...]) -> Table:
    table = Table(
        "element", "qubits", title="True error over calibrated error", title_justify="left"
    )
    table.add_column("factor", justify="right")
    table.add_column("68 % between", justify="right")
    for one in factors:
        low, high = (one.factor * math.exp(side * one.log_std_error) for side in (-1, 1))
        qubits = "-".join(map(str, one.qubits))
        name = KINDS.get(one.kind, one.kind)
        table.add_row(name, qubits, f"{one.factor:.2f}", f"{low:.2f} and {high:.2f}")
    return table


def _observations(report: FeedbackReport, now: datetime) -> Table:
    table = Table("job", "seen by", title="Newest observations", title_justify="left")
    for column in ("fidelity", "promised", "age"):
        table.add_column(column, justify="right")
    for one in report.newest[:SHOWN_OBSERVATIONS]:
        seen = math.exp(one.log_fidelity)
        error = seen * one.std_error
        table.add_row(
            one.job_id,
            one.source,
            f"{seen:.3f} ± {error:.3f}",
            f"{math.exp(one.predicted):.3f}",
            age((now - one.observed_at).total_seconds()),
        )
    return table
