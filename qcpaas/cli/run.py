"""``qcpaas run`` and ``qcpaas rerun``: submit, follow, show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from qcpaas.binding import BindingPolicy
from qcpaas.cli import tables
from qcpaas.cli.arguments import Inputs, Observables, Options, Parameters, Shots
from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.live import follow
from qcpaas.cli.schedules import (
    AmongDevices,
    Deadline,
    FidelityWeight,
    InReservation,
    PriorityOption,
    ShareDevice,
    read_scheduling,
)
from qcpaas.errors import InputError
from qcpaas.jobs import RuntimeJob, decisions
from qcpaas.provider import RuntimeProvider
from qcpaas.schemas import OptionSpec

_DEFAULT_SHOTS = 4096

Detach = Annotated[
    bool, typer.Option("--detach", help="With --remote: print the job id and do not wait.")
]
Resubmit = Annotated[
    bool,
    typer.Option(
        "--resubmit",
        help="After an interruption, send again what the device may have taken already; it may "
        "run twice. Otherwise the job is held there.",
    ),
]


def run(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:CLASS]",
            help="A Python file with a RuntimeWorkerBase subclass, or a circuit: OpenQASM, QPY, "
            "Quil (.quil), QIR (.ll, .bc), or Cirq's JSON (.json).",
        ),
    ],
    *,
    inputs: Inputs = None,
    backend: Annotated[str | None, typer.Option(help="Device, such as FakeKolkata.")] = None,
    options: Options = None,
    shots: Shots = None,
    observables: Observables = None,
    parameters: Parameters = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Root of every random choice.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Without shot noise.")] = False,
    gate_for_gate: Annotated[
        bool, typer.Option("--gate-for-gate", help="Run the gates as given, uncompiled.")
    ] = False,
    resubmit: Resubmit = False,
    max_calibration_age: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Ask the device for its calibration again where it answered longer ago.",
        ),
    ] = None,
    binding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="When a newer calibration moves a circuit: stale=rebind|flag|fail, "
            "after=record|retry, max_element_change, min_gain, decouple, learn, echo_rate.",
        ),
    ] = None,
    priority: PriorityOption = None,
    deadline: Deadline = None,
    among: AmongDevices = None,
    fidelity_weight: FidelityWeight = None,
    share_device: ShareDevice = False,
    reservation: InReservation = None,
    detach: Detach = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Run a workload or a circuit, and show its result."""
    check_detach(detach, remote)
    if backend is not None and among:
        raise InputError("--backend names the device, and --among leaves it open. Give one.")
    path, class_name = split_file(file)
    execution: dict[str, Any] = {
        "seed": seed,
        "exact": exact,
        "gate_for_gate": gate_for_gate,
        "recovery": decisions(resubmit, None, None),
        "max_calibration_age_s": max_calibration_age,
        "binding": _binding(binding or []),
        "scheduling": read_scheduling(
            priority, deadline, among, fidelity_weight, reservation, share_device=share_device
        ),
    }
    if class_name is not None or path.suffix == ".py":
        if observables or parameters:
            raise InputError("--observable and --parameters go with a circuit file only.")
        # Among several it is the platform's choice, whatever the class names.
        execution |= {"backend": "" if among else backend, "options": options, "shots": shots}
        job = _run_workload(
            connect(ctx, remote), path, class_name, read_inputs(inputs or []), execution
        )
    else:
        if inputs:
            raise InputError(f"--input goes with a Python file only; {path} is a circuit.")
        execution |= {"backend": backend or "", "options": options or []}
        execution["shots"] = _DEFAULT_SHOTS if shots is None else shots
        points = [point(text) for text in parameters or []] or None
        check_is_file(path)  # before Qiskit is imported
        provider = connect(ctx, remote)
        job = provider.run_circuits(path, observables or None, points, **execution)
    finish(job, detach=detach, as_json=as_json)


def rerun(
    ctx: typer.Context,
    job_id: Annotated[str, typer.Argument(help="The job to repeat.")],
    detach: Detach = False,
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Repeat a job from its manifest, with its seed and its calibration."""
    check_detach(detach, remote)
    finish(connect(ctx, remote).rerun(job_id), detach=detach, as_json=as_json)


def _run_workload(
    provider: RuntimeProvider,
    path: Path,
    class_name: str | None,
    inputs: dict[str, Any],
    execution: dict[str, Any],
) -> RuntimeJob:
    from qcpaas.packing import pack_file

    named = [OptionSpec.parse(option).name for option in execution["options"] or ()]
    worker_class, bundle = pack_file(path, class_name, also=named)
    return provider.run(worker_class, inputs, bundle=bundle, **execution)


def _binding(texts: list[str]) -> BindingPolicy:
    """A policy from ``key=value`` texts.

    Raises:
        InputError: A key or a value that the policy does not have.
    """
    given = read_inputs(texts, "--binding")
    try:
        return BindingPolicy.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(BindingPolicy.model_fields)
        raise InputError(f"--binding {name}: {first['msg']}. Its keys: {known}.") from None


def check_is_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name one file in it.")
    if not path.is_file():
        raise InputError(f"there is no file {path}. Check the path.")


def finish(job: RuntimeJob, *, detach: bool, as_json: bool) -> None:
    if detach:
        shown = {"job_id": job.job_id, "address": job.address()}
        typer.echo(json.dumps(shown) if as_json else f"{job.job_id}\n{shown['address']}")
        return
    follow(job, quiet=as_json)
    tables.show_result(job, as_json=as_json)


def check_detach(detach: bool, remote: str | None) -> None:
    if detach and remote is None:
        raise InputError("--detach goes with --remote: an embedded job ends with this process.")


def split_file(file: str) -> tuple[Path, str | None]:
    """Path and class name of ``FILE[:CLASS]``."""
    head, colon, tail = file.rpartition(":")
    if colon and head and tail.isidentifier() and not Path(file).exists():
        return Path(head), tail
    return Path(file), None


def read_inputs(texts: Sequence[str], option: str = "--input") -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"{option} {text!r} is not of the form key=value.")
        if key in inputs:
            raise InputError(f"{option} {key} is given twice.")
        try:
            inputs[key] = json.loads(value)
        except json.JSONDecodeError:
            inputs[key] = value
    return inputs


def point(text: str) -> list[float]:
    try:
        return [float(value) for value in text.split(",")]
    except ValueError:
        raise InputError(
            f"--parameters {text!r} cannot be read. Write numbers with commas between."
        ) from None
