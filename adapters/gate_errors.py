"""What a calibrated gate error is made of: relaxation, and depolarising noise that makes it up."""

from __future__ import annotations

import math
from collections.abc import Sequence


def depolarising_parameter(error: float, relaxation_fidelity: float, num_qubits: int) -> float:
    """How much depolarising noise before a relaxation makes up a gate's error.

    Args:
        error: 1 - average gate fidelity of both together; cut at what is physical.
        relaxation_fidelity: Average gate fidelity of the relaxation by itself.

    Returns:
        Of the channel ``(1 - p) rho + p I / d``; 0 where the relaxation is worse already.

    Source: https://qiskit.github.io/qiskit-aer, ``basic_device_gate_errors``.
    """
    dim = float(2**num_qubits)
    missing = min(error, dim / (dim + 1)) - (1 - relaxation_fidelity)
    if missing <= 0:
        return 0.0
    return min(dim * missing / (dim * relaxation_fidelity - 1), dim**2 / (dim**2 - 1))


def relaxation_fidelity(decays: Sequence[tuple[float, float]]) -> float:
    """Average gate fidelity of qubits that relax each by itself.

    Args:
        decays: ``exp(-t/T1)`` and ``exp(-t/T2)`` of each.
    """
    entanglement = math.prod((1 + e1 + 2 * e2) / 4 for e1, e2 in decays)
    dim = float(2 ** len(decays))
    return (dim * entanglement + 1) / (dim + 1)
