"""``qcpaas estimate`` over the platform of one process, which starts no server for it."""

import json

import pytest
from typer.testing import CliRunner

from deployments.embedded import EmbeddedTransport
from qcpaas import RuntimeProvider
from qcpaas.cli import app
from qcpaas.settings import Settings

BELL = """\
OPENQASM 2.0;
include "qelib1.inc";
qreg q[2];
creg c[2];
h q[0];
cx q[0],q[1];
measure q -> c;
"""
WORK = """\
from qcpaas import RuntimeWorkerBase

class Work(RuntimeWorkerBase):
    backend_name = "FakeLima"
    shots = 100

    def run(self, steps: int = 2):
        raise RuntimeError("an estimate runs nothing")
"""


@pytest.fixture
def estimate(tmp_path, monkeypatch):
    (tmp_path / "bell.qasm").write_text(BELL)
    (tmp_path / "work.py").write_text(WORK)
    monkeypatch.chdir(tmp_path)
    transport = EmbeddedTransport(Settings(data_dir=tmp_path / "data"))

    def invoke(*arguments):
        runner = CliRunner(env={"COLUMNS": "160"})
        provider = RuntimeProvider(transport=transport)
        return runner.invoke(app, ["estimate", *arguments], obj=lambda _: provider)

    return invoke


def test_devices_stand_side_by_side_and_those_that_cannot_say_why(estimate):
    done = estimate("bell.qasm", "--backend", "FakeLima", "--backend", "Nowhere", "--explain")
    assert done.exit_code == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("│ FakeLima"))
    assert "4,096" in row
    assert "Nowhere: there is no device 'Nowhere'" in done.stdout
    assert "QPU seconds: schedules" in done.stdout


def test_json_has_the_figures_of_each_device(estimate):
    asked = ("--backend", "FakeLima", "--shots", "1000", "--json")
    done = estimate("bell.qasm", *asked, "--observable", "ZZ", "--option", "ZeroNoiseExtrapolation")
    (found,) = json.loads(done.stdout)
    assert (found["device"], found["shot_factor"]) == ("FakeLima", 3.0)
    assert found["shots"] == 3000
    assert 0.0 < found["qpu_s_lo"] < found["qpu_s"] < found["qpu_s_hi"]


def test_a_workload_is_estimated_with_its_own_shots_and_its_inputs(estimate):
    done = estimate("work.py", "--backend", "FakeLima", "--input", "steps=30", "--json")
    (found,) = json.loads(done.stdout)
    assert (found["circuits"], found["shots"]) == (60, 6000)


def test_what_does_not_go_together_is_refused(estimate):
    assert "goes with a Python file" in estimate("bell.qasm", "--input", "steps=3").stderr
    assert "go with a circuit file" in estimate("work.py", "--observable", "ZZ").stderr
    assert "there is no file" in estimate("nothing.qasm").stderr
