"""``qcpaas estimate``: what a job would take on each device, before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.cli.arguments import Inputs, Observables, Options, Parameters, Shots
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.figures import age
from qcpaas.cli.run import check_is_file, point, read_inputs, split_file
from qcpaas.cli.tables import print_all
from qcpaas.errors import InputError
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import (
    CircuitJob,
    ExecutionSettings,
    OptionSpec,
    WorkloadJob,
)

_DEFAULT_SHOTS = 4096


def estimate(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE[:CLASS]", help="A circuit or a workload, as `run` takes it."),
    ],
    *,
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", help="Device; repeatable. Every one that can run it if none."),
    ] = None,
    inputs: Inputs = None,
    options: Options = None,
    shots: Shots = None,
    observables: Observables = None,
    parameters: Parameters = None,
    fault_tolerant: Annotated[
        bool, typer.Option("--fault-tolerant", help="Also on an error-corrected machine.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Where each figure comes from.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Compare what a job would take on devices: seconds, success, money. Nothing is run."""
    path, class_name = split_file(file)
    settings: dict[str, Any] = {"backend": "", "options": _options(options), "shots": shots}
    check_is_file(path)  # before Qiskit is imported
    job: CircuitJob | WorkloadJob
    if class_name is not None or path.suffix == ".py":
        if observables or parameters:
            raise InputError("--observable and --parameters go with a circuit file only.")
        job = _workload(path, class_name, read_inputs(inputs or []), settings)
    else:
        if inputs:
            raise InputError(f"--input goes with a Python file only; {path} is a circuit.")
        points = [point(text) for text in parameters or []] or None
        job = _circuits(path, observables, points, settings)
    provider = connect(ctx, remote)
    found = provider.estimate(job, backends or (), fault_tolerant=fault_tolerant)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    show(found, explain=explain)


def show(found: Sequence[JobEstimate], *, explain: bool = False) -> None:
    """Estimates side by side, and why devices cannot run the job."""
    possible = [one for one in found if not one.problems]
    refused = [Text(f"{one.device}: {'; '.join(one.problems)}") for one in found if one.problems]
    methods = [Text("\n  ".join([f"{one.device}:", *one.methods])) for one in possible if explain]
    if not found:
        refused = [Text("no device was found that could run it.")]
    print_all([*([_table(possible)] if possible else []), *refused, *methods])


def _table(possible: Sequence[JobEstimate]) -> Table:
    corrected = any(one.physical_qubits is not None for one in possible)
    table = Table(
        "device", "QPU s (95 %)", "wall", "success", "circuits", "shots", "mitigation", "cost"
    )
    if corrected:
        table.add_column("error-corrected")
    for one in possible:
        row = [
            one.device,
            f"{one.qpu_s:.3g} ({one.qpu_s_lo:.3g} to {one.qpu_s_hi:.3g})",
            age(one.wall_s),
            _success(one.log_esp),
            f"{one.circuits:,}",
            f"{one.shots:,}",
            _overhead(one),
            _cost(one),
        ]
        table.add_row(*row, *([_corrected(one)] if corrected else []))
    return table


def _success(log_esp: float | None) -> str:
    if log_esp is None:
        return "-"
    # Of long circuits the probability itself is no number any more.
    return f"{exp(log_esp):.3g}" if log_esp > -20.0 else f"e^{log_esp:.4g}"


def _overhead(one: JobEstimate) -> str:
    if one.circuit_factor == one.shot_factor == 1.0:
        return "-"
    return f"{one.circuit_factor:.3g}x circuits, {one.shot_factor:.3g}x shots"


def _cost(one: JobEstimate) -> str:
    if one.cost is None:
        return "-"
    return f"{one.cost.amount:,.2f} {one.cost.currency} (prices of {one.cost.priced_on})"


def _corrected(one: JobEstimate) -> str:
    if one.physical_qubits is None or one.fault_tolerant_s is None:
        return "-"
    return f"{one.physical_qubits:,} qubits, {one.fault_tolerant_s:.3g} s"


def _options(texts: Sequence[str] | None) -> tuple[OptionSpec, ...] | None:
    return None if texts is None else tuple(OptionSpec.parse(text) for text in texts)


def _settings(asked: dict[str, Any]) -> ExecutionSettings:
    return ExecutionSettings.model_validate(asked)


def _circuits(
    path: Path,
    observables: Sequence[str] | None,
    points: list[list[float]] | None,
    settings: dict[str, Any],
) -> CircuitJob:
    from qcpaas.circuit_items import circuit_items

    items = circuit_items(path, observables or None, points)
    shots = _DEFAULT_SHOTS if settings["shots"] is None else settings["shots"]
    asked = {**settings, "options": settings["options"] or (), "shots": shots}
    return CircuitJob(name=path.stem, execution=_settings(asked), items=items)


def _workload(
    path: Path, class_name: str | None, inputs: dict[str, Any], settings: dict[str, Any]
) -> WorkloadJob:
    from qcpaas.checks import check_inputs
    from qcpaas.packing import pack_file

    named = [option.name for option in settings["options"] or ()]
    worker_class, bundle = pack_file(path, class_name, also=named)
    own = {
        "options": tuple(OptionSpec.parse(option) for option in worker_class.options),
        "shots": worker_class.shots,
    }
    asked = {**settings, **{key: own[key] for key in own if settings[key] is None}}
    return WorkloadJob(
        name=worker_class.__name__,
        execution=_settings(asked),
        bundle=bundle,
        inputs=check_inputs(worker_class, inputs),
    )
