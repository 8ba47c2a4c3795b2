"""The commands, with programs in place of docker, podman and buildah that note down what they
are asked."""

import json

import pytest
from typer.testing import CliRunner

from qcpaas.bill_of_materials import bill_of_materials
from qcpaas.cli import app
from qcpaas.schemas import Environment, OptionInfo

RUN = CliRunner()
WORKER = Environment(
    python="3.11.2",
    distributions={"qcpaas": "0.1.0", "mitiq": "1.1.0"},
    options=(
        OptionInfo(name="MitiqZNE", rank=1, summary="Extrapolates.", requires=("mitiq",)),
        OptionInfo(name="TorchMitigation", rank=2, summary="Learns.", requires=("torch",)),
    ),
    adapters=("ibm", "iqm"),
)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder that is the whole PATH, and a function that puts a program there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name, body):
        file = folder / name
        file.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/{name}.asked\n{body}\n')
        file.chmod(0o755)

    return add


def container(user="10001", told=WORKER):
    """What `podman image inspect` and `podman run` answer."""
    answer = told if isinstance(told, str) else f"a warning\n{told.model_dump_json()}"
    return (
        f"case $1 in\nimage) echo '{user}' ;;\nfrom) echo made-1 ;;\ninspect) echo '{user}' ;;\n"
        f"run) echo '{answer}' ;;\nesac"
    )


def asked(tmp_path, name):
    return (tmp_path / f"{name}.asked").read_text().splitlines()


def folder_of_an_image(tmp_path):
    folder = tmp_path / "My Lab"
    folder.mkdir()
    (folder / "Containerfile").write_text("FROM qcpaas-worker\n")
    return folder


def test_docker_without_its_engine_is_passed_over(programs, tmp_path):
    programs("docker", 'echo "Cannot connect to the Docker daemon." >&2; exit 1')
    programs("podman", "exit 0")
    folder = folder_of_an_image(tmp_path)
    done = RUN.invoke(app, ["image", "build", str(folder), "--base", "b:1", "--", "--quiet"])
    assert done.exit_code == 0, done.output
    assert "built qcpaas-worker-my-lab with podman" in done.stdout
    (line,) = asked(tmp_path, "podman")
    assert line == (
        f"build --file {folder}/Containerfile --tag qcpaas-worker-my-lab --format docker "
        f"--build-arg BASE=b:1 --quiet {folder}"
    )


def test_without_a_builder_the_reason_of_each_is_told(programs, tmp_path):
    programs("docker", 'echo "Cannot connect to the Docker daemon." >&2; exit 1')
    done = RUN.invoke(app, ["image", "build", str(folder_of_an_image(tmp_path))])
    assert done.exit_code == 3
    for part in ("docker: Cannot connect", "podman: is not installed", "Install podman"):
        assert part in done.stderr


def test_a_failed_build_and_a_missing_file_are_told(programs, tmp_path):
    programs("buildah", "exit 3")
    done = RUN.invoke(app, ["image", "build", str(folder_of_an_image(tmp_path))])
    assert "buildah could not build" in done.stderr
    assert "ended with 3" in done.stderr
    done = RUN.invoke(app, ["image", "build", str(tmp_path / "nowhere")])
    assert (done.exit_code, "there is no" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_a_check_tells_what_a_worker_would_register(programs, tmp_path, name):
    programs(name, container())
    done = RUN.invoke(app, ["image", "check", "lab", "--needs", "mitiq>=1"])
    assert done.exit_code == 0, done.output
    for part in ("10001", "ibm, iqm", "MitiqZNE", "lacks torch"):
        assert part in done.stdout
    assert any("-m tasks.describe_environment" in line for line in asked(tmp_path, name))
    told = json.loads(RUN.invoke(app, ["image", "check", "lab", "--json"]).stdout)
    assert Environment.model_validate(told | {"user": None}, extra="ignore") == WORKER


def test_a_buildah_container_is_removed_even_where_the_look_has_failed(programs, tmp_path):
    programs("buildah", "case $1 in from) echo made-1 ;; run) exit 1 ;; esac")
    done = RUN.invoke(app, ["image", "check", "lab"])
    assert "no worker could start in lab" in done.stderr
    assert asked(tmp_path, "buildah")[-1] == "rm made-1"


@pytest.mark.parametrize(
    ("program", "arguments", "told"),
    [
        (container(user="root"), [], "lab runs as root"),
        (container(user=""), [], "lab runs as root"),
        (container(), ["--needs", "torch>=2.4"], "lab: it should have torch>=2.4"),
        (container(told="no JSON"), [], "cannot be read"),
        ('echo "lab: image not known" >&2; exit 125', [], "podman has no image lab"),
    ],
)
def test_an_image_that_is_no_good_worker_is_refused(programs, program, arguments, told):
    programs("podman", program)
    done = RUN.invoke(app, ["image", "check", "lab", *arguments])
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())


def test_the_bill_of_materials_has_every_package_under_its_public_name(programs, tmp_path):
    programs("podman", container())
    file = tmp_path / "sbom.json"
    assert RUN.invoke(app, ["image", "check", "lab", "--sbom", str(file)]).exit_code == 0
    told = json.loads(file.read_text())
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    assert [one["purl"] for one in told["components"]] == [
        "pkg:pypi/mitiq@1.1.0",
        "pkg:pypi/qcpaas@0.1.0",
    ]
    done = RUN.invoke(app, ["image", "check", "lab", "--sbom", str(tmp_path / "no" / "sbom.json")])
    assert "cannot write" in done.stderr


def test_local_versions_are_escaped_in_package_urls():
    torch = Environment(python="3.11", distributions={"torch": "2.13.0+cpu"})
    (one,) = bill_of_materials("lab", torch)["components"]
    assert one["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
