"""An option in a package of its own, as docs/own_options.md has it."""

import base64
import hashlib
import importlib
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from calibration.binding import bind_in_place
from pipeline.stack import build_stack, describe_options, find_options
from qcpaas.errors import OptionError
from qcpaas.execution import Experiment
from qcpaas.schemas import OptionSpec

PAGE = Path(__file__).parents[2] / "docs" / "own_options.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def install(site: Path) -> None:
    """What an installer leaves of the page's two files."""
    project = tomllib.loads(block("toml"))
    name, version = project["project"]["name"], project["project"]["version"]
    (module,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    metadata = f"{name.replace('-', '_')}-{version}.dist-info"
    points = project["project"]["entry-points"]
    files = {
        module: block("python"),
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{metadata}/entry_points.txt": "\n".join(
            f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in own.items())
            for group, own in points.items()
        ),
    }
    record = []
    for path, text in files.items():
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        record.append(f"{path},sha256={digest.rstrip('=')},{len(text)}")
    (site / metadata / "RECORD").write_text("\n".join(record))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("acme_mitigation", None)


@pytest.fixture
def asked():
    """A Bell pair on a twin, exactly, in its own gates."""
    twin = open_device("FakeLima")
    circuit = QuantumCircuit(2)
    circuit.rz(np.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(np.pi / 2, 0)
    circuit.cx(0, 1)
    binding = bind_in_place(circuit, twin.calibration(), twin.capabilities().basis_gates)
    observables = (SparsePauliOp("ZZ"), SparsePauliOp("XX"))
    return DeviceBackend(twin, lambda: 5), Experiment(
        circuit, np.empty((1, 0)), observables, None, binding
    )


@pytest.mark.usefixtures("installed")
def test_an_installed_package_s_option_is_found_and_runs_in_a_stack(asked):
    device, experiment = asked
    assert "TripledGates" in find_options()
    described = next(each for each in describe_options() if each.name == "TripledGates")
    assert described.summary.startswith("Extrapolates in a straight line")
    assert set(described.settings) == {"gate"}

    readout = [OptionSpec(name="ReadoutMitigation")]
    stack = build_stack(
        [OptionSpec.parse("TripledGates(gate=cx)"), *readout], device, "expectation"
    )
    plan = stack.plan([experiment])
    # Two circuits, each in the bases of ZZ and of XX.
    assert [each.circuit.count_ops()["cx"] for each in plan.experiments] == [1, 1, 3, 3]
    (outcome,) = stack.combine(plan, device.execute(plan.experiments))
    (plain,) = build_stack(readout, device, "expectation").run([experiment])
    (raw,) = build_stack([], device, "expectation").run([experiment])
    assert outcome.raw_values == pytest.approx(raw.values, abs=1e-12)
    before, after = np.abs(plain.values - 1), np.abs(outcome.values - 1)
    assert np.all(after < before / 2)


@pytest.mark.usefixtures("installed")
def test_its_settings_are_checked_like_any_other_s(asked):
    device, _ = asked
    with pytest.raises(OptionError, match="Its settings: gate"):
        build_stack([OptionSpec.parse("TripledGates(gates=cx)")], device, "expectation")
