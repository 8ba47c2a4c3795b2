"""Places for several jobs on one device, each on good qubits that border on nobody else's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qcpaas.binding import BindingPolicy
from qcpaas.errors import CalibrationError
from qcpaas.schemas import ExecutionSettings
from store.couplers import Couplers
from tasks.batch import Batch
from tasks.bind import Placed, bind_experiments
from tasks.device import Device
from tasks.transpile import transpile_experiments

# Of the success probability that a circuit's best place promises: about what drift between two
# calibrations may cost before a job is placed anew (`BindingPolicy.max_element_change`).
LARGEST_LOSS = 0.02


@dataclass(frozen=True, eq=False)
class Place:
    """Where a job's circuits lie beside others'.

    Attributes:
        loss: Nats that its worst-off circuit's place is worse than the best on an empty device.
    """

    placed: tuple[Placed, ...]
    loss: float

    @property
    def qubits(self) -> frozenset[int]:
        return frozenset(
            qubit
            for one in self.placed
            if one.experiment.binding is not None
            for qubit in one.experiment.binding.physical_qubits
        )


def place_beside(
    batches: Sequence[Batch],
    device: Device,
    settings: ExecutionSettings,
    largest_loss: float = LARGEST_LOSS,
) -> list[Place | None]:
    """A place for each job, in the order of their turns; the first has the device to itself.

    Between two jobs lies at least one unused qubit: gates on coupled neighbours disturb each
    other, and no calibration that devices publish says how much.

    Args:
        largest_loss: Of the success probability that a place may cost, relative to the best.

    Returns:
        ``None`` for a job that finds no such place.
    """
    policy = settings.binding
    taken: frozenset[int] = frozenset()
    found: list[Place | None] = []
    for batch in batches:
        place = _place(batch, device, settings, policy, taken)
        if place is not None and place.loss > -math.log1p(-largest_loss):
            place = None
        found.append(place)
        if place is not None and place.qubits:
            taken |= with_neighbours(place.qubits, device.snapshot().layout.couplers)
    return found


def with_neighbours(qubits: frozenset[int], couplers: Couplers) -> frozenset[int]:
    """Some qubits and all that are coupled to them."""
    inside = np.isin(couplers.first, list(qubits))
    return qubits | frozenset(couplers.second[inside].tolist())


def _place(
    batch: Batch,
    device: Device,
    settings: ExecutionSettings,
    policy: BindingPolicy,
    taken: frozenset[int],
) -> Place | None:
    if not device.capabilities.compiles:  # an ideal simulator has room for everybody
        return Place(tuple(Placed(one, None) for one in batch.experiments), 0.0)
    portfolios = transpile_experiments(batch.experiments, device, settings)
    alone = bind_experiments(batch.experiments, portfolios, device, policy)
    if not taken:
        return Place(alone, 0.0)
    try:
        placed = bind_experiments(batch.experiments, portfolios, device, policy, taken=taken)
    except CalibrationError:
        return None
    losses = [_log(one) - _log(other) for one, other in zip(alone, placed, strict=True)]
    return Place(placed, max(0.0, *losses))


def _log(placed: Placed) -> float:
    binding = placed.experiment.binding
    return 0.0 if binding is None or binding.log_fidelity is None else binding.log_fidelity
