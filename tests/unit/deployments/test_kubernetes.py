"""The manifests of both levels: valid, and as we want pods to be."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from deployments.kubernetes.render import (
    CHART,
    LEVELS,
    RENDERED,
    fingerprint,
    render,
    rendered_from,
)
from gateway.telemetry.metrics import Metrics
from qcpaas.cli import program
from store.database import open_store
from store.workers import Workers
from tasks.environment import look_around

WITH_PODS = {"Deployment", "StatefulSet", "Job"}
OF_OPERATORS = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}  # no part of Kubernetes
METRIC = re.compile(r"\bqcpaas_[a-z_]+")


def manifests(level: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((RENDERED / f"{level}.yaml").read_text()) if one]


def pods(level: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kind, name and pod of what starts one, with the runs of the Kubernetes pool."""
    for one in manifests(level):
        if one["kind"] in WITH_PODS:
            yield one["kind"], one["metadata"]["name"], one["spec"]["template"]["spec"]
        if one["kind"] == "ConfigMap" and "template.json" in one["data"]:
            job = json.loads(one["data"]["template.json"])["job_configuration"]["job_manifest"]
            yield "Job", "run", job["spec"]["template"]["spec"]


def containers(level: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind, name, pod in pods(level):
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield kind, f"{name}/{container['name']}", container


@pytest.mark.parametrize("level", LEVELS)
def test_the_kept_copy_is_of_this_chart(level: str):
    assert rendered_from(level) == fingerprint(), "run `python -m deployments.kubernetes.render`"


@pytest.mark.skipif(shutil.which("helm") is None, reason="there is no Helm")
@pytest.mark.parametrize("level", LEVELS)
def test_helm_makes_what_is_kept(level: str):
    assert render(level) == (RENDERED / f"{level}.yaml").read_text()


@pytest.mark.parametrize("level", LEVELS)
def test_manifests_fit_kubernetes_own_schemas(level: str):
    for one in manifests(level):
        if one["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(one, "1.37", strict=True)


@pytest.mark.parametrize("level", LEVELS)
def test_pods_are_as_the_restricted_standard_wants_them(level: str):
    for _, name, pod in pods(level):
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not any("hostPath" in volume for volume in pod["volumes"]), name
    for _, name, container in containers(level):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"], name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name


@pytest.mark.parametrize("level", LEVELS)
def test_only_the_worker_that_makes_jobs_has_a_token_of_kubernetes(level: str):
    allowed = {"qcpaas-kubernetes-worker"}
    for _, name, pod in pods(level):
        assert pod["automountServiceAccountToken"] == (name in allowed), name


@pytest.mark.parametrize("level", LEVELS)
def test_every_container_says_what_it_needs_and_has_a_pinned_image(level: str):
    for _, name, container in containers(level):
        if name == "run/run":
            continue  # from the pool's variables
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][kind]), name
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        assert tag, name
        assert "latest" not in tag, name


@pytest.mark.parametrize("level", LEVELS)
def test_what_stays_up_is_probed(level: str):
    for kind, name, container in containers(level):
        if kind != "Job" and not name.endswith("/migrate"):
            assert "livenessProbe" in container, name
    ready = {name for _, name, container in containers(level) if "readinessProbe" in container}
    assert {"qcpaas-gateway/gateway", "qcpaas-prefect/prefect"} <= ready


@pytest.mark.parametrize("level", LEVELS)
def test_no_secret_value_is_in_a_manifest(level: str):
    assert "Secret" not in {one["kind"] for one in manifests(level)}
    for _, name, container in containers(level):
        for variable in container.get("env", []):
            if re.search(
                r"PASSWORD|AUTH_STRING|PREFECT_AUTH|TOKEN|STORE_URL|DOCKET", variable["name"]
            ):
                assert "secretKeyRef" in variable["valueFrom"], f"{name} {variable['name']}"
    assert not re.search(r"://[^/\s:]+:[^/\s@]+@", (RENDERED / f"{level}.yaml").read_text())


@pytest.mark.parametrize("level", LEVELS)
def test_workers_are_reached_by_nobody_and_reach_no_private_address(level: str):
    policies = [one for one in manifests(level) if one["kind"] == "NetworkPolicy"]
    (workers,) = (one["spec"] for one in policies if one["metadata"]["name"] == "qcpaas-workers")
    assert "ingress" not in workers
    assert set(workers["policyTypes"]) == {"Ingress", "Egress"}
    for rule in workers["egress"]:
        for peer in rule["to"]:
            block = peer.get("ipBlock", {})
            if block.get("cidr") == "0.0.0.0/0":
                assert "169.254.0.0/16" in block["except"]
                assert "10.0.0.0/8" in block["except"]
    everything = next(one["spec"] for one in policies if one["metadata"]["name"].endswith("else"))
    labels = everything["podSelector"]["matchLabels"]
    for one in manifests(level):
        if one["kind"] in WITH_PODS:
            assert labels.items() <= one["spec"]["template"]["metadata"]["labels"].items()


def test_the_enterprise_level_survives_the_loss_of_a_part():
    kinds = [(one["kind"], one["metadata"]["name"]) for one in manifests("enterprise")]
    budgets = {name for kind, name in kinds if kind == "PodDisruptionBudget"}
    assert {"qcpaas-gateway", "qcpaas-prefect", "qcpaas-worker-default"} <= budgets
    replicas = {
        one["metadata"]["name"]: one["spec"].get("replicas")
        for one in manifests("enterprise")
        if one["kind"] == "Deployment"
    }
    assert min(replicas[f"qcpaas-{part}"] for part in ("gateway", "prefect")) > 1
    assert ("ScaledObject", "qcpaas-worker-torch") in kinds


def test_dashboard_and_alerts_name_metrics_that_the_gateway_serves(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        Workers(store).register("worker", "qcpaas", look_around(store))
        metrics = Metrics(store)
        metrics.answered("job.get", 200, 0.01, "NotLetIn")
        served = {
            line.split()[2] for line in metrics.text().decode().splitlines() if "# TYPE" in line
        }
    samples = served | {f"{name}_bucket" for name in served}
    named = set()
    for file in ("dashboard.json", "alerts.yaml"):
        named |= set(METRIC.findall((CHART / "files" / file).read_text()))
    named |= set(METRIC.findall((CHART / "values.yaml").read_text()))
    assert named - {"qcpaas_dashboard"} <= samples


def test_alerts_lead_to_a_chapter_of_the_runbook():
    runbook = (CHART.parents[2] / "docs" / "runbook.md").read_text()
    chapters = {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).strip().replace(" ", "-")
        for line in runbook.splitlines()
        if line.startswith("## ")
    }
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    for rule in alerts["groups"][0]["rules"]:
        assert rule["annotations"]["runbook"].partition("#")[2] in chapters, rule["alert"]


def test_the_runbooks_commands_exist():
    root = typer.main.get_command(program.app)
    runbook = (CHART.parents[2] / "docs" / "runbook.md").read_text()
    lines = re.findall(r"\$ (?:QCPAAS\S+ )*qcpaas (.+)", runbook)
    assert len(lines) > 10
    for line in lines:
        command: Any = root
        options: set[str] = set()
        words = line.split()
        for word in words:
            command = getattr(command, "commands", {}).get(word, command)
        for parameter in command.params:
            options |= set(parameter.opts) | set(parameter.secondary_opts)
        assert command is not root, line
        assert {word for word in words if word.startswith("--")} <= options, line
