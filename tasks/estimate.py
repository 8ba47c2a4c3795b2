"""Stage 1: what a job will cost and how well it will do, before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.placement import measurement_s, workload_of
from calibration.template import Template
from qcpaas.execution import Experiment
from qcpaas.schemas import Estimate
from tasks.device import Device

SPREAD = 1.3  # upper end of the interval: what loading and arming a circuit adds differs by device


def estimate_plan(planned: Sequence[Experiment], device: Device) -> Estimate:
    """Device seconds and success probability of planned experiments.

    Device seconds are ``points x shots x (scheduled duration + rep delay)``, the duration by the
    longest path through each circuit, mitigation's own circuits included. The success probability
    is the product over gates, idle time and readout of the worst circuit, as placed.
    """
    durations = [scheduled_s(experiment, device) for experiment in planned]
    shots = [experiment.points * (experiment.shots or 0) for experiment in planned]
    rep_delay_s = device.capabilities.rep_delay_s
    qpu_s = sum(n * (s + rep_delay_s) for n, s in zip(shots, durations, strict=True))
    logs = [e.binding.log_fidelity for e in planned if e.binding and e.binding.log_fidelity]
    return Estimate(
        qpu_s=qpu_s,
        qpu_s_hi=qpu_s * SPREAD,
        circuits=sum(experiment.points for experiment in planned),
        shots=sum(shots),
        log_esp=min(logs, default=0.0),
        duration_s=max(durations, default=0.0),
        method="scheduled durations and calibrated errors of the bound circuits",
    )


def scheduled_s(experiment: Experiment, device: Device) -> float:
    """Duration of one shot; 0 on an ideal simulator."""
    if experiment.binding is None:
        return 0.0
    physical = experiment.binding.physical_qubits
    snapshot = device.snapshot()
    template = Template(experiment.circuit, physical, physical)
    duration = workload_of(template, snapshot).duration_s
    return duration or measurement_s(snapshot, physical)
