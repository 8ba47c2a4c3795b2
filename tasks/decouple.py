"""Dynamical decoupling of planned circuits, where the calibration says that it helps."""

from __future__ import annotations

from dataclasses import replace

from calibration.decoupling import decouple
from pipeline.echo_circuit import SUFFIX
from qcpaas.binding import BindingPolicy
from qcpaas.execution import Experiment
from tasks.device import Device


def decoupled(experiment: Experiment, device: Device, policy: BindingPolicy) -> Experiment:
    """The experiment with idle windows filled; itself where nothing is done.

    An echo stays as it is: what it says is compared with errors that know of no decoupling.
    """
    binding = experiment.binding
    # What was not compiled runs gate for gate, on a device or on a simulator.
    if not policy.decouple or binding is None or not binding.compiled_snapshot_id:
        return experiment
    if experiment.circuit.name.endswith(SUFFIX):
        return experiment
    snapshot = device.snapshot_named(binding.snapshot_id)
    circuit, done = decouple(experiment.circuit, binding.physical_qubits, snapshot)
    return replace(experiment, circuit=circuit) if done.windows else experiment
