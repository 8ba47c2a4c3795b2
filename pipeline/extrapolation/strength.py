"""How far to amplify noise before an exponential extrapolation, from the expected fidelity.

Two noise scales suffice for an exponential whose asymptote is known: 1, and one that trades two
errors against each other. A small scale leaves the extrapolation at the mercy of shot noise, a
large one measures what noise has already erased, and strains a curve that is a sum of exponentials.
"""

from __future__ import annotations

import math

# Whole and half folds: every gate, or every second one, is folded equally often. Below 2 a few
# places of the circuit would stand for all of it.
LARGEST = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0)
PLAIN = 2  # share of the shots that scale 1 gets, beside one for the other: near the best split
FELT = 0.5  # of the errors; the others commute with what is measured, or lie outside its past
# Standard error of a correction, as a share of it: noise that folding does not amplify as wanted.
# Gates between a gate and its inverse meet another state, where relaxation may do less; waiting
# and gates on one qubit stay as they are. Without shot noise 0.16, 0.25 and 0.35 of a correction
# were missing in 50, 68 and 80 % of 200 values (TFIM, GHZ, QAOA, mirror and randomised benchmarking
# circuits on twins of two devices), whichever form was fitted to whichever scales.
UNAMPLIFIED = 0.25
SPREAD = 0.5  # standard deviation of the decay rates that make up one curve, in units of their mean


def scales_for(log_fidelity: float, shots: int | None) -> tuple[float, ...]:
    """Noise scales with the smallest expected error at equal numbers of shots.

    The logarithm of the curve, ``-r s`` to first order, is drawn through the scales 1 and ``s``.
    Its value at 0 has the variance ``(s² exp(2r) / 2 + exp(2rs)) / ((s - 1)² shots)``, relative to
    a signal of variance 1 a shot, and, from the curvature that a spread of rates gives, the bias
    ``(SPREAD r)² s / 2``.

    Args:
        log_fidelity: Natural logarithm of the circuit's expected success probability.
        shots: At each of the scales; ``None`` where there is no shot noise.

    Returns:
        Scale 1 as often as it is to be measured, then the largest.
    """
    rate = FELT * max(-log_fidelity, 0.0)

    def squared_error(scale: float) -> float:
        bias = (SPREAD * rate) ** 2 * scale / 2
        if shots is None:
            return bias**2
        # Capped: a circuit without any fidelity left overflows, and has nothing to choose.
        erased = scale**2 * _exp(2 * rate) / PLAIN + _exp(2 * rate * scale)
        return erased / ((scale - 1) ** 2 * shots) + bias**2

    return (*(1.0,) * PLAIN, min(LARGEST, key=squared_error))


def _exp(exponent: float) -> float:
    return math.exp(min(exponent, 300.0))
