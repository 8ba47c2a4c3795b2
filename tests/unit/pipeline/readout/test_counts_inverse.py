import warnings
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit

from adapters.backend import DeviceBackend
from adapters.twins import TwinProvider
from calibration.binding import bind_in_place
from pipeline.readout.counts_inverse import correct_counts
from pipeline.readout.model import Correction
from pipeline.readout.subspace_inverse import DENSE, solve_subspace
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError
from qcpaas.execution import Counts, Distribution, Experiment
from qcpaas.primitives import Sampler
from qcpaas.schemas import OptionSpec

READOUT = OptionSpec.parse("ReadoutMitigation")


def ghz_read(num_bits, shots, errors, seed):
    """All 0 or all 1 with equal chance, each bit then read wrongly on its own."""
    rng = np.random.default_rng(seed)
    true = np.repeat(rng.integers(0, 2, (shots, 1)), num_bits, axis=1)
    wrong = rng.random((shots, num_bits)) < np.where(true, errors[:, 1], errors[:, 0])
    return (true ^ wrong).astype(np.uint8)


def counts_of(bits, errors):
    """As a device gives them, with the correction attached; clbit 0 is column 0."""
    packed = np.packbits(np.pad(bits[:, ::-1], ((0, 0), (-bits.shape[1] % 8, 0))), axis=1)
    outcomes, counted = np.unique(packed, axis=0, return_counts=True)
    point = Distribution(outcomes, counted.astype(float), bits.shape[1], len(bits))
    pairs = [(float(a), float(b)) for a, b in errors]
    return Correction.of(pairs).attached_to(Counts((point,), (("meas", bits.shape[1]),)))


def by_mthree(bits, probabilities, errors):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mthree import M3Mitigation

    mitigation = M3Mitigation(None)
    mitigation.single_qubit_cals = [np.array([[1 - a, b], [a, 1 - b]]) for a, b in errors]
    keys = ["".join(map(str, row[::-1])) for row in bits]  # clbit 0 rightmost
    found = mitigation.apply_correction(
        dict(zip(keys, probabilities, strict=True)),
        range(bits.shape[1]),
        distance=3,
        method="direct",
        return_mitigation_overhead=True,
    )
    return np.array([found[key] for key in keys]), found.mitigation_overhead


@pytest.mark.parametrize(("num_bits", "largest"), [(5, 0.2), (20, 0.03), (40, 0.012)])
def test_quasi_probabilities_are_those_of_mthree(num_bits, largest):
    errors = np.random.default_rng(num_bits).uniform(0, largest, (num_bits, 2))
    errors[1] = 0.0  # a perfect bit
    read, counted = np.unique(ghz_read(num_bits, 3000, errors, 1), axis=0, return_counts=True)
    expected, overhead = by_mthree(read, counted / 3000, errors)
    found = solve_subspace(read, counted / 3000, errors)
    assert found.quasi == pytest.approx(expected, abs=2e-6)  # mthree has single precision
    # mthree estimates the norm from below, which is exact here.
    assert overhead * (1 - 1e-5) <= found.overhead < 2.5 * overhead
    assert found.quasi.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_iteration_and_the_inverse_agree(monkeypatch):
    errors = np.random.default_rng(2).uniform(0, 0.05, (12, 2))
    read, counted = np.unique(ghz_read(12, 4000, errors, 2), axis=0, return_counts=True)
    assert len(read) < DENSE
    dense = solve_subspace(read, counted / 4000, errors)
    monkeypatch.setattr("pipeline.readout.subspace_inverse.DENSE", 0)
    iterated = solve_subspace(read, counted / 4000, errors)
    assert iterated.quasi == pytest.approx(dense.quasi, abs=1e-7)
    assert 0.3 * dense.overhead < iterated.overhead < 1.0001 * dense.overhead


@pytest.mark.parametrize(("num_bits", "largest"), [(20, 0.04), (50, 0.01), (100, 0.004)])
def test_wide_counts_come_back_to_the_two_strings_that_they_were(num_bits, largest):
    errors = np.random.default_rng(3).uniform(0, largest, (num_bits, 2))
    shots = 20_000
    counts = counts_of(ghz_read(num_bits, shots, errors, 4), errors)
    (corrected,) = correct_counts(counts).points
    raw, found = counts.points[0].to_dict(), corrected.to_dict()
    figures = correct_counts(counts).diagnostics[-1].figures
    assert sum(found.values()) == pytest.approx(shots)
    for string in ("0" * num_bits, "1" * num_bits):
        assert raw[string] < 0.43 * shots
        # What M3 misses lies outside the measured strings; the rest is shot noise.
        missing = 0.5 * (1 - figures["captured"])
        spread = np.sqrt(figures["overhead"] / 4 / shots)
        assert -4 * spread - missing < found[string] / shots - 0.5 < 4 * spread
    assert figures["captured"] > 0.9


def test_counts_too_sparse_to_correct_say_so():
    errors = np.full((60, 2), 0.04)
    counts = correct_counts(counts_of(ghz_read(60, 2000, errors, 5), errors))
    note = counts.diagnostics[-1]
    assert note.figures["captured"] < 0.5
    assert "measured strings account for" in note.warning
    assert note.figures["norm"] == pytest.approx(0.92**-60)  # the option's own note is kept


def test_exact_probabilities_are_corrected_exactly_on_the_right_clbits():
    rng = np.random.default_rng(6)
    errors = rng.uniform(0, 0.3, (4, 2))
    errors[2] = 0.0  # nothing is read into it
    true = rng.dirichlet(np.ones(16))
    true[[i for i in range(16) if i >> 2 & 1]] = 0.0
    true /= true.sum()
    assignment = np.eye(1)
    for a, b in errors:  # clbit 0 is the lowest bit: the last factor
        assignment = np.kron(np.array([[1 - a, b], [a, 1 - b]]), assignment)
    read = {f"{i:04b}": p for i, p in enumerate(assignment @ true) if p}
    point = Distribution.from_dict(read, 4, None)
    pairs = [(float(a), float(b)) for a, b in errors]
    counts = Correction.of(pairs).attached_to(Counts((point,), (("c", 4),)))
    found = correct_counts(counts).points[0].to_dict()
    for index in range(16):
        assert found.get(f"{index:04b}", 0.0) == pytest.approx(true[index], abs=1e-12)


@pytest.fixture(scope="module")
def lima():
    return DeviceBackend(TwinProvider().open("FakeLima"), lambda: 7)


def prepared(lima):
    """X on qubit 1 alone, which is read into clbit 2; clbit 1 stays unused."""
    circuit = QuantumCircuit(2, 3)
    circuit.x(1)
    circuit.measure([0, 1], [0, 2])
    binding = bind_in_place(circuit, lima.adapter.calibration(), lima.capabilities.basis_gates)
    return Experiment(circuit, np.zeros((2, 0)), shots=4000, binding=binding)


@pytest.mark.parametrize("source", ["snapshot", "measured"])
def test_counts_of_a_device_are_corrected_at_every_point(lima, source):
    spec = OptionSpec.parse(f"ReadoutMitigation(source={source})")
    (counts,) = build_stack([spec], lima, "counts").run([prepared(lima)])
    (plain,) = build_stack([], lima, "counts").run([prepared(lima)])
    assert len(counts.points) == 2
    for point, raw in zip(counts.points, plain.points, strict=True):
        weights = point.to_dict()
        assert sum(weights.values()) == pytest.approx(4000)
        # Four standard errors: of the counts and, where measured, of the calibration.
        assert weights["100"] / 4000 == pytest.approx(1.0, abs=0.025)
        assert raw.to_dict()["100"] / 4000 < 0.97


def test_a_sampler_refuses_quasi_probabilities_and_says_what_to_do(lima):
    experiment = prepared(lima)
    stack = build_stack([READOUT], lima, "counts")
    (counts,) = stack.run([experiment])
    one_point = replace(counts, points=counts.points[:1])

    class Answered:
        def run(self, experiments):
            return (one_point,)

    with pytest.raises(MitigationError, match=r"quasi-probabilities.*Sample without it"):
        Sampler(Answered()).run([experiment.circuit], shots=4000).result()
