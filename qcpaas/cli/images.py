"""``qcpaas image``: images of workers, built and looked into."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.bill_of_materials import bill_of_materials
from qcpaas.cli.connection import AsJson
from qcpaas.cli.tables import print_all
from qcpaas.container_builders import Looked, find_builder, read_recipe
from qcpaas.errors import InputError
from qcpaas.needs import read_needs, unmet
from qcpaas.schemas import Environment

app = typer.Typer(help="Build images of workers, and look into them.", no_args_is_help=True)

BuilderName = Annotated[
    str, typer.Option("--builder", help="docker, podman or buildah; the first that works here.")
]


@app.command("build")
def build(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A Containerfile, or the folder that has one.")
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGUMENT...]", help="For the builder itself."),
    ] = None,
    *,
    tag: Annotated[
        str, typer.Option(help="Name of the image; qcpaas-worker-FOLDER unless given.")
    ] = "",
    base: Annotated[str, typer.Option(help="Image that it starts from (its ARG BASE).")] = "",
    context: Annotated[
        Path | None, typer.Option(help="Folder that COPY reads; the file's own unless given.")
    ] = None,
    target: Annotated[str, typer.Option(help="Stage of the file to stop at.")] = "",
    builder: BuilderName = "",
) -> None:
    """Build an image from its Containerfile."""
    recipe = replace(read_recipe(path, context), base=base, target=target, more=tuple(more or ()))
    name = tag or f"qcpaas-worker-{_plain(recipe.file.resolve().parent.name)}"
    found = find_builder(builder)
    found.build(recipe, name)
    typer.echo(f"built {name} with {found.name}.")


@app.command("check")
def check(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Of a worker.")],
    *,
    needs: Annotated[
        list[str] | None,
        typer.Option(help="What it must have, such as 'torch>=2.4'; repeat for more."),
    ] = None,
    packages: Annotated[
        bool, typer.Option("--packages", help="Also the distributions that it has installed.")
    ] = False,
    sbom: Annotated[
        Path | None, typer.Option(help="File for its Python packages, as CycloneDX 1.5.")
    ] = None,
    builder: BuilderName = "",
    as_json: AsJson = False,
) -> None:
    """List what a worker in an image would register; fail where it is none, or runs as root."""
    wanted = read_needs(needs or ())
    looked = find_builder(builder).look(image)
    found = looked.environment
    if sbom is not None:
        _write(sbom, json.dumps(bill_of_materials(image, found), indent=1))
    if as_json:
        typer.echo(json.dumps({"user": looked.user, **found.model_dump(mode="json")}))
    else:
        print_all([_summary(image, looked), _options(found)])
        if packages:
            print_all([_packages(found)])
    _refuse(image, looked, wanted)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text + "\n")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}. Name another file.") from error


def _refuse(image: str, looked: Looked, wanted: Sequence[str]) -> None:
    found = looked.environment
    if looked.is_root:
        raise InputError(f"{image} runs as root. End its Containerfile with `USER 10001`.")
    lacking = unmet(wanted, found.distributions, found.python)
    if lacking:
        # The sentences are those of a workload that a worker refuses.
        told = " ".join(lacking).replace("the workload needs", "it should have")
        raise InputError(f"{image}: {told}".replace("the worker", "it"))


def _summary(image: str, looked: Looked) -> Table:
    found = looked.environment
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("image", image),
        ("user", looked.user or "root"),
        ("python", found.python),
        ("qcpaas", found.distributions.get("qcpaas", "-")),
        ("adapters", ", ".join(found.adapters)),
        ("devices", f"{len(found.devices)}, and those that the platform has registered"),
        ("packages", str(len(found.distributions))),
    ):
        table.add_row(name, Text(value))
    return table


def _options(found: Environment) -> Table:
    table = Table("option", "usable", "what it does")
    for option in found.options:
        lacking = [
            name for name in option.requires if unmet([name], found.distributions, found.python)
        ]
        usable = f"lacks {', '.join(lacking)}" if lacking else "yes"
        table.add_row(option.name, usable, Text(option.summary))
    return table


def _packages(found: Environment) -> Table:
    table = Table("distribution", "version")
    for name in sorted(found.distributions, key=str.casefold):
        table.add_row(name, found.distributions[name])
    return table


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
