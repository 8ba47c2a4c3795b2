from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.contract import Submission
from adapters.fake_backends import read_snapshot
from adapters.registry import open_device
from adapters.target import build_target, restrict
from adapters.twins import TwinAdapter
from calibration.placement import Placer
from calibration.template import Template
from pipeline.extrapolation.zne import ZeroNoiseExtrapolation
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, ExecutionBackend, ExpectationValues, Experiment, Plan
from qcpaas.schemas import OptionSpec

OBSERVABLES = (SparsePauliOp(["ZZ", "II"], [1.0, 0.25]), SparsePauliOp("XX"))


class Below(ExecutionBackend):
    """The place below an option that is planned and combined, and never run."""

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        raise AssertionError("nothing is executed here")

    def combine(self, plan, outcomes):
        return tuple(outcomes)


def option(**settings):
    return ZeroNoiseExtrapolation(Below(), ZeroNoiseExtrapolation.Settings(**settings))


def experiment(gates):
    circuit = QuantumCircuit(2)
    for _ in range(gates):
        circuit.cx(0, 1)
        circuit.barrier()
    return Experiment(circuit, np.zeros((2, 0)), OBSERVABLES)


def decayed(scale, rate=0.07):
    """Both points and observables decay to what the identity's part leaves."""
    ideal, mixed = np.array([[1.25, 0.6], [-0.5, 0.9]]), np.array([0.25, 0.0])
    values = mixed + (ideal - mixed) * np.exp(-rate * scale)
    return ExpectationValues(values, np.zeros((2, 2)))


def test_values_that_decay_to_the_mixed_state_are_brought_back():
    zne = option(scale_factors=(1, 2, 3, 5))
    expanded, context = zne.expand([experiment(4), experiment(2)])
    assert [e.circuit.count_ops()["cx"] for e in expanded] == [4, 8, 12, 20, 2, 4, 6, 10]
    outcomes = zne.reduce(context, [decayed(s) for s in (1, 2, 3, 5)] * 2)
    for outcome in outcomes:
        assert outcome.values == pytest.approx(np.array([[1.25, 0.6], [-0.5, 0.9]]), abs=1e-7)
        assert outcome.raw_values == pytest.approx(decayed(1).values)


def test_the_fit_uses_the_scales_that_were_reached_not_those_that_were_wanted():
    zne = option(scale_factors=(1, 2, 3), fit="linear")
    expanded, context = zne.expand([experiment(3)])
    reached = [e.circuit.count_ops()["cx"] / 3 for e in expanded]
    assert reached[1] != 2.0  # three gates cannot be doubled by whole folds
    assert context.scales[0] == pytest.approx(reached)
    line = [ExpectationValues(np.full((2, 2), 0.9 - 0.1 * s), np.zeros((2, 2))) for s in reached]
    assert zne.reduce(context, line)[0].values == pytest.approx(0.9)


def test_the_diagnostic_tells_of_fits_that_were_replaced():
    zne = option()
    _, context = zne.expand([experiment(2)])
    crossing = [
        ExpectationValues(np.full((2, 2), value), np.full((2, 2), 1e-4))
        for value in (0.4, -0.3, 0.2)
    ]
    (outcome,) = zne.reduce(context, crossing)
    figures = outcome.diagnostics[-1].figures
    assert figures["fits_replaced"] == figures["fits"] == 4
    assert "cross" in figures["why_replaced"]
    assert "4 of 4 fits are not supported" in outcome.diagnostics[-1].warning


def test_too_few_gates_for_the_wanted_scales_are_refused():
    zne = option(scale_factors=(1.0, 1.5, 3.0), fit="quadratic")
    with pytest.raises(MitigationError, match="only 2 distinct noise scales"):
        zne.expand([experiment(1)])


def test_the_cost_is_one_circuit_a_scale():
    assert option(scale_factors=(1, 3, 5, 7)).cost(experiment(1)) == (4, 4)


def bound(gates, log_fidelity, shots=4096):
    placed = Binding((0, 1), "", None, ("cx",), log_fidelity=log_fidelity)
    return replace(experiment(gates), binding=placed, shots=shots)


def test_automatic_scales_follow_the_expected_fidelity_of_each_circuit():
    zne = option(asymptote="mixed")
    expanded, context = zne.expand([bound(20, -0.05), bound(20, -4.0)])
    counts = [e.circuit.count_ops()["cx"] for e in expanded]
    assert counts[:2] == counts[3:5] == [20, 20]
    assert counts[2] > counts[5] > 20
    assert context.scales == tuple(
        tuple(count / 20 for count in counts[first : first + 3]) for first in (0, 3)
    )
    assert zne.cost(bound(20, -0.05)).circuits == 3
    decays = [decayed(scale) for scales in context.scales for scale in scales]
    for outcome in zne.reduce(context, decays):
        assert outcome.values == pytest.approx(np.array([[1.25, 0.6], [-0.5, 0.9]]), abs=1e-7)


def test_where_no_fidelity_is_expected_automatic_scales_are_the_usual_ones():
    zne = option()
    _, context = zne.expand([experiment(4), bound(4, None)])
    assert context.scales == ((1.0, 3.0, 5.0),) * 2


def test_a_circuit_of_one_gate_is_amplified_as_far_as_it_must_be():
    _, context = option().expand([bound(1, -9.0), bound(0, -9.0)])
    assert context.scales == ((1.0, 1.0, 3.0), (1.0, 1.0, 1.0))


def test_automatic_scales_are_for_exponential_fits_alone():
    _, context = option(fit="quadratic").expand([bound(4, -0.05)])
    assert context.scales == ((1.0, 3.0, 5.0),)


def test_the_plain_circuit_that_runs_twice_is_drawn_twice():
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.cx(0, 1)
    twin = open_device("FakeLima")
    placed = Binding((0, 1), "", None, twin.capabilities().basis_gates, log_fidelity=-0.1)
    asked = Experiment(circuit, np.zeros((1, 0)), OBSERVABLES[1:], 4096, placed)
    stack = build_stack(
        [OptionSpec(name="ZeroNoiseExtrapolation", settings={"scale_factors": "auto"})],
        Below(),
        "expectation",
    )
    planned = stack.plan([asked]).experiments
    result = twin.result(twin.submit(Submission(experiments=planned, seed=1), "once"))
    first, second, _ = (counts.points[0].to_dict() for counts in result.counts)
    assert first != second


def noisy(values, shots=4096):
    return ExpectationValues(values, np.full(values.shape, 1 / shots))


def test_the_standard_error_holds_what_the_form_of_the_fit_may_be_wrong_by():
    with_it, without = option(fit="linear"), option(fit="linear", systematic_error=False)
    for zne in (with_it, without):
        _, context = zne.expand([experiment(4)])
        (outcome,) = zne.reduce(context, [noisy(decayed(s, 0.2).values, 10**6) for s in (1, 3, 5)])
        wrong = np.abs(outcome.values - np.array([[1.25, 0.6], [-0.5, 0.9]]))
        covered = wrong < 2 * np.sqrt(outcome.variances)
        assert covered.all() == (zne is with_it)


def test_an_extrapolation_that_is_worth_less_than_its_error_bar_says_so():
    zne = option(fit="richardson")
    _, context = zne.expand([experiment(4)])
    (outcome,) = zne.reduce(context, [noisy(decayed(s, 1e-4).values, 100) for s in (1, 3, 5)])
    assert "smaller than their standard errors" in outcome.diagnostics[-1].warning
    (good,) = option().reduce(context, [noisy(decayed(s).values, 10**6) for s in (1, 3, 5)])
    assert good.diagnostics[-1].warning == ""


def test_a_poor_fit_says_so():
    zne = option()
    _, context = zne.expand([experiment(4)])
    kinked = [noisy(np.full((2, 2), value), 10**6) for value in (0.9, 0.5, 0.45)]
    (outcome,) = zne.reduce(context, kinked)
    assert "miss the measured values" in outcome.diagnostics[-1].warning


@pytest.mark.parametrize("fit", ["exponential", "linear", "richardson", "free_exponential"])
def test_the_plot_shows_the_curve_the_fit_and_its_value_at_zero(fit):
    zne = option(fit=fit)
    _, context = zne.expand([experiment(4)])
    (outcome,) = zne.reduce(context, [noisy(decayed(s, 0.3).values, 10**7) for s in (1, 3, 5)])
    (plot,) = zne.plots(outcome.diagnostics[-1].figures)
    measured, curve, at_zero = plot.series
    assert measured.x == (1.0, 3.0, 5.0)
    assert measured.y == pytest.approx([decayed(s, 0.3).values[0, 0] for s in (1, 3, 5)])
    assert curve.y[0] == pytest.approx(at_zero.y[0]) == pytest.approx(outcome.values[0, 0])
    error = np.sqrt(outcome.variances[0, 0])
    assert at_zero.errors[0] == pytest.approx(error)
    if fit != "linear":
        assert np.interp(3.0, curve.x, curve.y) == pytest.approx(measured.y[1], abs=0.01)


def test_error_bars_hold_on_a_twin():
    """TFIM of 4 qubits: a value within one standard error of the exact one in about 2 of 3."""
    twin = TwinAdapter("FakeKolkata", read_snapshot("FakeKolkata"))
    asked, ideal = tfim(twin.calibration())
    inside, raw, mitigated = [], [], []
    plan = build_stack([*ZNE, OptionSpec(name="ReadoutMitigation")], Below(), "expectation").plan(
        [asked]
    )
    exact = tuple(replace(planned, shots=None) for planned in plan.experiments)
    known = twin.result(twin.submit(Submission(exact, 0), "")).counts
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = [drawn(each, 4096, rng) for each in known]
        (outcome,) = combined(plan, counts)
        inside.extend(np.abs(outcome.values - ideal)[0] < np.sqrt(outcome.variances)[0])
        raw.extend((outcome.raw_values - ideal)[0])
        mitigated.extend((outcome.values - ideal)[0])
    assert np.sqrt(np.mean(np.square(mitigated))) < 0.6 * np.sqrt(np.mean(np.square(raw)))
    # 20 seeds of 3 correlated observables: about 1 in 10 either way, and the fit's own bias.
    assert 0.5 < np.mean(inside) <= 0.97


def drawn(counts, shots, rng):
    (point,) = counts.points
    weights = rng.multinomial(shots, point.weights / point.weights.sum()).astype(float)
    return replace(counts, points=(replace(point, weights=weights, shots=shots),))


def combined(plan, counts):
    stack = build_stack([*ZNE, OptionSpec(name="ReadoutMitigation")], Below(), "expectation")
    return stack.combine(plan, counts)


ZNE = [OptionSpec(name="ZeroNoiseExtrapolation")]


def tfim(snapshot):
    """Four Trotter steps on a chain of Kolkata, with energy, magnetisation and correlation."""
    chain = (0, 1, 4, 7)
    circuit = QuantumCircuit(4)
    for _ in range(4):
        for first in (0, 2, 1):
            circuit.rzz(-0.5, first, first + 1)
        circuit.rx(-0.5, range(4))
    bonds = [("ZZ", [n, n + 1], -1.0) for n in range(3)]
    observables = [
        SparsePauliOp.from_sparse_list([*bonds, *(("X", [n], -1.0) for n in range(4))], 4),
        SparsePauliOp("IIIX"),
        SparsePauliOp("IZZI"),
    ]
    compiled = transpile(
        circuit,
        target=restrict(build_target(snapshot), chain),
        optimization_level=1,
        initial_layout=list(range(4)),
        seed_transpiler=1,
    )
    placed = tuple(each.apply_layout(compiled.layout) for each in observables)
    fidelity = Placer().value(Template.in_place(compiled, chain), chain, snapshot)
    binding = Binding(
        chain,
        snapshot.content_id,
        np.array([snapshot.readout_error(qubit) for qubit in chain]),
        tuple(snapshot.gates),
        log_fidelity=fidelity,
    )
    ideal = [np.real(Statevector(circuit).expectation_value(each)) for each in observables]
    return Experiment(compiled, np.zeros((1, 0)), placed, 4096, binding), np.array(ideal)
