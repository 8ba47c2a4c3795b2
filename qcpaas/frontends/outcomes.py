"""A circuit's answer as shots and probabilities of its classical registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcpaas.errors import InputError

Answer = Mapping[str, Any]
Bits = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What was counted at one parameter point.

    Attributes:
        joint: Bits of all registers, clbit 0 rightmost, to count or probability.
        registers: (name, size), lowest clbits first.
        shots: ``None`` where the weights are exact probabilities.
    """

    joint: Mapping[str, float]
    registers: tuple[tuple[str, int], ...]
    shots: int | None

    def rows(self) -> Bits:
        """One row a shot, one column a clbit, lowest first; shape ``(shots, clbits)``.

        A device tells how often each outcome was seen, not when: the rows are shuffled, always in
        the same way.

        Raises:
            InputError: There are exact probabilities and no shots.
        """
        if self.shots is None:
            raise InputError(
                "the job gave exact probabilities, and this result is made of single shots. Run "
                "it without exact, or read job.result()."
            )
        keys = [key for key, weight in self.joint.items() if weight]
        width = len(keys[0]) if keys else 0
        text = "".join(key[::-1] for key in keys).encode("ascii")
        distinct = np.frombuffer(text, dtype=np.uint8).reshape(len(keys), width) - ord("0")
        times = np.array([round(self.joint[key]) for key in keys], dtype=np.int64)
        every = np.repeat(distinct, times, axis=0)
        return np.random.default_rng(0).permutation(every, axis=0)

    def by_register(self) -> dict[str, Bits]:
        """The rows of every register by itself, shape ``(shots, size)``."""
        rows, low, found = self.rows(), 0, {}
        for name, size in self.registers:
            found[name] = rows[:, low : low + size]
            low += size
        return found

    def probabilities(self, clbits: Sequence[int]) -> NDArray[np.float64]:
        """Of the outcomes of some clbits, the first one the highest bit; shape ``(2**n,)``."""
        found = np.zeros(2 ** len(clbits))
        for key, weight in self.joint.items():
            bits = "".join(key[len(key) - 1 - clbit] for clbit in clbits)
            found[int(bits, 2) if bits else 0] += weight
        shares: NDArray[np.float64] = found / found.sum()
        return shares


def points_of(answer: Answer) -> list[Outcomes]:
    """The outcomes of every parameter point of a circuit that was counted."""
    found = []
    joints = answer.get("joint_counts") or [None] * len(answer["counts"])
    for registers, joint in zip(answer["counts"], joints, strict=True):
        sizes = tuple((name, len(next(iter(own)))) for name, own in registers.items())
        whole = next(iter(registers.values())) if joint is None else joint
        found.append(Outcomes(whole, sizes, answer["shots"]))
    return found
