"""What Prefect's pages show of a job's options: what each found, with plots, and its warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact
from pydantic import JsonValue

from flows.artifacts import picture
from flows.plots import drawn
from flows.prefect_outage import reaching_prefect
from pipeline.stack import find_options
from qcpaas.manifest import Diagnostic

LONGEST = 120  # characters of a figure in the table; the manifest has all of it


@reaching_prefect()
def publish(job_id: str, notes: Sequence[Diagnostic]) -> None:
    """Make the page of a job's options; none where no option told anything."""
    if not notes:
        return
    warnings = sum(bool(note.warning) for note in notes)
    create_markdown_artifact(
        key=f"mitigation-{job_id}",
        markdown="\n\n".join(["# Error mitigation", *map(section, notes)]),
        description=f"{len(notes)} options, {warnings} with a warning",
    )


def section(note: Diagnostic) -> str:
    """One option's part of the page."""
    rows = [f"| {name} | {_shown(value)} |" for name, value in note.figures.items()]
    table = "\n".join(["| figure | value |", "|---|---|", *rows]) if rows else ""
    warning = f"> **Warning.** {note.warning}" if note.warning else ""
    option = find_options().get(note.option)
    plots = () if option is None else option.plots(note.figures)
    pictures = [picture(drawn(plot), plot.title) for plot in plots]
    return "\n\n".join(filter(None, [f"## {note.option}", warning, *pictures, table]))


def _shown(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
