"""``qcpaas noise`` over a platform in memory."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from qcpaas import RuntimeProvider
from qcpaas.cli import app
from qcpaas.cli.noise import gamma, largest_rate
from qcpaas.noise import GateLayer, LayerGate, LayerNoise, NoiseReport


def noise(*pairs, days=0, **changes):
    gates = tuple(LayerGate(name="cx", qubits=pair) for pair in pairs)
    layer = GateLayer(gates=gates)
    rest = "I" * (len(layer.qubits) - 2)
    learnt = LayerNoise(
        layer=layer,
        qubits=layer.qubits,
        paulis=(rest + "IX", rest + "ZY"),
        rates=(1e-3, 4e-3),
        std_errors=(1e-4, 2e-4),
        device="FakeKolkata",
        elements_id="e",
        measured_at=datetime.now(UTC) - timedelta(days=days),
    )
    return learnt.model_copy(update=changes)


NEWEST = noise((5, 3), days=2)
EARLIER = noise((0, 1), (4, 7), days=9, method="process_tomography")
REPORT = NoiseReport(device="FakeKolkata", learnt=(NEWEST, EARLIER), valid=(True, False))


@pytest.fixture
def qcpaas(platform):
    platform.report = REPORT
    platform.learnt_noise = lambda device: platform.report

    def invoke(*arguments):
        connect = lambda _: RuntimeProvider(transport=platform)  # noqa: E731
        return CliRunner(env={"COLUMNS": "160"}).invoke(app, list(arguments), obj=connect)

    return invoke


def test_layers_are_shown_with_gamma_and_their_largest_rate(qcpaas):
    done = qcpaas("noise", "FakeKolkata")
    assert done.exit_code == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "cx 5-3" in line]
    for cell in ("3 5", "1.0101", "0.00400 ± 0.00020", "Y3 Z5", "cycle benchmarking", "2 days"):
        assert cell in row
    assert "cx 0-1" not in done.stdout
    assert "1 more were learnt under earlier calibrations" in done.stdout


def test_all_shows_those_of_earlier_calibrations_too(qcpaas):
    done = qcpaas("noise", "FakeKolkata", "--all")
    (row,) = [line for line in done.stdout.splitlines() if "cx 0-1, cx 4-7" in line]
    assert "process tomography" in row
    assert "earlier" in row


def test_json_is_the_report_alone(qcpaas):
    done = qcpaas("noise", "FakeKolkata", "--json")
    assert NoiseReport.model_validate(json.loads(done.stdout)) == REPORT


def test_a_device_without_learnt_noise_says_who_learns_it(qcpaas, platform):
    platform.report = NoiseReport(device="FakeKolkata")
    assert "no noise is known under its newest calibration" in qcpaas("noise", "FakeKolkata").stdout


def test_gamma_is_the_norm_of_the_inverse_channel():
    """One generator: the inverse of (1 - w) rho + w P rho P is (1 - w) and -w over 1 - 2w."""
    weight = (1 - math.exp(-2 * 4e-3)) / 2
    one = noise((0, 1), paulis=("ZZ",), rates=(4e-3,), std_errors=(1e-4,))
    assert gamma(one) == pytest.approx(1 / (1 - 2 * weight))
    assert largest_rate(one) == (4e-3, 1e-4, "Z0 Z1")
