"""What Prefect's pages show of a job: progress, results, plots."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from prefect.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows import plots
from flows.device_map import device_map
from flows.prefect_outage import reaching_prefect
from qcpaas.binding import CalibrationChange
from qcpaas.calibration_artifacts import slug
from qcpaas.cli.figures import value_with_error, with_errors
from qcpaas.manifest import CalibrationUse, JobResult
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import Environment, ErrorReport
from qcpaas.values import decode
from qcpaas.wire import Wire
from tasks.device import Device

RESULT = "result"  # artifact types, beside Prefect's own
ERROR = "error"
ENVIRONMENT_KEY = "worker-environment"
SHOWN_ROWS = 100
INLINE_BYTES = 2_000_000  # a larger result is sent without its executions, which the store keeps


@reaching_prefect()
def publish_result(result: JobResult) -> None:
    """The whole answer as JSON, for people who look at Prefect's pages."""
    if len(result.model_dump_json()) > INLINE_BYTES:
        manifest = result.manifest.model_copy(update={"executions": (), "circuits": {}})
        result = result.model_copy(update={"manifest": manifest})
    _publish(RESULT, f"result-{result.job_id}", result)


@reaching_prefect()
def publish_error(job_id: str, report: ErrorReport) -> None:
    _publish(ERROR, f"error-{job_id}", report)


def post_error(api: PrefectApi, job_id: str, report: ErrorReport) -> None:
    """The same from outside of the job's run, where Prefect has no context."""
    data = report.model_dump(mode="json")
    api.post("artifacts/", {"key": f"error-{job_id}", "type": ERROR, "data": data})


def publish_environment(environment: Environment) -> None:
    _publish("environment", ENVIRONMENT_KEY, environment)


@reaching_prefect()
def publish_summary(result: JobResult) -> None:
    """A table for people: the answer's figures, what it cost, and how it came about."""
    manifest = result.manifest
    figures = [
        *_answer(decode(result.value)),
        *((f"{name} stage", f"{spent:.3g} s") for name, spent in manifest.stage_seconds.items()),
        ("executions", str(manifest.execution_count)),
        ("QPU time spent", f"{manifest.spent_qpu_s:.3g} s"),
        ("QPU time estimated", _estimate(result)),
        *((f"{note.option} warns", note.warning) for note in manifest.diagnostics if note.warning),
        *(("calibration", _placement(use)) for use in manifest.calibrations),
        *(("calibration moved", _moved(change)) for change in manifest.changes),
    ]
    rows = [{"what": what, "value": value} for what, value in figures]
    create_table_artifact(
        table=rows, key=f"summary-{result.job_id}", description=f"Job {result.job_id}"
    )


@reaching_prefect()
def publish_announcements(job_id: str, texts: Sequence[str]) -> None:
    """What options say before anything is spent."""
    create_markdown_artifact(
        markdown="\n\n".join(texts), key=f"announced-{job_id}", description="Before execution"
    )


@reaching_prefect()
def publish_curve(job_id: str, name: str, points: Sequence[tuple[float, float]]) -> None:
    _publish_svg(plots.curve(points, name), f"{slug(name)}-{job_id}", f"{name} per iteration")


@reaching_prefect()
def publish_placement(job_id: str, device: Device, uses: Sequence[CalibrationUse]) -> None:
    """The device map with the chosen qubits; nothing for a device without a map."""
    if not uses:
        return
    snapshot = device.snapshot()
    chosen = [qubit for use in uses for qubit in use.physical_qubits]
    _publish_svg(
        device_map(snapshot, chosen),
        f"device-{job_id}",
        f"{snapshot.device}, chosen qubits {sorted(set(chosen))}",
    )


def _publish(kind: str, key: str, content: Wire) -> None:
    Artifact(type=kind, key=key, data=content.model_dump(mode="json")).create()


def picture(svg: bytes, title: str) -> str:
    """A plot inside Markdown: an image artifact would show its address, which is the image."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg).decode()})"


def _publish_svg(svg: bytes, key: str, title: str) -> None:
    create_markdown_artifact(markdown=f"{picture(svg, title)}\n\n{title}", key=key)


def _answer(value: object) -> list[tuple[str, str]]:
    """An answer's figures with their standard errors."""
    if isinstance(value, dict):
        return [
            (name, value_with_error(figure, error) if isinstance(figure, float) else _short(figure))
            for name, figure, error in with_errors(value)
        ]
    if isinstance(value, list):
        rows = [row for index, item in enumerate(value) for row in _item(index, item)]
        return rows[:SHOWN_ROWS]
    return [("result", _short(value))]


def _item(index: int, item: object) -> list[tuple[str, str]]:
    """One circuit of a batch: a row for each point and observable, or its counts."""
    if not isinstance(item, dict) or "expectation_values" not in item:
        return [(f"[{index}]", _short(item))]
    return [
        (f"{item['circuit']}, point {point}, observable {column}", value_with_error(value, error))
        for point, (values, errors) in enumerate(
            zip(item["expectation_values"], item["std_errors"], strict=True)
        )
        for column, (value, error) in enumerate(zip(values, errors, strict=True))
    ]


def _placement(use: CalibrationUse) -> str:
    expected = "" if use.log_fidelity is None else f", log fidelity {use.log_fidelity:.3g}"
    return f"{use.snapshot_id} on qubits {use.physical_qubits}{expected}: {use.reason}"


def _moved(change: CalibrationChange) -> str:
    return (
        f"{change.when} of call {change.call}, {change.bound_snapshot_id} to "
        f"{change.newest_snapshot_id}: {change.reason}; {change.done}"
    )


def _estimate(result: JobResult) -> str:
    estimate = result.manifest.estimate
    return "none" if estimate is None else f"{estimate.qpu_s:.3g} to {estimate.qpu_s_hi:.3g} s"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 200 else f"{text[:197]}..."
