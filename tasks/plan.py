"""Stage 4: every option turns bound circuits into the circuits to submit."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.stack import plan_together, wanted_noise
from qcpaas.execution import ExecutionBackend, Experiment, Plan
from qcpaas.noise import GateLayer
from tasks.batch import Batch
from tasks.bind import Placed
from tasks.execute import JournalledDevice
from tasks.learn_noise import learn_missing


def plan_batch(batch: Batch, placed: Sequence[Placed], device: ExecutionBackend) -> Plan:
    """All circuits of all options, for one submission.

    Raises:
        MitigationError: A circuit cannot be prepared for an option; says which instruction.
    """
    bound = [each.experiment for each in placed]
    return plan_together(batch.stacks(device), bound, sources=batch.experiments)


def wanted_layers(
    batch: Batch, placed: Sequence[Placed], device: ExecutionBackend
) -> tuple[GateLayer, ...]:
    """Layers whose noise the batch's options draw on."""
    return wanted_noise(batch.stacks(device), [each.experiment for each in placed])


def learn_noise(
    layers: Sequence[GateLayer], bound: Sequence[Experiment], backend: JournalledDevice
) -> int:
    """Learn the noise of layers, as far as the store does not know it under this calibration.

    Returns:
        How many layers were learnt now.

    Raises:
        MitigationError: A layer's noise cannot be learnt; says why.
    """
    bindings = [one.binding for one in bound if one.binding and one.binding.snapshot_id]
    if not layers or not bindings:
        return 0
    device = backend.device
    return len(
        learn_missing(
            layers,
            device,
            device.snapshot_named(bindings[0].snapshot_id),
            backend.settings.noise_learning,
            backend.execute_aside,
            device.store,
            backend.ledger.job_id,
        )
    )
