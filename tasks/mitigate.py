"""Stage 6: post-processing, and the answer in the form that clients read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.stack import combine_together
from qcpaas.execution import Counts, Distribution, ExecutionBackend, Outcome, Plan
from tasks.batch import Batch

Answer = dict[str, object]


def mitigate_outcomes(
    batch: Batch, plan: Plan, outcomes: Sequence[Outcome], device: ExecutionBackend
) -> tuple[Outcome, ...]:
    """The outcomes of the user's circuits, every option's correction applied.

    Raises:
        MitigationError: The data do not support a correction that was asked.
    """
    return combine_together(batch.stacks(device), plan, outcomes)


def answers(batch: Batch, outcomes: Sequence[Outcome]) -> list[Answer]:
    """One mapping a circuit: expectation values with standard errors, or counts by register."""
    return [
        {
            "circuit": experiment.circuit.name,
            "shots": experiment.shots,
            **_spent(outcome),
            **(_counts(outcome) if isinstance(outcome, Counts) else _values(outcome)),
        }
        for experiment, outcome in zip(batch.experiments, outcomes, strict=True)
    ]


def _values(outcome: Outcome) -> Answer:
    assert not isinstance(outcome, Counts)
    return {
        "expectation_values": outcome.values.tolist(),
        "std_errors": np.sqrt(outcome.variances).tolist(),
        "raw_values": _known(outcome.raw_values, outcome.values).tolist(),
        "raw_std_errors": np.sqrt(_known(outcome.raw_variances, outcome.variances)).tolist(),
    }


def _known(raw: NDArray[np.float64] | None, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What was measured; the values themselves where no option changed them."""
    return values if raw is None else raw


def _spent(outcome: Outcome) -> Answer:
    """What was executed for a circuit, all options together."""
    if outcome.spent is None:
        return {}
    return {"circuit_executions": outcome.spent.circuits, "shots_spent": outcome.spent.shots}


def _counts(outcome: Counts) -> Answer:
    """Counts of every register by itself, and of all together where there are several.

    Register bits are consecutive, lowest first.
    """
    points = []
    for distribution in outcome.points:
        registers: dict[str, dict[str, float]] = {}
        joint = distribution.to_dict()
        whole = _counted(distribution)
        low = 0
        for name, size in outcome.registers:
            own: dict[str, float] = {}
            for bits, weight in joint.items():
                part = bits[len(bits) - low - size : len(bits) - low]
                own[part] = own.get(part, 0.0) + weight
            registers[name] = {bits: int(n) for bits, n in own.items()} if whole else own
            low += size
        points.append(registers)
    if len(outcome.registers) < 2:
        return {"counts": points}
    return {"counts": points, "joint_counts": [_joint(point) for point in outcome.points]}


def _joint(distribution: Distribution) -> dict[str, float]:
    weights = distribution.to_dict()
    if not _counted(distribution):
        return weights
    return {bits: int(count) for bits, count in weights.items()}


def _counted(distribution: Distribution) -> bool:
    """Whether the weights are numbers of shots: not probabilities, exact or corrected ones."""
    weights = distribution.weights
    return distribution.shots is not None and np.array_equal(weights, np.rint(weights))
