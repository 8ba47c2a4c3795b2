"""The interface of estimators, and which of them there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import entry_points
from typing import ClassVar

from qcpaas.scheduling import JobEstimate
from tasks.estimation.case import Case

GROUP = "qcpaas.estimators"


class Estimator(ABC):
    """Tells something of a job on a device before it runs; nothing is run for that.

    A class of the ``qcpaas.estimators`` entry-point group is asked beside the platform's own.

    Attributes:
        rank: Those with a lower rank are asked before.
    """

    rank: ClassVar[int] = 100

    @abstractmethod
    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        """What is known with this one's part.

        Args:
            so_far: What earlier ones found.

        Returns:
            The same with further fields, and in ``methods`` a text that says where they are from.
        """


def find_estimators() -> tuple[Estimator, ...]:
    """The platform's own and the installed ones, in the order in which they are asked."""
    from tasks.estimation.circuits import CircuitsAndShots
    from tasks.estimation.fault_tolerant import FaultTolerant
    from tasks.estimation.money import Price
    from tasks.estimation.success import Success
    from tasks.estimation.timing import QpuSeconds
    from tasks.estimation.wall import WallSeconds
    from tasks.estimation.workload import WorkloadSeconds

    own: list[type[Estimator]] = [
        CircuitsAndShots,
        Success,
        QpuSeconds,
        WorkloadSeconds,
        WallSeconds,
        Price,
        FaultTolerant,
    ]
    installed = [entry.load() for entry in entry_points(group=GROUP)]
    return tuple(made() for made in sorted([*own, *installed], key=lambda one: one.rank))


def found(so_far: JobEstimate, method: str, **fields: object) -> JobEstimate:
    """An estimate with further fields, and where they are from."""
    return so_far.model_copy(update={**fields, "methods": (*so_far.methods, method)})
