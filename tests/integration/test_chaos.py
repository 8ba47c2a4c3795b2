"""Three kills, all of what can be killed, on a real platform: nothing is lost, nothing sent twice.

The judge is the log of a QPU in a process of its own; tests/unit/benchmarks shows that it counts.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from deployments.local_platform import PROJECT_DIR

TIMEOUT_S = 900
pytestmark = [
    pytest.mark.server,
    pytest.mark.postgres,
    pytest.mark.xdist_group("platform"),
    pytest.mark.timeout(TIMEOUT_S + 120),
]
KINDS = ("engine", "worker", "worker and engines", "server", "between acceptance and record")
NONE_OF_THEM = (
    "duplicate_submissions",
    "repeated_executions",
    "different_results",
    "runs_needing_a_hand",
    "other_submissions",
)


def chaos(folder, *arguments):
    """Rows by metric."""
    file = folder / "chaos.json"
    command = [sys.executable, "-m", "benchmarks.chaos", "--json", str(file), *arguments]
    with subprocess.Popen(
        command,
        cwd=PROJECT_DIR,
        env={**os.environ, "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=TIMEOUT_S)
        except BaseException:
            process.send_signal(signal.SIGINT)  # it ends its platform with itself
            process.wait(120)
            raise
    assert process.returncode == 0, told
    sys.stdout.write(told)
    return {row["metric"].strip(): row for row in json.loads(file.read_text())["rows"]}


def test_three_kills_cost_no_execution_and_no_hand(tmp_path):
    rows = chaos(tmp_path, "--kills", "3", "--seed", "2")
    struck = {kind: rows[f"kills: {kind}"]["value"] for kind in KINDS}
    assert struck == {"engine": 0, "worker": 0} | dict.fromkeys(KINDS[2:], 1)
    assert {metric: rows[metric]["value"] for metric in NONE_OF_THEM} == dict.fromkeys(
        NONE_OF_THEM, 0
    )
    left = {path.name for path in tmp_path.iterdir()}
    assert not left & {".qcpaas", ".prefect"}, "the user's own data folders were used"
