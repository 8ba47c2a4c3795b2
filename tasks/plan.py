"""Stage 4: every option turns bound circuits into the circuits to submit."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.stack import plan_together
from qcpaas.execution import ExecutionBackend, Plan
from tasks.batch import Batch
from tasks.bind import Placed


def plan_batch(batch: Batch, placed: Sequence[Placed], device: ExecutionBackend) -> Plan:
    """All circuits of all options, for one submission.

    Raises:
        MitigationError: A circuit cannot be prepared for an option; says which instruction.
    """
    bound = [each.experiment for each in placed]
    return plan_together(batch.stacks(device), bound, sources=batch.experiments)
