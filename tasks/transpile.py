"""Stage 2: compile each circuit once for the device's topology, parameters symbolic."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit

from calibration.template import Template, compile_template, template_key
from qcpaas.execution import Experiment
from qcpaas.schemas import ExecutionSettings
from tasks.device import Device

KEPT_TEMPLATES = 5_000  # about 2 kB each; the least recently used go first

Templates = tuple[Template | None, ...]


def transpile_experiments(
    experiments: Sequence[Experiment], device: Device, settings: ExecutionSettings
) -> Templates:
    """The template of each experiment; ``None`` where its circuit runs as given.

    Raises:
        CircuitError: A circuit cannot be compiled for this device.
    """
    if settings.gate_for_gate or not device.capabilities.compiles:
        return (None,) * len(experiments)
    return tuple(transpile_circuit(experiment.circuit, device) for experiment in experiments)


def transpile_circuit(circuit: QuantumCircuit, device: Device) -> Template:
    """A circuit's template, from the store where any job has compiled it before."""
    snapshot = device.snapshot()
    key = template_key(circuit, snapshot.topology_id)
    stored = device.templates.get(key)
    if stored is not None:
        return Template.from_bytes(stored)
    template = compile_template(circuit, device.target(snapshot))
    device.templates.put(key, template.to_bytes())
    device.templates.trim(KEPT_TEMPLATES)
    return template
