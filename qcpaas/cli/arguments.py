"""Arguments that several commands take in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="KEY=VALUE", help="Input of run(), JSON or text."),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME[(SETTING=VALUE)]", help="Repeatable, outermost first."),
]
Shots = Annotated[int | None, typer.Option(help="For each circuit and point.")]
Observables = Annotated[
    list[str] | None,
    typer.Option("--observable", help="Pauli sum such as '0.5*ZZ + XI'; repeatable."),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameters", metavar="V,V,...", help="One parameter point; repeatable."),
]
