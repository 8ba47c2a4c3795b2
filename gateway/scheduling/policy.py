"""The seam of the scheduling policy: one class, chosen by configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gateway.scheduling.situation import Ranked, Situation, Suitable, Weighed


class SchedulingPolicy(ABC):
    """Decides who goes next and who goes where.

    It is asked again and again with the situation as it is then, and keeps nothing in between: two
    gateways that ask it the same get the same answer. Limits of users and reserved windows are not
    its business: `gateway.scheduling.release` keeps to them whatever the order.
    """

    @abstractmethod
    def rank(self, situation: Situation, device: str) -> list[Ranked]:
        """The backlog of a device, the next one first."""

    @abstractmethod
    def weigh(
        self,
        situation: Situation,
        suitable: Sequence[Suitable],
        fidelity_weight: float,
        starts_in_s: Sequence[float],
    ) -> list[Weighed]:
        """Devices that a new job could run on, the best first.

        Args:
            fidelity_weight: 1 looks at fidelity alone, 0 at the waiting time alone.
            starts_in_s: Of each suitable device, when the job would start there.
        """

    def score_a_second(self) -> float | None:
        """What a second of waiting adds to a score; ``None`` where newcomers overtake nobody."""
        return None

    def usage_half_life_s(self) -> float:
        """How fast what users have used is forgotten."""
        return 7 * 24 * 3600.0
