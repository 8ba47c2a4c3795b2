"""The benchmark of mitigation: its circuits, its scene, and its figures on almost nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit.quantum_info import Operator

from benchmarks.binding_circuits import chain
from benchmarks.mitigation_accuracy import Record, measure_accuracy, rms_ratio
from benchmarks.mitigation_circuits import FAMILIES, problems_of
from benchmarks.mitigation_folding import compiled, fold_natively
from benchmarks.mitigation_ideal import measure_ideal
from benchmarks.mitigation_scene import Answer, Scene
from benchmarks.mitigation_stacks import STACKS, installed
from benchmarks.mitigation_wide import ReadGhz, asked, distribution_of, measure_wide, share
from benchmarks.report import Report


def rows_of(report):
    return {row.metric: row for row in report.rows}


@pytest.mark.parametrize("family", FAMILIES)
def test_problems_are_random_instances_with_known_values(family):
    first, second = problems_of(family, 4, 2, seed=3)
    assert np.all(np.abs(first.exact) <= 1 + 1e-9)
    again = problems_of(family, 4, 1, seed=3)[0]
    assert again.exact == pytest.approx(first.exact, abs=1e-12)
    assert np.any(first.point != second.point) or first.circuit != second.circuit
    if family in {"mirror", "rb"}:  # they end in one bit string
        assert np.abs(first.exact) == pytest.approx(1.0)
    if family == "ghz":
        assert first.exact[0] == pytest.approx(1.0)


def test_a_scene_places_circuits_and_counts_what_a_stack_spends():
    scene = Scene.open("FakeLima")
    (problem,) = problems_of("ghz", 3, 1, seed=1)
    plain = scene.answer((), problem, 2000, seed=5)
    assert (plain.circuits, plain.shots) == (2, 4000)  # XXX and ZZ
    assert plain.values != pytest.approx(problem.exact, abs=0.01)
    mitigated = scene.answer(("ZeroNoiseExtrapolation", "ReadoutMitigation"), problem, 2000, seed=5)
    assert (mitigated.circuits, mitigated.shots) == (6, 12_000)
    assert (
        np.abs(mitigated.values - problem.exact).sum() < np.abs(plain.values - problem.exact).sum()
    )
    again = scene.answer((), problem, 2000, seed=5)
    assert again.values == pytest.approx(plain.values, abs=0)


def test_records_compare_with_the_truth():
    problems = problems_of("ghz", 3, 2, seed=1)
    exact = [one.exact for one in problems]
    near = [Answer(e + 0.01, np.full(2, 0.02), 3000, 3, 0.0) for e in exact]
    far = [Answer(e - 0.1, np.full(2, 0.02), 1000, 1, 0.0) for e in exact]
    record = Record.of(problems, near, far, far)
    assert record.shots == 3
    assert record.covered.tolist() == [[1, 1], [1, 1]]
    ratio = rms_ratio((record.raw**2).mean(axis=1), (record.mitigated**2).mean(axis=1), 1)
    assert ratio.value == pytest.approx(10)
    assert Record.of(problems, far, near, near).covered.sum() == 0


def test_stacks_name_only_what_is_installed():
    here = installed()
    assert {"readout", "zne", "zne_readout"} <= set(here) <= set(STACKS)
    assert set(installed(("zne", "no such"))) == {"zne"}


def test_rows_bear_the_fixed_names(monkeypatch):
    few = ("readout", "zne_readout")
    for module in ("accuracy", "ideal"):
        monkeypatch.setattr(
            f"benchmarks.mitigation_{module}.installed", lambda names=None: installed(few)
        )
    report = Report("mitigation")
    measure_accuracy(report, quick=True, seed=2, names=["tfim4"])
    rows = rows_of(report)
    assert rows["error_reduction_zne_readout_tfim4"].aim == 2.5
    assert rows["coverage_1_sigma"].aim == 0.60
    assert rows["coverage_1_sigma_below"].value == rows["coverage_1_sigma"].value
    measure_ideal(report, quick=True, seed=2, cases=[("tfim", 4, 1)])
    assert rows_of(report)["refused_on_ideal"].value == 0
    assert "ideal_pull_zne_readout" in rows_of(report)
    assert rows_of(report)["harmful_on_ideal"].reached


def test_an_unknown_case_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"cases tfim5 are not known. Choose among tfim4, ghz4"):
        measure_accuracy(Report("mitigation"), quick=False, seed=2, names=["tfim5"])


def test_natively_folded_circuits_stay_what_they_were():
    circuit = compiled(chain(3), "FakeLima", seed=1)
    for folded in fold_natively(circuit):
        assert Operator(folded).equiv(Operator(circuit))
        assert set(folded.count_ops()) <= set(circuit.count_ops())


def test_ghz_states_are_read_with_the_bound_errors():
    experiment = asked(20, 40_000)
    circuit = experiment.circuit.copy()
    circuit.measure_all()
    from dataclasses import replace

    (counts,) = ReadGhz(1).execute([replace(experiment, circuit=circuit, observables=None)])
    errors = experiment.binding.readout_errors
    survive = [np.prod(1 - errors[:, column]) for column in (0, 1)]
    expected = np.mean(survive)
    spread = math.sqrt(expected * (1 - expected) / 40_000)
    assert share(counts.points[0]) == pytest.approx(expected, abs=5 * spread)
    assert distribution_of(np.array([[1, 0, 0]])).to_dict() == {"001": 1.0}


def test_wide_readout_is_mitigated(monkeypatch):
    report = Report("mitigation")
    measure_wide(report, quick=True, seed=1, widths=(20,))
    assert set(rows_of(report)) == {"readout_20q", "readout_counts_20q"}
