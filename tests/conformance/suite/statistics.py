"""How far samples may be from what they are drawn from."""

import numpy as np
from conformance.suite.device import SHOTS


def total_variation(distribution, expected):
    found = distribution.to_dict()
    total = sum(found.values())
    keys = found.keys() | expected.keys()
    return sum(abs(found.get(k, 0) / total - expected.get(k, 0)) for k in keys) / 2


def sampling_error(outcomes, shots=SHOTS):
    """Five standard deviations of the total variation distance of ``shots`` samples."""
    return 5 * np.sqrt(outcomes / shots) / 2


def likeliest(distribution):
    found = distribution.to_dict()
    return max(found, key=found.get)
