"""From a simulator's answers to `Distribution`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qcpaas.execution import Distribution

Array = NDArray[np.float64]

_NEGLIGIBLE = 1e-15  # below a double's resolution of 1


def sampled(counts: Mapping[str, int], num_bits: int, shots: int) -> Distribution:
    """Counts under hexadecimal keys, clbit 0 lowest."""
    rows = sorted((int(key, 16), count) for key, count in counts.items())
    return Distribution(
        outcomes=packed([outcome for outcome, _ in rows], num_bits),
        weights=np.array([count for _, count in rows], dtype=np.float64),
        num_bits=num_bits,
        shots=shots,
    )


def read_out(probabilities: Array, readouts: Mapping[int, tuple[float, float]]) -> Array:
    """Put readout errors into probabilities.

    Args:
        probabilities: Shape ``(2**bits,)``, bit 0 lowest.
        readouts: ``p(1|0)`` and ``p(0|1)`` of a bit.
    """
    flat = probabilities
    for bit, (p10, p01) in readouts.items():
        reading = np.array([[1 - p10, p01], [p10, 1 - p01]])
        flat = (reading @ flat.reshape(-1, 2, 1 << bit)).reshape(-1)
    return np.where(flat > _NEGLIGIBLE, flat, 0.0)


def over_clbits(
    weights: Array,
    clbits: Sequence[int],
    num_bits: int,
    shots: int | None,
) -> Distribution:
    """Weights of all outcomes of some clbits, as a distribution over all of them.

    Args:
        weights: Shape ``(2**len(clbits),)``; bit ``j`` of an index belongs to ``clbits[j]``.
        clbits: Ascending; the others are 0.
    """
    kept = np.flatnonzero(weights)
    outcomes: list[int] = kept.tolist()
    if tuple(clbits) != tuple(range(len(clbits))):
        outcomes = [
            sum((index >> j & 1) << clbit for j, clbit in enumerate(clbits)) for index in outcomes
        ]
    return Distribution(packed(outcomes, num_bits), weights[kept], num_bits, shots)


def packed(outcomes: Sequence[int], num_bits: int) -> NDArray[np.uint8]:
    """Integers as big-endian bytes, shape ``(m, max(1, ceil(num_bits / 8)))``."""
    width = max(1, -(-num_bits // 8))
    if width <= 8:
        words = np.array(outcomes, dtype=">u8").reshape(-1, 1).view(np.uint8)
        return np.ascontiguousarray(words[:, 8 - width :])
    text = b"".join(outcome.to_bytes(width, "big") for outcome in outcomes)
    return np.frombuffer(text, dtype=np.uint8).reshape(len(outcomes), width)
