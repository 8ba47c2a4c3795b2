"""Factors from fidelities that were drawn with known ones, and what is kept of the evidence."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.elements import Element
from calibration.factors import SPIKE, Seen, fit
from calibration.feedback import (
    KEPT_CIRCUITS,
    USER,
    Evidence,
    elements_of,
    kinds_of,
    marks_of,
)
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.snapshot import Reading, Snapshot

COUPLERS = [Element("two_qubit", (q, q + 1)) for q in range(20)]
READOUTS = [Element("readout", (q,)) for q in range(21)]
SHOTS = 1024


def circuits(factors, seed, count=60, *, width=6, mismatch=0.0, scale=1.0):
    """Chains of ``width`` qubits at random places, echoed with a finite number of shots."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        first = int(rng.integers(len(COUPLERS) - width + 2))
        used = [*COUPLERS[first : first + width - 1], *READOUTS[first : first + width]]
        nats = dict.fromkeys(used, -0.02)
        nats |= {e: -0.01 * int(rng.integers(2, 9)) for e in used if e.kind == "two_qubit"}
        lost = scale * sum(lost * factors.get(e, 1.0) for e, lost in nats.items())
        survival = math.exp(lost * (1 + mismatch * rng.normal()))
        share = (rng.binomial(SHOTS, survival) + 0.5) / (SHOTS + 1)
        error = math.sqrt((1 - share) / share / SHOTS)
        yield Seen.of(str(number), nats, math.log(share), error)


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.2])
@pytest.mark.parametrize("seed", range(4))
def test_honest_calibration_leaves_every_factor_near_one(seed, scale):
    """Even where an echo as a whole shows more or less than the sum over its elements."""
    found = fit(list(circuits({}, seed, mismatch=0.04, scale=scale)))
    logs = np.array([factor.log for factor in found.values()])
    errors = np.array([factor.std_error for factor in found.values()])
    assert np.abs(logs).max() < 3 * SPIKE
    assert (np.abs(logs) < 3 * errors).all()


@pytest.mark.parametrize("seed", range(4))
def test_planted_factors_are_found_within_their_errors(seed):
    planted = {COUPLERS[4]: 5.0, COUPLERS[13]: 3.0, READOUTS[9]: 4.0, COUPLERS[17]: 0.2}
    found = fit(list(circuits(planted, seed, count=120)))
    for element, factor in planted.items():
        known = found[element]
        assert abs(known.log - math.log(factor)) < 4 * known.std_error + 0.1
        assert (known.log > math.log(2)) == (factor > 1)
    rest = [abs(factor.log) for element, factor in found.items() if element not in planted]
    assert np.median(rest) < SPIKE
    assert max(rest) < math.log(2)


def test_blame_falls_on_the_one_element_that_all_bad_circuits_share():
    bad = COUPLERS[8]
    found = fit(list(circuits({bad: 6.0}, seed=5, count=40)))
    worst = max(found, key=lambda element: found[element].log)
    assert worst == bad


def test_wildly_wrong_observation_changes_little():
    honest = list(circuits({}, seed=2))
    wrong = replace(honest[10], name="wrong", log_fidelity=-12.0, variance=1e-8)
    before, after = fit(honest), fit([*honest, wrong])
    assert max(abs(after[e].log - before[e].log) for e in before) < 0.1


def test_observations_of_one_circuit_do_not_outweigh_the_models_own_error():
    """A thousand echoes of one circuit that are 4 % off say no more than a few."""
    (one,) = circuits({}, seed=1, count=1)
    off = replace(one, log_fidelity=1.04 * one.predicted, variance=1e-9)
    found = fit([off])
    assert max(abs(factor.log) for factor in found.values()) < 0.02
    assert all(factor.std_error > SPIKE / 2 for factor in found.values())


def test_same_circuit_is_averaged_by_its_variances():
    (one,) = circuits({}, seed=1, count=1)
    first = replace(one, log_fidelity=-0.3, variance=0.01)
    second = replace(one, log_fidelity=-0.6, variance=0.02)
    both = first.merged(second)
    assert both.log_fidelity == pytest.approx((2 * -0.3 + -0.6) / 3)
    assert both.variance == pytest.approx(1 / (1 / 0.01 + 1 / 0.02))
    assert both.predicted == pytest.approx(one.predicted)
    evidence = Evidence().with_seen(first, {}).with_seen(second, {})
    assert len(evidence.seen) == 1


def test_exact_observation_stands_for_itself():
    (one,) = circuits({}, seed=1, count=1)
    exact = replace(one, log_fidelity=-0.5, variance=0.0)
    assert one.merged(exact).log_fidelity == exact.merged(one).log_fidelity == -0.5
    assert np.isfinite([factor.log for factor in fit([exact]).values()]).all()


def test_later_figure_of_a_user_takes_the_place_of_the_first():
    (one,) = circuits({}, seed=1, count=1)
    first, second = (replace(one, source=USER, log_fidelity=seen) for seen in (-3.0, -0.3))
    evidence = Evidence().with_seen(first, {}).with_seen(second, {})
    assert [seen.log_fidelity for seen in evidence.seen] == [-0.3]


@pytest.mark.parametrize(
    ("log_fidelity", "std_error", "nats", "reason"),
    [
        (-math.inf, 0.1, -0.1, "its log fidelity is -inf"),
        (math.nan, 0.1, -0.1, "its log fidelity is nan"),
        (-0.2, math.nan, -0.1, "its standard error is nan"),
        (-0.2, -1.0, -0.1, "its standard error is -1"),
        (-0.2, 0.1, math.nan, "promises no finite fidelity"),
        (-0.2, 0.1, 0.1, "promises no finite fidelity"),
        (-0.2, 0.1, 0.0, "uses no element"),
    ],
)
def test_observation_that_makes_no_sense_is_refused(log_fidelity, std_error, nats, reason):
    with pytest.raises(CalibrationError, match=reason):
        Seen.of("x", {COUPLERS[0]: nats}, log_fidelity, std_error)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-30, 0), st.floats(0, 10)), min_size=1, max_size=12),
    st.integers(0, 1000),
)
def test_whatever_was_observed_every_factor_is_finite(figures, seed):
    drawn = circuits({}, seed, count=len(figures))
    seen = [
        Seen.of(one.name, dict(zip(one.elements, one.contributions, strict=True)), *figure)
        for one, figure in zip(drawn, figures, strict=True)
    ]
    for factor in fit(seen).values():
        assert abs(factor.log) <= 3.0
        assert 0 < factor.std_error < 3.0


def marks(elements, day=0):
    return dict.fromkeys(elements, f"day {day}")


def learnt(planted, seed=3, count=60):
    evidence = Evidence()
    seen = list(circuits(planted, seed, count))
    for one in seen[:-1]:  # only the last needs the fit
        evidence = replace(
            evidence,
            seen=(*evidence.seen, one),
            marks={**evidence.marks, **marks(one.elements)},
        )
    return evidence.with_seen(seen[-1], marks(seen[-1].elements))


def test_renewed_calibration_of_an_element_starts_it_anew_and_leaves_the_others():
    planted = {COUPLERS[5]: 5.0, COUPLERS[15]: 5.0}
    evidence = learnt(planted)
    again = evidence.renewed({COUPLERS[5]: "day 1"})
    assert COUPLERS[5] not in again.factors
    assert again.factors[COUPLERS[15]] == evidence.factors[COUPLERS[15]]
    refit = fit(again.seen)
    assert COUPLERS[5] not in refit
    assert refit[COUPLERS[15]].log > math.log(2)
    neighbours = [abs(refit[COUPLERS[place]].log) for place in (3, 4, 6, 7)]
    assert max(neighbours) < math.log(2)  # its loss is not blamed on them


def test_corrections_are_those_of_the_calibration_at_hand():
    evidence = learnt({COUPLERS[5]: 5.0})
    now = marks(evidence.factors) | {COUPLERS[5]: "day 1"}
    corrections = evidence.corrections(now, version=7)
    assert corrections.version == 7
    assert COUPLERS[5] not in corrections.log_factors
    assert corrections.log_factors[COUPLERS[6]] == evidence.factors[COUPLERS[6]].log


def test_evidence_is_bounded():
    evidence = Evidence()
    for number, one in enumerate(circuits({}, seed=1, count=KEPT_CIRCUITS + 20)):
        only = Element("idle", (number,))
        seen = replace(one, elements=(*one.elements, only), contributions=np.append(
            one.contributions, -0.01
        ))  # fmt: skip
        evidence = replace(evidence, seen=(*evidence.seen, seen)).renewed(marks(seen.elements))
    assert len(evidence.seen) == KEPT_CIRCUITS
    assert Element("idle", (0,)) not in evidence.marks
    assert Element("idle", (KEPT_CIRCUITS + 19,)) in evidence.marks


def test_evidence_comes_back_from_bytes_as_it_was():
    evidence = learnt({COUPLERS[5]: 5.0})
    again = Evidence.from_bytes(evidence.to_bytes())
    assert again is not None
    assert again.factors == evidence.factors
    assert again.marks == evidence.marks
    for before, after in zip(evidence.seen, again.seen, strict=True):
        for name in ("name", "elements", "log_fidelity", "variance", "source"):
            assert getattr(after, name) == getattr(before, name)
        np.testing.assert_array_equal(after.contributions, before.contributions)
    assert Evidence.from_bytes(Evidence().to_bytes()) is not None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_or_foreign_bytes_are_no_evidence(data):
    payload = bytearray(PAYLOAD)
    how = data.draw(st.sampled_from(["cut", "flip", "version", "noise"]))
    if how == "cut":
        payload = payload[: data.draw(st.integers(0, len(payload) - 1))]
    elif how == "flip":
        payload[data.draw(st.integers(1, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    elif how == "version":
        payload[0] ^= data.draw(st.integers(1, 255))
    else:
        payload = bytearray(data.draw(st.binary(max_size=60)))
    assert Evidence.from_bytes(bytes(payload)) is None


PAYLOAD = learnt({COUPLERS[5]: 5.0}, count=8).to_bytes()


def test_draws_are_repeatable_and_spread_as_far_as_is_unknown():
    evidence = learnt({})
    drawn = [evidence.drawn([*COUPLERS, *READOUTS], seed).log_factors for seed in range(400)]
    assert drawn[3] == evidence.drawn([*COUPLERS, *READOUTS], 3).log_factors
    known = evidence.factors[COUPLERS[10]]
    values = [one[COUPLERS[10]] for one in drawn]
    assert np.std(values) == pytest.approx(known.std_error, rel=5 / math.sqrt(2 * 400))
    unknown = [one[Element("idle", (3,))] for one in (evidence.drawn([Element("idle", (3,))], s)
               .log_factors for s in range(400))]  # fmt: skip
    assert 0.05 < np.mean(np.abs(unknown) > 3 * SPIKE) < 0.25


NOW = datetime(2026, 11, 1, tzinfo=UTC)


def snapshot(changed=None, later=()):
    values = {
        (Quantity.GATE_ERROR, "cx", (0, 1)): 0.01,
        (Quantity.GATE_ERROR, "cx", (1, 0)): 0.01,
        (Quantity.GATE_ERROR, "cx", (1, 2)): 0.02,
        (Quantity.GATE_ERROR, "sx", (0,)): 0.001,
        (Quantity.READOUT_P10, "", (1,)): 0.02,
        (Quantity.T1_S, "", (2,)): 1e-4,
        (Quantity.T2_ECHO_S, "", (2,)): 1e-4,
        (Quantity.FREQUENCY_HZ, "", (0,)): 5e9,
    } | (changed or {})
    readings = [
        Reading(quantity, qubits, value, NOW + timedelta(days=(quantity, gate, qubits) in later),
                gate)
        for (quantity, gate, qubits), value in values.items()
    ]  # fmt: skip
    return Snapshot.of("small", 3, readings, NOW)


@pytest.mark.parametrize(
    ("key", "element"),
    [
        ((Quantity.GATE_ERROR, "cx", (1, 0)), Element("two_qubit", (0, 1))),
        ((Quantity.GATE_ERROR, "sx", (0,)), Element("one_qubit", (0,))),
        ((Quantity.READOUT_P10, "", (1,)), Element("readout", (1,))),
        ((Quantity.T2_ECHO_S, "", (2,)), Element("idle", (2,))),
        ((Quantity.FREQUENCY_HZ, "", (0,)), None),
    ],
)
def test_mark_changes_with_the_value_or_the_date_of_its_element_alone(key, element):
    before = marks_of(snapshot(), elements_of(snapshot()))
    for after in (snapshot({key: 0.5}), snapshot(later=[key])):
        now = marks_of(after, before)
        assert [e for e in before if now[e] != before[e]] == ([element] if element else [])


def test_elements_of_a_device_are_its_couplers_and_what_its_qubits_do():
    found = elements_of(snapshot())
    assert [e for e in found if e.kind == "two_qubit"] == [
        Element("two_qubit", (0, 1)),
        Element("two_qubit", (1, 2)),
    ]
    assert len(found) == 2 + 3 * 3
    assert kinds_of(Quantity.FREQUENCY_HZ.value, 1) == ()
