import math

import numpy as np
import pytest

from benchmarks.binding_extras_figures import geometric_mean
from benchmarks.binding_extras_wander import Wander

US = 1e-6


def coherence(phases):
    """Real part, and its standard error."""
    cosines = np.cos(phases)
    return cosines.mean(), cosines.std() / math.sqrt(len(cosines))


def test_constant_frequencies_and_the_echos_decay_fall_to_1_over_e_at_t2_star():
    ramsey, echo = 30 * US, 80 * US
    wander = Wander.of(np.array([ramsey]), np.array([echo]))
    (left, error) = coherence(wander.phases([(0, 0.0, ramsey)], 40_000, seed=1)[:, 0])
    assert left * math.exp(-ramsey / echo) == pytest.approx(1 / math.e, abs=4 * error)


def test_frequencies_that_wander_within_a_run_give_the_echo_that_they_were_made_for():
    t1, echo = 100 * US, 70 * US
    wander = Wander.within_run(np.array([t1]), np.array([echo]), 30 * US)
    halves = [(0, 0.0, echo / 2), (0, echo / 2, echo)]
    turned = wander.phases(halves, 40_000, seed=2)
    left, error = coherence(turned[:, 0] - turned[:, 1])
    bias = 0.01  # of ten steps a stretch
    assert left * math.exp(-echo / (2 * t1)) == pytest.approx(1 / math.e, abs=4 * error + bias)
    ramsey = wander.ramsey_s(0, 2 * t1)
    free = wander.phases([(0, 0.0, ramsey)], 40_000, seed=3)[:, 0]
    left, error = coherence(free)
    assert left * math.exp(-ramsey / (2 * t1)) == pytest.approx(1 / math.e, abs=4 * error + bias)
    assert ramsey < echo


def test_what_is_doubled_as_often_as_halved_has_a_geometric_mean_of_one():
    assert geometric_mean([0.5, 2.0] * 20, seed=1).value == pytest.approx(1.0)
