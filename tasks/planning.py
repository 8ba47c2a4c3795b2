"""What options may ask of the platform while they plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.noise.calibrated import noise_from_calibration
from qcpaas.execution import Binding, CalibrationValues, PlanningServices
from qcpaas.noise import GateLayer, LayerNoise
from tasks.device import Device
from tasks.learn_noise import known_noise


@dataclass(frozen=True, eq=False)
class DeviceServices(PlanningServices):
    """Answers for one device, from the platform's store.

    Attributes:
        seeded: Gives the seed of what is planned now.
        estimating: Whether nothing of it will be executed: noise that is not learnt yet is then
            what the calibration says.
    """

    device: Device
    seeded: Callable[[], int]
    estimating: bool = False

    @property
    def seed(self) -> int:
        return self.seeded()

    def calibration(self, binding: Binding | None) -> CalibrationValues | None:
        if binding is None or not binding.snapshot_id:
            return None
        return self.device.snapshot_named(binding.snapshot_id)

    def learnt_noise(
        self, binding: Binding | None, layers: Sequence[GateLayer]
    ) -> tuple[LayerNoise | None, ...]:
        if binding is None or not binding.snapshot_id:
            return (None,) * len(layers)
        snapshot = self.device.snapshot_named(binding.snapshot_id)
        known = known_noise(layers, snapshot, self.device.store)
        if not self.estimating:
            return known
        return tuple(
            noise or noise_from_calibration(snapshot, layer)
            for noise, layer in zip(known, layers, strict=True)
        )
