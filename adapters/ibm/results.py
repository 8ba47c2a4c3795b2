"""Results of IBM's primitives as counts and expectation values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.ibm.circuits import REGISTERS
from qcpaas.errors import MalformedReply
from qcpaas.execution import Counts, Distribution, ExpectationValues

Registers = tuple[tuple[str, int], ...]


def read_result(
    result: Any, device: str
) -> tuple[tuple[Counts, ...], tuple[ExpectationValues, ...]]:
    """Counts and expectation values of each PUB; one of the two is empty.

    Raises:
        MalformedReply: It is no result of the sampler or the estimator.
    """
    from qiskit.primitives import PrimitiveResult

    if not isinstance(result, PrimitiveResult):
        shown = " ".join(repr(result).split())[:200]
        raise MalformedReply(f"{device} answered what is no result: {shown}. Ask again later.")
    try:
        pubs = list(result)
        if all("evs" in pub.data for pub in pubs):
            return (), tuple(_values(pub.data) for pub in pubs)
        return tuple(_counts(pub) for pub in pubs), ()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedReply(
            f"{device} answered a result that cannot be read: {error!r:.200}. Ask again later."
        ) from error


def joined(arrays: Sequence[tuple[NDArray[np.uint8], int]]) -> NDArray[np.uint8]:
    """Registers side by side, the first one's bits lowest.

    Args:
        arrays: Packed outcomes of a register, shape ``(..., ceil(bits / 8))``, and its bits.

    Returns:
        Shape ``(..., max(1, ceil(all bits / 8)))``, as `qcpaas.execution.Distribution` has them.
    """
    if len(arrays) == 1:
        return arrays[0][0]
    bits = [np.unpackbits(array, axis=-1)[..., -width:] for array, width in reversed(arrays)]
    together = np.concatenate(bits, axis=-1)
    padding = [(0, 0)] * (together.ndim - 1) + [(-together.shape[-1] % 8, 0)]
    return np.packbits(np.pad(together, padding), axis=-1)


def distribution(shots: NDArray[np.uint8], num_bits: int) -> Distribution:
    """Distinct outcomes in ascending order, and how often each came.

    Args:
        shots: Packed, shape ``(shots, bytes)``.
    """
    rows = np.ascontiguousarray(shots).view(f"V{shots.shape[1]}").reshape(-1)
    if shots.shape[1] == 1:
        rows = shots.reshape(-1)  # bytes are sorted much faster than rows of bytes
    found, counts = np.unique(rows, return_counts=True)
    return Distribution(
        outcomes=found.view(np.uint8).reshape(len(found), -1),
        weights=counts.astype(np.float64),
        num_bits=num_bits,
        shots=len(shots),
    )


def _counts(pub: Any) -> Counts:
    fields = [(name, _packed(array), array.num_bits) for name, array in pub.data.items()]
    if not fields:
        raise ValueError("it has no register")
    sent: Registers = tuple((name, bits) for name, _, bits in fields)
    packed = joined([(array, bits) for _, array, bits in fields])
    num_bits = sum(bits for _, bits in sent)
    points = packed.reshape(-1, *packed.shape[-2:])
    return Counts(
        points=tuple(distribution(point, num_bits) for point in points),
        registers=_registers(pub.metadata, sent),
    )


def _packed(array: Any) -> NDArray[np.uint8]:
    """A register's outcomes, shape ``(points..., shots, bytes)``."""
    packed: NDArray[np.uint8] = array.array
    width = -(-array.num_bits // 8)
    if packed.dtype != np.uint8 or packed.ndim < 2 or packed.shape[-1] != width or not width:
        raise ValueError(f"{packed.shape} {packed.dtype} are no outcomes of {array.num_bits} bits")
    if not packed.shape[-2]:
        raise ValueError("it has no shots")
    return packed


def _registers(metadata: Any, sent: Registers) -> Registers:
    """As the circuit had them, from its metadata; as they were sent where it did not come back."""
    told = (metadata or {}).get("circuit_metadata") or {}
    named = told.get(REGISTERS)
    if named is None:
        return sent
    registers = tuple((str(name), int(size)) for name, size in named)
    if [size for _, size in registers if size] != [size for _, size in sent]:
        raise ValueError(f"registers {sent} came back for {registers}")
    return registers


def _values(data: Any) -> ExpectationValues:
    values, errors = (_table(data[name]) for name in ("evs", "stds"))
    if values.shape != errors.shape or (errors < 0).any():
        raise ValueError("values and standard errors do not match")
    return ExpectationValues(values=values, variances=errors**2)


def _table(column: Any) -> NDArray[np.float64]:
    """Shape ``(points, observables)``."""
    found = np.asarray(column, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("it has values that are not finite")
    return np.atleast_2d(found)
