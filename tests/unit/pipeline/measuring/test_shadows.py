from itertools import count

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp, random_pauli_list

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.measuring.random_bases import contained, favoured_bases, random_bases, share
from pipeline.measuring.shadows import ClassicalShadows, median_variance
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, Experiment
from qcpaas.schemas import OptionSpec


def stacked(*options, device="statevector", **settings):
    seeds = count(500)
    specs = [
        OptionSpec(name="ClassicalShadows", settings=settings),
        *map(OptionSpec.parse, options),
    ]
    return build_stack(
        specs, DeviceBackend(open_device(device), lambda: next(seeds)), "expectation"
    )


def pauli_sum(num_qubits, terms, seed):
    rng = np.random.default_rng(seed)
    paulis = random_pauli_list(num_qubits, terms, seed=seed, phase=False)
    return SparsePauliOp(paulis, rng.normal(size=terms))


def ansatz(num_qubits=3, seed=2, points=1):
    circuit = efficient_su2(num_qubits, reps=1)
    rows = np.random.default_rng(seed).uniform(-3, 3, (points, circuit.num_parameters))
    return circuit, rows


OBSERVABLES = (pauli_sum(3, 8, 1), SparsePauliOp(["ZZI", "III"], [1.0, 0.5]))


@pytest.mark.parametrize("choice", ["random", "weighted"])
def test_exact_probabilities_give_exact_values_at_every_point(choice, exact_values):
    circuit, rows = ansatz(points=4)
    (outcome,) = stacked(choice=choice).run([Experiment(circuit, rows, OBSERVABLES, None)])
    assert outcome.values == pytest.approx(exact_values(circuit, rows, OBSERVABLES), abs=1e-9)
    assert np.all(outcome.variances == 0)


@pytest.mark.parametrize(
    "settings",
    [{"bases": 27}, {"bases": 60, "groups": 3}, {"choice": "weighted", "bases": 12}],
    ids=["mean", "median", "weighted"],
)
def test_values_are_unbiased_and_within_their_error_bars_as_often_as_they_say(
    settings, repeat, exact_values
):
    circuit, rows = ansatz()
    asked = Experiment(circuit, rows, OBSERVABLES, 1350)
    outcomes = repeat(stacked(**settings), asked, plans=4, draws=60)
    truth = exact_values(circuit, rows, OBSERVABLES)[0]
    deviations = np.array([outcome.values[0] for outcome in outcomes]) - truth
    errors = np.sqrt([outcome.variances[0] for outcome in outcomes])
    # 240 values: standard error of their mean 1/15, of the coverage 3 %.
    assert np.all(np.abs((deviations / errors).mean(axis=0)) < 4 / np.sqrt(240))
    coverage = (np.abs(deviations) < errors).mean(axis=0)
    assert np.all((coverage > 0.58) & (coverage < 0.78))


def test_the_shots_are_shared_and_the_cost_is_known_before():
    circuit, rows = ansatz(points=2)
    for settings in ({}, {"bases": 50, "groups": 3}, {"choice": "weighted"}):
        stack = stacked(**settings)
        asked = Experiment(circuit, rows, OBSERVABLES, 1000)
        planned = stack.plan([asked]).experiments
        assert sum(experiment.shots for experiment in planned) == 1000
        assert stack.cost(asked) == (len(planned), 1.0)
        assert all(experiment.points == 2 for experiment in planned)


def test_readout_mitigation_inside_corrects_every_basis():
    twin = open_device("FakeLima")
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.x(2)
    snapshot = twin.calibration()
    readout = np.array([snapshot.readout_error(qubit) for qubit in (0, 1, 2)])
    placed = Binding((0, 1, 2), snapshot.content_id, readout, twin.capabilities().basis_gates)
    observables = (SparsePauliOp("ZZZ"), SparsePauliOp(["IIZ", "ZII"]))
    asked = Experiment(circuit, np.zeros((1, 0)), observables, None, placed)
    (outcome,) = stacked("ReadoutMitigation", device="FakeLima").run([asked])
    # What is left are the gates' own errors, some 1e-3.
    assert outcome.values[0] == pytest.approx([1.0, -2.0], abs=0.01)
    read = 1 - 2 * readout  # what is read of a qubit in 0 and in 1
    expected = read[0, 1] * read[1, 0] * read[2, 1]
    assert outcome.raw_values[0, 0] == pytest.approx(expected, abs=0.02)
    assert [note.option for note in outcome.diagnostics] == [
        "ReadoutMitigation",
        "ClassicalShadows",
    ]


def test_a_string_that_the_shots_cannot_tell_of_is_refused_with_what_it_needs():
    asked = Experiment(QuantumCircuit(8), np.zeros((1, 0)), (SparsePauliOp("X" * 8),), 4096)
    with pytest.raises(MitigationError, match=r"3\^8 = 6561 .* at least 26244 shots"):
        stacked().plan([asked])
    planned = stacked(choice="weighted").plan([asked]).experiments
    assert [experiment.shots for experiment in planned] == [4096]


def test_too_few_bases_for_the_strings_are_refused():
    asked = Experiment(QuantumCircuit(6), np.zeros((1, 0)), (pauli_sum(6, 40, 3),), None)
    with pytest.raises(MitigationError, match="in none of the 5 bases"):
        stacked(choice="weighted", bases=5).plan([asked])


def test_the_diagnostic_says_where_grouped_bases_would_have_done_better():
    circuit = QuantumCircuit(4)
    line = SparsePauliOp(["ZZII", "IZZI", "IIZZ"])
    (outcome,) = stacked().run([Experiment(circuit, np.zeros((1, 0)), (line,), 5000)])
    note = outcome.diagnostics[-1]
    assert "fit into 1 bases" in note.warning
    assert note.figures["error_ratio"] == pytest.approx(3.0, rel=0.3)  # 2-local: one basis in 9
    assert ClassicalShadows.plots(note.figures)[0].series[0].x == (2.0,)
    pairs = [(p, q) for p in range(6) for q in range(p)]
    local = tuple(
        SparsePauliOp.from_sparse_list([(a + b, pair, 1.0)], 6)
        for pair in pairs
        for a in "XYZ"
        for b in "XYZ"
    )
    plan = stacked(bases=500).plan([Experiment(QuantumCircuit(6), np.zeros((1, 0)), local, 5000)])
    note = plan.contexts[0].experiments[0].note
    assert note.figures["error_ratio"] < 1.0
    assert not note.warning


def test_an_even_number_of_groups_has_no_median_of_its_own():
    with pytest.raises(OptionError, match="groups must be odd"):
        stacked(groups=4)


def test_a_multiple_of_the_identity_is_exact():
    asked = Experiment(QuantumCircuit(2), np.zeros((1, 0)), (SparsePauliOp("II", 2.5),), 10)
    (outcome,) = stacked().run([asked])
    assert (outcome.values.tolist(), outcome.variances.tolist()) == ([[2.5]], [[0.0]])


def test_random_bases_are_distinct_and_cover_their_qubits_evenly():
    labels = random_bases((0, 2, 3), 5, 27, np.random.default_rng(1))
    assert len(set(labels)) == 27
    assert {label[0] + label[3] for label in labels} == {"II"}
    wide = random_bases(range(40), 40, 300, np.random.default_rng(1))
    letters = np.array([list(label) for label in wide])
    frequency = np.array([(letters == letter).mean() for letter in "XYZ"])
    assert frequency == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / letters.size))


def test_favoured_bases_spend_most_on_the_largest_coefficients():
    weights = {"ZZI": 1.0, "XIX": 0.5, "IYY": 0.1, "ZII": 0.1}
    bases = favoured_bases(weights, 30, 100.0)
    hits = dict(zip(weights, bases.shots_of(list(weights)), strict=True))
    assert sum(bases.repeats) == 30
    assert hits["ZZI"] > hits["XIX"] > hits["IYY"] > 0
    assert hits["ZII"] >= hits["ZZI"]
    # The best split of uncorrelated strings is in proportion to their coefficients.
    assert hits["ZZI"] / hits["XIX"] == pytest.approx(2.0, rel=0.2)
    assert contained(list(weights), bases.labels).any(axis=0).all()


def test_shots_are_shared_in_proportion_with_none_left():
    assert share(100, (1, 1, 2)) == (25, 25, 50)
    assert sum(share(7, (5, 1, 1))) == 7
    assert min(share(10, (1000, 1, 1))) == 1


def test_the_median_of_normal_numbers_varies_as_simulated():
    drawn = np.random.default_rng(3).normal(size=(100_000, 5))
    assert median_variance(5) == pytest.approx(np.median(drawn, axis=1).var(), rel=0.02)
    assert median_variance(1) == pytest.approx(1.0, rel=1e-3)
