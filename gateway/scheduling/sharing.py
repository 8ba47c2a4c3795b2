"""Which waiting jobs go together onto one device; pure, so that it can be asked about anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LARGEST_GROUP = 4
LARGEST_PART = 0.5  # of a device's qubits: beyond, good places for everybody become rare
APART = 2.0  # device qubits that a job's qubit takes, the unused ones around it included
LONGEST = 4.0  # times as long as the first one: more, and the others' results wait for it


@dataclass(frozen=True)
class Shareable:
    """A waiting job whose owner lets it run beside others.

    Attributes:
        width: Qubits of its widest circuit.
        agreement: Jobs of the same can be in one submission.
    """

    job_id: str
    user: str
    width: int
    qpu_s: float
    agreement: tuple[object, ...]


def partners(first: Shareable, others: Sequence[Shareable], num_qubits: int) -> list[Shareable]:
    """Jobs to take along with the one whose turn it is, in the order of their own turns.

    Nobody waits for it: a partner starts earlier than it would have, and the first one now. How
    good a place each gets is found where it is placed, by the calibration of that moment: one that
    would lose too much there runs by itself.

    Args:
        others: Those behind it that may start now, the next one first.
        num_qubits: Of the device.
    """
    room = LARGEST_PART * num_qubits - APART * first.width
    chosen: list[Shareable] = []
    for other in others:
        if len(chosen) + 1 == LARGEST_GROUP:
            break
        if other.job_id == first.job_id or other.agreement != first.agreement:
            continue
        if APART * other.width > room or _is_lopsided(first, other):
            continue
        room -= APART * other.width
        chosen.append(other)
    return chosen


def saved_s(group: Sequence[Shareable]) -> float:
    """Device seconds that a group saves against one after the other, if shots take alike."""
    return sum(job.qpu_s for job in group) - max((job.qpu_s for job in group), default=0.0)


def _is_lopsided(first: Shareable, other: Shareable) -> bool:
    """The first one is answered when all are: a partner must not keep it waiting."""
    return other.qpu_s > LONGEST * max(first.qpu_s, 1.0)
