"""Expectation values from the device's own estimator, in place of counts."""

from __future__ import annotations

from collections.abc import Sequence

from qcpaas.execution import (
    EnrichedExecutionBackend,
    Experiment,
    Level,
    Outcome,
    PlanContext,
)


class DeviceEstimator(EnrichedExecutionBackend):
    """Asks the device for expectation values, where it has an estimator of its own.

    How it measures, and what it corrects by itself, is its vendor's business; options that change
    circuits stand around it as ever, those that correct counts have nothing to correct.
    """

    rank = 50
    levels = frozenset[Level]({"expectation"})
    measures = True

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], PlanContext]:
        return experiments, PlanContext()

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)
