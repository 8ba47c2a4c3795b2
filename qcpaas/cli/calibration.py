"""``qcpaas calibration``: what is known of a device, now and then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from qcpaas.calibration import CalibrationReport, ValueHistory
from qcpaas.calibration_units import element, read_quantity
from qcpaas.cli import calibration_files, calibration_tables
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.history_plot import history_text
from qcpaas.cli.moments import read_moment
from qcpaas.cli.tables import console, print_all
from qcpaas.errors import InputError
from qcpaas.provider import RuntimeProvider
from qcpaas.wire import Wire

Device = Annotated[str, typer.Argument(help="As `qcpaas devices` lists it.")]
Qubits = Annotated[
    list[int] | None, typer.Option("--qubit", min=0, help="Repeatable; all where not given.")
]


def calibration(
    ctx: typer.Context,
    device: Device,
    *,
    qubit: Qubits = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="T", help="As it was then: 2026-11-20T08:00 (UTC), a date, 2h, 3d."),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="QUANTITY", help="How one value changed: t1_s, readout_p10, ..."),
    ] = None,
    gate: Annotated[str, typer.Option(help="With --history: of this gate on the qubits.")] = "",
    since: Annotated[str | None, typer.Option(metavar="T", help="With --history.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --history: draw an SVG, PNG or PDF.")
    ] = None,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="T1 T2", help="What changed between two moments."),
    ] = None,
    fits: Annotated[
        bool, typer.Option("--fits", help="What was measured here, promoted or rejected, and why.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --fits: how many at most.")] = 30,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the calibration to a file.")
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Take over what such a file says."),
    ] = None,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Show a device's calibration: values, errors, ages; how they changed; what was measured."""
    modes = {
        "--history": history, "--diff": diff, "--fits": fits or None, "--export": export,
        "--import": import_,
    }  # fmt: skip
    _check_modes([name for name, given in modes.items() if given is not None])
    if history is None and (plot is not None or since is not None or gate):
        raise InputError("--gate, --since and --plot go with --history QUANTITY.")
    qubits = tuple(qubit or ())
    if import_ is not None:
        report = calibration_files.take_over(import_, device, remote)
        _show_report(report, qubits, as_json=as_json)
        return
    provider = connect(ctx, remote)
    if history is not None:
        start = None if since is None else read_moment(since, end_of_day=False)
        found = provider.calibration_history(
            device, read_quantity(history), *qubits, gate=gate, since=start
        )
        _show_history(found, plot, as_json=as_json)
    elif diff is not None:
        _show_changes(provider, device, diff, as_json=as_json)
    elif fits:
        _show_fits(provider, device, limit, qubits, as_json=as_json)
    else:
        report = provider.calibration(device, None if at is None else read_moment(at))
        if export is not None:
            calibration_files.write(report, export)
            return
        _show_report(report, qubits, as_json=as_json)


def _check_modes(modes: Sequence[str]) -> None:
    if len(modes) > 1:
        raise InputError(f"{' and '.join(modes)} are different questions. Give one of them.")


def _show_report(report: CalibrationReport, qubits: Sequence[int], *, as_json: bool) -> None:
    beyond = [qubit for qubit in qubits if qubit >= report.num_qubits]
    if beyond:
        raise InputError(
            f"{report.device} has {report.num_qubits} qubits, numbered from 0; there is no qubit "
            f"{beyond[0]}."
        )
    if as_json:
        _echo(report)
        return
    width = console().width
    print_all(calibration_tables.calibration_tables(report, qubits, width))


def _show_history(history: ValueHistory, plot: Path | None, *, as_json: bool) -> None:
    if plot is not None:
        calibration_files.draw(history, plot)
    if as_json:
        _echo(history)
        return
    if not history.points:
        place = element(history.qubits, history.gate)
        typer.echo(f"{history.device} has reported no {history.quantity} of {place} in this time.")
        return
    shown_on = console()
    shown_on.print(calibration_tables.history_title(history))
    shown_on.print(history_text(history, shown_on.width))
    print_all(calibration_tables.history_tables(history))


def _show_changes(
    provider: RuntimeProvider, device: str, moments: tuple[str, str], *, as_json: bool
) -> None:
    before, after = (read_moment(text) for text in moments)
    found = provider.calibration_changes(device, before, after)
    if as_json:
        _echo(found)
        return
    print_all(calibration_tables.difference_tables(found))


def _show_fits(
    provider: RuntimeProvider, device: str, limit: int, qubits: Sequence[int], *, as_json: bool
) -> None:
    found = provider.fits(device, limit)
    if qubits:
        found = [fit for fit in found if set(fit.qubits) & set(qubits)]
    if as_json:
        typer.echo(json.dumps([fit.model_dump(mode="json") for fit in found]))
        return
    print_all(calibration_tables.fits_tables(found))


def _echo(shown: Wire) -> None:
    typer.echo(shown.model_dump_json())
