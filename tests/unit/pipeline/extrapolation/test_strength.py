import math

import numpy as np
import pytest

from pipeline.extrapolation.fits import extrapolate
from pipeline.extrapolation.strength import LARGEST, scales_for


@pytest.mark.parametrize("shots", [100, 4096, 10**6])
def test_the_less_fidelity_is_left_the_less_noise_is_added(shots):
    largest = [scales_for(-rate, shots)[-1] for rate in np.geomspace(0.01, 20, 40)]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] == max(LARGEST)
    assert largest[-1] == min(LARGEST)


def test_more_shots_leave_bias_as_the_larger_error():
    largest = [scales_for(-0.5, shots)[-1] for shots in (100, 1000, 10**4, 10**5, 10**6)]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > largest[-1]
    assert scales_for(-0.5, None)[-1] == min(LARGEST)


def test_a_circuit_without_fidelity_or_above_all_doubt_has_scales_too():
    for log_fidelity in (-1e9, -math.inf, 0.0, 0.1):
        assert scales_for(log_fidelity, 1000)[:2] == (1.0, 1.0)


@pytest.mark.parametrize("log_fidelity", [-0.2, -1.0, -3.0])
def test_the_choice_is_near_the_best_for_curves_of_several_rates(log_fidelity):
    """Curves of two rates about half the lost log fidelity, half as wide, in simulated shots."""
    shots, rng, rate = 4096, np.random.default_rng(5), -log_fidelity / 2

    def rms(scales):
        reached = np.array(scales)
        values = (np.exp(-0.5 * rate * reached) + np.exp(-1.5 * rate * reached)) / 2
        variances = (1 - values**2) / shots
        drawn = values + np.sqrt(variances) * rng.standard_normal((200, len(scales)))
        spread = np.broadcast_to(variances[:, None], drawn.T.shape)
        errors = extrapolate(reached, drawn.T, spread, "exponential").values - 1
        return np.sqrt(np.mean(np.square(errors)))

    chosen = rms(scales_for(log_fidelity, shots))
    assert chosen < 1.35 * min(rms((1.0, 1.0, largest)) for largest in LARGEST)
    assert chosen < 0.9 * rms((1.0, 3.0, 5.0))
