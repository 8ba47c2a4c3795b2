"""Stage 3: place each template by the newest calibration, as late as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from calibration.binding import bind_experiment, bind_in_place, bind_template
from qcpaas.errors import CircuitError
from qcpaas.execution import Experiment
from qcpaas.manifest import CalibrationUse
from store.snapshot import Snapshot
from tasks.device import Device
from tasks.transpile import Portfolios


def bind_experiments(
    experiments: Sequence[Experiment], portfolios: Portfolios, device: Device
) -> tuple[Experiment, ...]:
    """Experiments on physical qubits, parameters symbolic, observables carried along.

    Where a device takes circuits as given, they stay as they are.

    Raises:
        CalibrationError: No placement avoids what is out of order.
    """
    if not device.capabilities.compiles:
        return tuple(experiments)
    snapshot = device.snapshot()
    bound = []
    for experiment, portfolio in zip(experiments, portfolios, strict=True):
        if portfolio is None:
            bound.append(_bind_as_given(experiment, device, snapshot))
            continue
        template = portfolio.templates[0]
        circuit, binding = bind_template(
            template, snapshot, device.capabilities.basis_gates, device.placer
        )
        bound.append(bind_experiment(experiment, template, circuit, binding))
    return tuple(bound)


def calibration_uses(
    experiments: Sequence[Experiment], device: Device
) -> tuple[CalibrationUse, ...]:
    """The distinct placements of bound experiments, for the manifest."""
    uses: dict[tuple[str, tuple[int, ...]], CalibrationUse] = {}
    for experiment in experiments:
        binding = experiment.binding
        if binding is None:
            continue
        snapshot = device.snapshot_named(binding.snapshot_id)
        measured = datetime.fromtimestamp(float(snapshot.measured_at_s.max()), UTC)
        uses[binding.snapshot_id, binding.physical_qubits] = CalibrationUse(
            device=device.name,
            snapshot_id=binding.snapshot_id,
            taken_at=snapshot.taken_at,
            age_s=(datetime.now(UTC) - measured).total_seconds(),
            physical_qubits=binding.physical_qubits,
            log_fidelity=binding.log_fidelity,
            reason=binding.reason,
        )
    return tuple(uses.values())


def _bind_as_given(experiment: Experiment, device: Device, snapshot: Snapshot) -> Experiment:
    """Gate for gate: the circuit must already be in the device's gates."""
    target = device.target(snapshot)
    circuit = experiment.circuit
    for step in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in step.qubits)
        name = step.operation.name
        if name != "barrier" and not target.instruction_supported(name, qubits):
            raise CircuitError(
                f"circuit {circuit.name}: {device.name} has no {name} on qubits "
                f"{', '.join(map(str, qubits))}. Compile the circuit for it, or leave "
                f"gate-for-gate execution out."
            )
    binding = bind_in_place(circuit, snapshot, device.capabilities.basis_gates)
    return replace(experiment, binding=binding)
