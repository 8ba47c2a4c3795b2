"""The documentation builds without a warning, and what its pages show runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]


def python_of(page: str) -> str:
    return "\n".join(SNIPPET.findall((DOCS / page).read_text()))


def test_documentation_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", tmp_path / "doctrees", DOCS, tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "html/api.html").read_text().count("sig-object") > 100


def test_quickstart_and_the_tasks_of_a_pipeline_run(tmp_path):
    code = python_of("quickstart.md") + python_of("howto/deploy.md")
    ran = run_here(
        tmp_path,
        code + "\nprint(provider.run(Ground, inputs={'steps': 4}, seed=3).result())\n"
        "provider.close()\n"
        "print(parity.fn(ghz.fn(3), 'FakeAthens', 2000))\n",
    )
    assert ran.returncode == 0, ran.stderr
    counts, bell, energy, three = ran.stdout.strip().splitlines()[-4:]
    assert sum(map(int, re.findall(r": (\d+)", counts))) == 2000
    assert float(bell.split()[0]) == pytest.approx(1, abs=0.05)  # its error is 0.007
    assert -1.1 - 2**0.5 < float(energy) < 2.5
    assert float(three) == pytest.approx(0, abs=0.15)  # of three qubits, an odd one


def test_a_policy_of_ones_own_lets_the_oldest_job_go_first(tmp_path):
    code = python_of("howto/policy.md") + (
        "\nfrom types import SimpleNamespace as N\n"
        "jobs = [N(job_id='new', submitted_at=2), N(job_id='old', submitted_at=1)]\n"
        "ranked = FirstCome().rank(N(backlog=lambda device: jobs), 'any')\n"
        "print([one.job.job_id for one in sorted(ranked, key=lambda one: -one.score)])\n"
    )
    assert run_here(tmp_path, code).stdout.strip() == "['old', 'new']"


def run_here(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code as a script of its own, as a reader would."""
    script = folder / "page.py"
    script.write_text(code)
    environment = {**os.environ, "QCPAAS_DATA_DIR": str(folder / "data")}
    environment.pop("QCPAAS_API_URL", None)
    environment["PYTHONPATH"] = str(DOCS.parent)
    return subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
