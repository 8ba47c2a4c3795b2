"""The files that images are built from, read as text: the builds themselves need a builder."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from deployments.prefect_server import prefect_environment

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "deployments" / "images"
BASE = (IMAGES / "base" / "Containerfile").read_text()


def stage(name: str) -> str:
    """From its FROM line to the next."""
    (found,) = re.findall(rf"^FROM \S+ AS {name}\n.*?(?=^FROM |\Z)", BASE, re.DOTALL | re.MULTILINE)
    return found


@pytest.mark.parametrize("part", ["server", "gateway", "worker"])
def test_every_part_has_a_health_check_and_a_command_of_its_own(part):
    assert f'"deployments.health", "{part}"' in stage(part)
    assert "\nCMD [" in stage(part)


def test_no_image_runs_as_root():
    users = re.findall(r"^USER (\S+)$", BASE, re.MULTILINE)
    assert users == ["10001", "10001"]
    assert "USER 10001" in stage("services")
    assert "USER 10001" in stage("worker")


def test_the_environment_is_the_locked_one():
    assert re.findall(r"uv sync (?!--frozen)", BASE) == []
    (uv,) = re.findall(r"^ARG UV_VERSION=(\S+)$", BASE, re.MULTILINE)
    assert f"UV_VERSION := {uv}\n" in (ROOT / "Makefile").read_text()
    assert f"ARG VERSION={version('qcpaas')}\n" in BASE


def test_the_server_image_is_configured_as_the_platform_on_one_machine(tmp_path):
    local = prefect_environment(tmp_path)
    told = dict(re.findall(r"(PREFECT_SERVER_\w+)=(\S+)", stage("server")))
    told.pop("PREFECT_SERVER_LOGGING_LEVEL")
    wanted = {key: value for key, value in local.items() if key.startswith("PREFECT_SERVER_")}
    del wanted["PREFECT_SERVER_ANALYTICS_ENABLED"], wanted["PREFECT_SERVER_LOGGING_LEVEL"]
    assert told == wanted


def test_whatever_the_images_copy_is_in_the_build_context():
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignore if line.startswith("!")}
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages - {"benchmarks", "tests", "examples"} <= kept
    for line in re.findall(r"^COPY ((?!--from)[^.\n][^\n]*) \./$", BASE, re.MULTILINE):
        assert set(line.split()) <= kept


@pytest.mark.parametrize("name", ["cudaq", "mitiq", "torch"])
def test_an_example_of_a_custom_image_is_a_base_and_what_it_installs(name):
    text = (IMAGES / name / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line.split()[0] for line in lines if line.split()[0] != "COPY"] == [
        "ARG",
        "FROM",
        "RUN",
    ]
    assert lines[:2] == ["ARG BASE=qcpaas-worker", "FROM ${BASE}"]
