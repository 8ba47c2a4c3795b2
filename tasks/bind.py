"""Stage 3: place each circuit by the newest calibration, as late as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from calibration.binding import Bound, bind_experiment, bind_in_place
from calibration.portfolio import Portfolio
from pipeline.idle.decoupling import decouple
from qcpaas.binding import BindingPolicy
from qcpaas.errors import CalibrationError, CircuitError
from qcpaas.execution import Experiment
from qcpaas.manifest import CalibrationUse
from store.snapshot import Snapshot
from tasks.device import Device
from tasks.transpile import Portfolios, transpile_around


@dataclass(frozen=True, eq=False)
class Placed:
    """A bound experiment, and the routings that it was chosen from.

    Attributes:
        portfolio: ``None`` where the circuit runs as given.
    """

    experiment: Experiment
    portfolio: Portfolio | None


def bind_experiments(
    experiments: Sequence[Experiment],
    portfolios: Portfolios,
    device: Device,
    policy: BindingPolicy,
    before: Sequence[Placed] = (),
    *,
    taken: frozenset[int] = frozenset(),
) -> tuple[Placed, ...]:
    """Experiments on physical qubits, parameters symbolic, observables carried along.

    Where a device takes circuits as given, they stay as they are.

    Args:
        before: How the same experiments are bound so far; a place is given up only for a better
            one, by the policy's measure.
        taken: Device qubits that others have.

    Raises:
        CalibrationError: No placement avoids what is out of order, or taken.
    """
    if not device.capabilities.compiles:
        return tuple(Placed(experiment, None) for experiment in experiments)
    snapshot = device.snapshot()
    held = before or (None,) * len(experiments)
    return tuple(
        Placed(_bind_as_given(experiment, device, snapshot), None)
        if portfolio is None
        else _bind(
            experiment, portfolio, device, policy, snapshot=snapshot, before=earlier, taken=taken
        )
        for experiment, portfolio, earlier in zip(experiments, portfolios, held, strict=True)
    )


def calibration_uses(
    experiments: Sequence[Experiment], device: Device
) -> tuple[CalibrationUse, ...]:
    """The distinct placements of bound experiments, for the manifest."""
    uses: dict[tuple[str, tuple[int, ...]], CalibrationUse] = {}
    for experiment in experiments:
        binding = experiment.binding
        if binding is None or (binding.snapshot_id, binding.physical_qubits) in uses:
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
            compiled_snapshot_id=binding.compiled_snapshot_id,
        )
    return tuple(uses.values())


def _bind(
    experiment: Experiment,
    portfolio: Portfolio,
    device: Device,
    policy: BindingPolicy,
    *,
    snapshot: Snapshot,
    before: Placed | None,
    taken: frozenset[int],
) -> Placed:
    incumbent = None if before is None else before.experiment.binding
    held = None if incumbent is None else incumbent.physical_qubits

    def bound(routings: Portfolio) -> Bound:
        corrections = device.corrections(policy)
        gain = policy.min_gain
        return device.binder.bind(routings, snapshot, corrections, held, gain, taken=taken)

    try:
        found, used = bound(portfolio), portfolio
    except CalibrationError:
        if taken:
            raise
        # Routed without regard to what is out of order; compiled around that, it may still fit.
        used = transpile_around(experiment.circuit, device, snapshot)
        held = None
        found = bound(used)
    return Placed(bind_experiment(experiment, _decoupled(found, device, snapshot, policy)), used)


def _decoupled(bound: Bound, device: Device, snapshot: Snapshot, policy: BindingPolicy) -> Bound:
    """Idle windows filled where the calibration says that it helps.

    Before mitigation sees the circuit: noise that is amplified afterwards is then what is left of
    it, and extrapolates better than windows that are filled after folding.
    """
    if not policy.decouple or "delay" not in device.capabilities.basis_gates:
        return bound
    circuit, done = decouple(bound.circuit, bound.binding.physical_qubits, snapshot)
    if not done.windows:
        return bound
    reason = f"{bound.binding.reason}; {done.windows} idle windows decoupled"
    return replace(bound, circuit=circuit, binding=replace(bound.binding, reason=reason))


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
