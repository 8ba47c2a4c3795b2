"""From what Rigetti's machines send back to `Distribution`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcpaas.execution import Distribution

Bits = NDArray[np.uint8]


def bits_of_rows(rows: Any, shots: int, width: int) -> Bits:
    """Check what a QVM says of one region.

    Returns:
        Shape ``(shots, width)``.

    Raises:
        ValueError: It is not a row for each shot, a 0 or 1 for each bit.
    """
    if not isinstance(rows, list) or len(rows) != shots:
        raise ValueError(f"{shots} shots were asked, and {_count(rows)} rows came")
    if any(not isinstance(row, list) or len(row) != width for row in rows):
        raise ValueError(f"a row is not {width} bits wide")
    return _checked(np.array(rows).reshape(shots, width))


def bits_of_columns(columns: dict[int, Any], shots: int, width: int) -> Bits:
    """Put together what a processor read, one column a measured bit; the others are 0.

    Raises:
        ValueError: A column is not a 0 or 1 for each shot.
    """
    bits = np.zeros((shots, width), dtype=np.uint8)
    for bit, values in columns.items():
        if not isinstance(values, list) or len(values) != shots:
            raise ValueError(f"{shots} shots were asked, and {_count(values)} values of a bit came")
        bits[:, bit] = _checked(np.array(values))
    return bits


def distribution(bits: Bits) -> Distribution:
    """Count equal shots.

    Args:
        bits: Shape ``(shots, bits)``, column ``i`` the circuit's clbit ``i``.
    """
    shots, width = bits.shape
    padded = np.zeros((shots, 8 * max(1, -(-width // 8))), dtype=np.uint8)
    padded[:, padded.shape[1] - width :] = bits[:, ::-1]
    outcomes, counts = np.unique(np.packbits(padded, axis=1), axis=0, return_counts=True)
    return Distribution(outcomes, counts.astype(np.float64), width, shots)


def _checked(values: NDArray[Any]) -> Bits:
    if values.size and (values.dtype.kind not in "iu" or not np.isin(values, (0, 1)).all()):
        raise ValueError("a bit is neither 0 nor 1")
    return values.astype(np.uint8)


def _count(values: Any) -> str:
    return str(len(values)) if isinstance(values, Sequence) else "no"
