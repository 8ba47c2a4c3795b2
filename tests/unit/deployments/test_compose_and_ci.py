"""What people copy: read as YAML and held against the project; neither is run here."""

import re
from pathlib import Path

import pytest
import yaml

DEPLOYMENTS = Path(__file__).parents[3] / "deployments"
COMPOSE_TEXT = (DEPLOYMENTS / "compose" / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES = COMPOSE["services"]
GITHUB = yaml.safe_load((DEPLOYMENTS / "ci" / "github-actions.yaml").read_text())
GITLAB = yaml.safe_load((DEPLOYMENTS / "ci" / "gitlab-ci.yaml").read_text())


def test_a_lab_server_has_all_parts():
    parts = {"postgres", "server", "set-up", "gateway", "maintenance", "backups", "proxy"}
    assert parts < set(SERVICES)
    assert len([name for name in SERVICES if name.startswith("worker-")]) == 2


def test_only_the_proxy_is_reached_from_outside():
    open_ports = {
        name: service["ports"]
        for name, service in SERVICES.items()
        if any(not port.startswith("127.0.0.1:") for port in service.get("ports", []))
    }
    assert open_ports == {"proxy": ["80:80", "443:443"]}
    assert "front" not in SERVICES["postgres"].get("networks", [])


def test_what_parts_wait_for_and_mount_is_there():
    for name, service in SERVICES.items():
        waited = service.get("depends_on", {})
        assert set(waited) <= set(SERVICES), name
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            file = DEPLOYMENTS / "compose" / source
            assert file.is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    assert (DEPLOYMENTS / "set_up.py").is_file()


def test_secrets_come_from_outside_and_are_asked_for():
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE_TEXT))
    example = (DEPLOYMENTS / "compose" / ".env.example").read_text()
    assert needed == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    assert "PASSWORD:-" not in COMPOSE_TEXT


def test_no_part_of_the_platform_gains_privileges():
    for name in set(SERVICES) - {"postgres", "proxy"}:
        service = SERVICES[name]
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


@pytest.mark.parametrize(
    "lines",
    [
        [step.get("run", "") for job in GITHUB["jobs"].values() for step in job["steps"]],
        GITLAB["build"]["script"] + GITLAB["redeploy"]["script"],
    ],
    ids=["github", "gitlab"],
)
def test_ci_builds_checks_pushes_and_redeploys_in_this_order(lines):
    steps = ("qcpaas image build", "qcpaas image check", 'push "$IMAGE"', "deployments.docker_pool")
    places = [next(i for i, line in enumerate(lines) if step in line) for step in steps]
    assert places == sorted(places)
