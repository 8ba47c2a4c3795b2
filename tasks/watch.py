"""A look at the newest calibration just before a submission, and once its answer is there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from calibration.staleness import Assessment, assess
from qcpaas.binding import BindingPolicy, CalibrationChange
from qcpaas.errors import StaleCalibration
from tasks.bind import Placed
from tasks.device import Device
from tasks.journal import Journal

KEPT_LOOKS = 256
DONE: dict[str, Literal["bound again", "submitted as bound", "ended"]] = {
    "rebind": "bound again",
    "flag": "submitted as bound",
    "fail": "ended",
}


@dataclass(frozen=True)
class Look:
    """What the newest calibration means for bound circuits; the worst of them speaks for all."""

    bound_id: str
    newest_id: str
    assessment: Assessment

    def change(
        self,
        call: int,
        when: Literal["before submission", "after execution"],
        done: Literal["bound again", "submitted as bound", "recorded", "run once more", "ended"],
    ) -> CalibrationChange:
        return CalibrationChange(
            call=call,
            when=when,
            done=done,
            bound_snapshot_id=self.bound_id,
            newest_snapshot_id=self.newest_id,
            reason=self.assessment.reason,
            element_change=self.assessment.element_change,
            gain=self.assessment.gain,
            noticed_at=datetime.now(UTC),
        )


@dataclass(eq=False)
class Watch:
    """Compares what circuits were bound with to the newest calibration, by the job's policy.

    Args:
        always: Ask the store at every look; a loop asks every few seconds.
    """

    device: Device
    journal: Journal
    policy: BindingPolicy
    always: bool = True
    _known: OrderedDict[tuple[object, ...], Look] = field(default_factory=OrderedDict)
    _submitted_under: str | None = None

    def before_submission(self, placed: Sequence[Placed], call: int) -> bool:
        """Whether the circuits must be bound again before they are sent.

        Raises:
            StaleCalibration: They must not be sent at all.
        """
        look = self._look(placed)
        self._submitted_under = None if look is None else look.newest_id
        if look is None or not look.assessment.stale:
            return False
        policy = self.policy.stale
        if look.bound_id == look.newest_id and policy != "rebind":
            return False  # no calibration has moved; only what is learnt from fidelities
        self.journal.changed(look.change(call, "before submission", DONE[policy]))
        if policy == "fail":
            raise StaleCalibration(
                f"call {call} was bound with calibration {look.bound_id}, and {self.device.name} "
                f"now has {look.newest_id}: {look.assessment.reason}. Nothing was sent. Run the "
                "job again, or let it bind again (stale='rebind')."
            )
        return policy == "rebind"

    def after_execution(self, placed: Sequence[Placed], call: int, *, again: bool = True) -> bool:
        """Whether a call should be made once more, since the calibration moved meanwhile.

        Args:
            again: Whether it may be.
        """
        look = self._look(placed)
        if look is None or not look.assessment.stale:
            return False
        if look.newest_id in {look.bound_id, self._submitted_under}:
            return False  # known before it was sent
        retried = again and self.policy.after == "retry"
        done: Literal["run once more", "recorded"] = "run once more" if retried else "recorded"
        self.journal.changed(look.change(call, "after execution", done))
        return retried

    def newest_id(self) -> str | None:
        """The calibration in force now; ``None`` on a device without any."""
        return self._newest() if self.device.capabilities.compiles else None

    def _newest(self) -> str:
        snapshot = self.device.newest() if self.always else self.device.snapshot()
        return snapshot.content_id

    def _look(self, placed: Sequence[Placed]) -> Look | None:
        """``None`` where nothing has moved."""
        if all(each.portfolio is None for each in placed):
            return None
        newest_id = self._newest()
        version = self.device.corrections(self.policy).version
        bound = [each.experiment.binding for each in placed]
        ids = {(b.snapshot_id, b.corrections_version) for b in bound if b is not None}
        if ids == {(newest_id, version)}:
            return None
        key = (newest_id, version, *map(_place, placed))
        look = self._known.get(key)
        if look is None:
            look = self._known[key] = self._assess(placed, newest_id)
            if len(self._known) > KEPT_LOOKS:
                self._known.popitem(last=False)
        return look

    def _assess(self, placed: Sequence[Placed], newest_id: str) -> Look:
        found: list[Look] = []
        now = self.device.snapshot_named(newest_id)
        for each in placed:
            binding = each.experiment.binding
            if binding is None or each.portfolio is None:
                continue
            assessment = assess(
                self.device.binder.placer,
                each.portfolio,
                binding,
                then=self.device.snapshot_named(binding.snapshot_id),
                now=now,
                policy=self.policy,
                corrections=self.device.corrections(self.policy),
                circuit=each.experiment.circuit,
            )
            found.append(Look(binding.snapshot_id, newest_id, assessment))
        return max(found, key=_weight)


def _place(placed: Placed) -> tuple[object, ...]:
    binding, portfolio = placed.experiment.binding, placed.portfolio
    if binding is None or portfolio is None:
        return ()
    return portfolio.key, binding.routing, binding.physical_qubits, binding.snapshot_id


def _weight(look: Look) -> tuple[bool, float]:
    assessment = look.assessment
    return assessment.stale, assessment.element_change + assessment.gain
