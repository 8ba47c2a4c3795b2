"""Every example does what it says, on the embedded platform."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from examples.h2_vqe import exact_energy
from qcpaas.packing import pack_file

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(platform, name: str, **inputs):
    worker_class, bundle = pack_file(EXAMPLES / name, None)
    job = platform.run(worker_class, inputs, bundle=bundle, seed=3)
    return job.result(timeout=300), job


def test_every_example_is_tested_here():
    tested = {
        "h2_vqe.py",
        "own_option.py",
        "split_work.py",
        "bell.qasm",
        "demo.py",
        "cudaq_workload.py",
        "other_frameworks.py",
        "homemade_device.py",
    }
    assert {path.name for path in EXAMPLES.glob("[a-z]*")} == tested


def test_h2_energy_is_nearer_to_the_exact_one_after_mitigation(platform):
    answer, job = run(platform, "h2_vqe.py", sweeps=4, final_shots=50_000)
    raw = abs(answer["raw_energy"] - exact_energy())
    mitigated = abs(answer["mitigated_energy"] - exact_energy())
    assert exact_energy() == pytest.approx(-1.137306, abs=1e-6)
    assert mitigated < raw / 2
    assert len(answer["energies"]) == 12
    assert job.manifest().execution_count == 14


def test_half_of_a_cut_circuit_runs_on_a_simulator(platform):
    answer, job = run(platform, "split_work.py", steps=1)
    # The device's half errs, by more than its shots.
    assert answer["values"] == pytest.approx(answer["exact"], abs=0.15)
    assert job.manifest().execution_count == 2  # one submission a device
    assert 0 < max(answer["std_errors"]) < 0.02


def test_own_option_makes_readout_errors_symmetric(platform):
    answer, _ = run(platform, "own_option.py")
    flipped = (answer["flipped_0_read_wrong"], answer["flipped_1_read_wrong"])
    # 20,000 shots: the standard error of each share is at most 0.0012.
    assert flipped[0] == pytest.approx(flipped[1], abs=6e-3)


def test_circuits_of_other_frameworks_are_answered_in_their_terms(platform):
    from examples.other_frameworks import main

    sweeps, tasks = main(platform)
    # The twin of FakeKolkata loses a few percent of a shot's bits.
    assert sweeps[0].histogram(key="pair")[0] > 900
    halves = sweeps[1].histogram(key="pair")
    assert halves[0] + halves[3] > 850
    assert tasks[1].measurement_counts["11"] > 850


def test_bell_circuit_runs_from_the_command_line(tmp_path):
    command = [
        str(Path(sys.executable).with_name("qcpaas")),
        "run",
        str(EXAMPLES / "bell.qasm"),
        "--backend",
        "FakeKolkata",
        "--shots",
        "2000",
        "--json",
    ]
    ran = subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin", "QCPAAS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (answer,) = json.loads(ran.stdout)["value"]
    counts = answer["counts"][0]["c"]
    assert sum(counts.values()) == 2000
    assert counts["00"] + counts["11"] > 1700


def test_the_homemade_device_is_served_and_runs_a_bell_circuit(tmp_path):
    qcpaas = str(Path(sys.executable).with_name("qcpaas"))
    environment = {"PATH": "/usr/bin:/bin", "QCPAAS_DATA_DIR": str(tmp_path)}
    served = subprocess.Popen(
        [
            qcpaas,
            "device",
            "serve",
            f"{EXAMPLES}/homemade_device.py:Trio",
            "--port=0",
            "--with-parent",
        ],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with served:
        try:
            _, url, name = served.stdout.readline().split()
            command = [qcpaas, "run", str(EXAMPLES / "bell.qasm"), "--shots", "2000", "--json"]
            ran = subprocess.run(
                [*command, "--backend", f"qpu:{url}"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            served.kill()
    assert name == "trio"
    assert ran.returncode == 0, ran.stderr
    (answer,) = json.loads(ran.stdout)["value"]
    counts = answer["counts"][0]["c"]
    # Two readout errors of at most 1.5 %, and five standard deviations of 2,000 shots.
    assert counts["00"] + counts["11"] > 2000 * (1 - 0.03 - 5 * (0.03 / 2000) ** 0.5)
    assert abs(counts["00"] - counts["11"]) < 5 * 2000**0.5 + 0.015 * 2000
