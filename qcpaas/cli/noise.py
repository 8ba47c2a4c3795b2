"""``qcpaas noise``: the noise of gate layers that jobs have learnt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.cli.calibration import Device
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.figures import age, value_with_error
from qcpaas.cli.tables import print_all
from qcpaas.noise import LayerNoise, NoiseReport

SHOWN_GATES = 4
METHODS = {"cycle_benchmarking": "cycle benchmarking", "process_tomography": "process tomography"}


def noise(
    ctx: typer.Context,
    device: Device,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what an earlier calibration was learnt under.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Show the noise of gate layers that jobs have learnt on a device."""
    report = connect(ctx, remote).learnt_noise(device)
    if as_json:
        typer.echo(report.model_dump_json())
        return
    print_all(noise_tables(report, everything=everything))


def noise_tables(
    report: NoiseReport, now: datetime | None = None, *, everything: bool = False
) -> Iterator[Table | Text]:
    """One row a layer, the newest first."""
    now = now or datetime.now(UTC)
    pairs = list(zip(report.learnt, report.valid, strict=True))
    shown = [(one, valid) for one, valid in pairs if valid or everything]
    if not shown:
        yield Text(
            f"{report.device}: no noise is known under its newest calibration. Jobs learn it for "
            "options that draw on it, such as ProbabilisticErrorCancellation with noise=learnt."
        )
    else:
        yield _table(report.device, shown, now)
    if len(shown) < len(pairs):
        left = len(pairs) - len(shown)
        yield Text(f"{left} more were learnt under earlier calibrations; --all shows them.")


def _table(device: str, shown: list[tuple[LayerNoise, bool]], now: datetime) -> Table:
    table = Table("gates", "qubits", title=f"Noise of layers of {device}", title_justify="left")
    table.add_column("gamma", justify="right")
    table.add_column("largest rate", justify="right")
    for column in ("of", "method", "age", "calibration"):
        table.add_column(column)
    for one, valid in shown:
        rate, error, pauli = largest_rate(one)
        table.add_row(
            _gates(one),
            " ".join(map(str, one.qubits)),
            f"{gamma(one):.4f}",
            value_with_error(rate, error),
            pauli,
            METHODS.get(one.method, one.method),
            "" if one.measured_at is None else age((now - one.measured_at).total_seconds()),
            "newest" if valid else "earlier",
        )
    return table


def gamma(noise: LayerNoise) -> float:
    """By how much cancelling this noise once multiplies the norm of a quasi-probability."""
    return math.exp(2 * sum(noise.rates))


def largest_rate(noise: LayerNoise) -> tuple[float, float | None, str]:
    """The rate, its standard error, and its generator as letters on physical qubits."""
    place = max(range(len(noise.rates)), key=noise.rates.__getitem__)
    letters = zip(noise.qubits, reversed(noise.paulis[place]), strict=True)
    named = " ".join(f"{letter}{qubit}" for qubit, letter in letters if letter != "I")
    error = noise.std_errors[place] if noise.std_errors else None
    return noise.rates[place], error, named


def _gates(noise: LayerNoise) -> str:
    named = [f"{gate.name} {'-'.join(map(str, gate.qubits))}" for gate in noise.layer.gates]
    more = len(named) - SHOWN_GATES
    return ", ".join(named[:SHOWN_GATES]) + (f" and {more} more" if more > 0 else "")
