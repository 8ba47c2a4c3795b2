"""Constants of devices, from synthetic devices whose constants are known."""

import numpy as np
import pytest
from scipy.stats import t

from qcpaas.scheduling import JobEstimate
from store.timings import Judged, Observed
from tasks.estimation.constants import Belief, fit
from tasks.estimation.learning import judged

DELAY_S = 250e-6


def submissions(rng, number, constants, relative, floor_s):
    """What a device with these constants takes, with a spread of so much."""
    a, b, c = constants
    found = []
    for _ in range(number):
        circuits = int(rng.integers(1, 60))
        shots = circuits * int(rng.choice([256, 1024, 4096]))
        circuit_s = shots * rng.uniform(1e-6, 40e-6)
        mean = a + b * circuits + c * shots + circuit_s
        spread = relative * np.hypot(mean, floor_s)
        found.append(Observed(circuits, shots, circuit_s, mean + spread * rng.normal(), 0.0))
    return found


def test_constants_of_a_noisy_device_are_recovered_within_their_own_errors():
    rng = np.random.default_rng(5)
    true = np.array([2.3, 0.04, 310e-6])
    seen = submissions(rng, 300, true, relative=0.03, floor_s=1.0)
    found = fit(seen, [each.qpu_s for each in seen], Belief.of_qpu(DELAY_S))
    errors = found.sigma * np.sqrt(np.diag(found.covariance))
    assert np.all(np.abs(found.means - true) < 4 * errors)
    assert np.all(errors < [0.2, 0.01, 5e-6])
    assert found.sigma == pytest.approx(0.03, rel=0.25)
    assert found.observations == 300


def test_without_observations_the_belief_and_its_interval_stand_as_reckoned_by_hand():
    belief = Belief.of_qpu(DELAY_S)
    nothing = fit([], [], belief)
    took = nothing.of(submissions=2, circuits=10, shots=40_000, circuit_s=0.4)
    # 2 submissions of 1 s, 10 circuits of 5 ms, 40,000 shots of 250 us, and the circuits.
    assert took.value_s == pytest.approx(2.0 + 0.05 + 10.0 + 0.4)
    known = (2 * 1.5) ** 2 + (10 * 0.02) ** 2 + (40_000 * (0.3 * DELAY_S + 1e-6)) ** 2
    noise = 0.1**2 * (2 * nothing.floor_s**2 + 12.45**2)
    half = t.ppf(0.975, 4) * np.sqrt(known + noise)
    assert took.high_s - took.value_s == pytest.approx(half)
    assert took.low_s == pytest.approx(took.value_s - half)


def test_an_exact_twin_soon_has_a_narrow_interval():
    rng = np.random.default_rng(1)
    seen = submissions(rng, 50, (0.0, 0.0, DELAY_S), relative=0.0, floor_s=0.0)
    found = fit(seen, [each.qpu_s for each in seen], Belief.of_twin(DELAY_S))
    took = found.of(1, 1, 4096, 4096 * 5e-6)
    assert took.value_s == pytest.approx(4096 * 255e-6, rel=1e-3)
    assert took.high_s - took.low_s < 0.05 * took.value_s


def test_constants_that_cannot_be_told_apart_still_predict_their_sum():
    seen = [Observed(1, 4096, 0.02, 3.0 + 1e-3 * step, 0.0) for step in range(-5, 6)]
    found = fit(seen, [each.qpu_s for each in seen], Belief.of_qpu(DELAY_S))
    assert found.of(1, 1, 4096, 0.02).value_s == pytest.approx(3.0, rel=0.02)


def test_nothing_run_takes_no_time():
    took = fit([], [], Belief.of_qpu(DELAY_S)).of(1, 0, 0, 0.0)
    assert (took.value_s, took.low_s, took.high_s) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("seen_before", [2, 10, 60])
def test_intervals_of_new_submissions_hold_as_often_as_they_say(seen_before):
    rng, belief = np.random.default_rng(seen_before), Belief.of_qpu(DELAY_S)
    held = []
    for _ in range(120):
        true = np.abs(rng.normal(belief.means, belief.spreads))  # as it is believed beforehand
        noise = {"relative": rng.uniform(0.05, 0.15), "floor_s": rng.choice([0.1, 1.0])}
        seen = submissions(rng, seen_before, true, **noise)
        found = fit(seen, [each.qpu_s for each in seen], belief)
        for new in submissions(rng, 4, true, **noise):
            took = found.of(1, new.circuits, new.shots, new.circuit_s)
            held.append(took.low_s <= new.qpu_s <= took.high_s)
    assert 0.90 <= np.mean(held) <= 0.99


@pytest.mark.parametrize("bias", [1.0, 1.5, 0.7])
def test_judging_estimates_makes_their_intervals_honest_whatever_is_wrong_with_them(bias):
    """Estimates of 10 s with 20 %, of jobs that take something else, spread as they like."""
    rng = np.random.default_rng(8)
    record, held = Judged(), []
    for _ in range(600):
        widening = np.exp(record.log_widening)
        estimate = JobEstimate(
            device="d", qpu_s=10.0, qpu_s_lo=max(0.0, 10 - 2 * widening), qpu_s_hi=10 + 2 * widening
        )
        took = 10.0 * bias * np.exp(0.1 * rng.standard_t(4))
        held.append(estimate.qpu_s_lo <= took <= estimate.qpu_s_hi)
        record = judged(record, estimate, took)
    assert 0.90 <= np.mean(held) <= 0.99
    assert (record.jobs, record.covered) == (600, sum(held))
    assert np.exp(record.log_ratio / 600) == pytest.approx(bias, rel=0.03)
