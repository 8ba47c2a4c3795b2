"""The Terraform modules, as far as goes without a provider."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).resolve().parents[3] / "deployments" / "terraform"
VALUES = TERRAFORM / "modules" / "platform" / "values"

with_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="no Terraform")


def run(folder: Path, data: Path, *words: str) -> str:
    done = subprocess.run(
        ["terraform", *words],
        cwd=folder,
        env={**os.environ, "TF_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@with_terraform
def test_all_modules_are_formatted(tmp_path: Path):
    run(TERRAFORM, tmp_path, "fmt", "-check", "-recursive")


@with_terraform
def test_what_the_chart_is_told_is_right(tmp_path: Path):
    run(VALUES, tmp_path, "init", "-backend=false")
    run(VALUES, tmp_path, "validate")
    assert "0 failed" in run(VALUES, tmp_path, "test", "-no-color")


def test_every_input_says_what_it_is():
    for file in TERRAFORM.rglob("*.tf"):
        for block in re.findall(r'^variable "\w+" \{\n.*?^\}', file.read_text(), re.M | re.S):
            assert "description" in block, f"{file}: {block}"
