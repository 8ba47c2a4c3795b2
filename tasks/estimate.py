"""Stage 1: what a job will cost and how well it will do, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.template import Template
from calibration.workload import measurement_s, workload_of
from qcpaas.execution import Experiment
from qcpaas.schemas import Estimate
from tasks.device import Device

SPREAD = 1.3  # upper end of the interval: what loading and arming a circuit adds differs by device


@dataclass(frozen=True)
class PlanCost:
    """What planned circuits cost, whatever the points that they run at.

    Attributes:
        durations_s: Scheduled duration of one shot of each circuit.
        log_esp: Natural log of the expected success probability of the worst circuit.
    """

    durations_s: tuple[float, ...]
    rep_delay_s: float
    log_esp: float

    @classmethod
    def of(cls, planned: Sequence[Experiment], device: Device) -> PlanCost:
        placed = [experiment.binding for experiment in planned if experiment.binding is not None]
        logs = [binding.log_fidelity for binding in placed if binding.log_fidelity is not None]
        return cls(
            durations_s=tuple(scheduled_s(experiment, device) for experiment in planned),
            rep_delay_s=device.capabilities.rep_delay_s if placed else 0.0,
            log_esp=min(logs, default=0.0),
        )

    def at(self, planned: Sequence[Experiment]) -> Estimate:
        """The estimate of the same circuits at these experiments' points and shots."""
        shots = [experiment.points * (experiment.shots or 0) for experiment in planned]
        qpu_s = sum(
            n * (duration_s + self.rep_delay_s)
            for n, duration_s in zip(shots, self.durations_s, strict=True)
        )
        return Estimate(
            qpu_s=qpu_s,
            qpu_s_hi=qpu_s * SPREAD,
            circuits=sum(experiment.points for experiment in planned),
            shots=sum(shots),
            log_esp=self.log_esp,
            duration_s=max(self.durations_s, default=0.0),
            method="scheduled durations and calibrated errors of the bound circuits",
        )


def estimate_plan(planned: Sequence[Experiment], device: Device) -> Estimate:
    """Device seconds and success probability of planned experiments.

    Device seconds are ``points x shots x (scheduled duration + rep delay)``, the duration by the
    longest path through each circuit, mitigation's own circuits included. The success probability
    is the product over gates, idle time and readout of the worst circuit, as placed.
    """
    return PlanCost.of(planned, device).at(planned)


def compared(estimate: Estimate, asked: Sequence[Experiment]) -> Estimate:
    """The estimate with what mitigation multiplies, beside the plain circuits that were asked."""
    circuits = sum(experiment.points for experiment in asked)
    shots = sum(experiment.points * (experiment.shots or 0) for experiment in asked)
    return estimate.model_copy(
        update={
            "circuit_factor": estimate.circuits / circuits if circuits else 1.0,
            "shot_factor": estimate.shots / shots if shots else 1.0,
        }
    )


def scheduled_s(experiment: Experiment, device: Device) -> float:
    """Duration of one shot; 0 on an ideal simulator."""
    if experiment.binding is None:
        return 0.0
    physical = experiment.binding.physical_qubits
    snapshot = device.snapshot_named(experiment.binding.snapshot_id)
    template = Template.in_place(experiment.circuit, physical)
    duration = workload_of(template, snapshot).duration_s
    return duration or measurement_s(snapshot, physical)
