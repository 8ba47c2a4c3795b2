"""A workload that needs CUDA-Q: refused where that is missing, run where it is."""

import importlib.util
import re
from pathlib import Path

import pytest

from qcpaas.errors import PackingError
from qcpaas.packing import pack_file

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "cudaq_workload.py"
INSTALLED = importlib.util.find_spec("cudaq") is not None


@pytest.mark.skipif(INSTALLED, reason="CUDA-Q is installed here")
def test_an_environment_without_cudaq_refuses_the_workload_and_names_it():
    with pytest.raises(PackingError, match="imports cudaq, which is not installed here"):
        pack_file(EXAMPLE)


def test_the_image_pins_what_it_installs_without_dependencies():
    image = ROOT / "deployments" / "images" / "cudaq"
    lines = (image / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"cuda-quantum-cu\d+==[\w.]+", line) for line in pinned)
    assert "--no-deps -r /tmp/cudaq.txt" in (image / "Containerfile").read_text()
    assert "cuda-quantum" not in (ROOT / "uv.lock").read_text()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not INSTALLED, reason="CUDA-Q is no part of the base environment; docs/adapters.md installs it"
)
def test_cudaq_finds_the_angle_and_the_device_measures_the_energy(platform):
    worker_class, bundle = pack_file(EXAMPLE)
    assert any(each.name.startswith("cuda-quantum") for each in bundle.requirements)
    answer = platform.run(worker_class, {}, bundle=bundle, seed=3).result(timeout=600)
    assert answer["target"] == "qpp-cpu"
    assert answer["simulated_energy"] == pytest.approx(answer["exact_energy"], abs=1e-9)
    # Extrapolated from a noisy twin: five standard errors, and 0.05 MeV of what is left of it.
    allowed = 5 * answer["energy_std_error"] + 0.05
    assert abs(answer["energy"] - answer["exact_energy"]) < allowed
