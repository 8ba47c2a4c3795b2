"""Stage 2: compile each circuit once for the device's topology, parameters symbolic."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from qiskit import QuantumCircuit

from adapters.target import out_of_order, topology_target
from calibration.around import compile_around
from calibration.dynamic import adapt_circuit
from calibration.parts import PORTFOLIOS, compile_parts
from calibration.portfolio import Portfolio, compile_portfolio, portfolio_key
from qcpaas.execution import Experiment
from qcpaas.parts import has_parts, whole
from qcpaas.schemas import ExecutionSettings
from store.snapshot import Snapshot
from tasks.device import Device

SIZE_BYTES = 2000  # about what a portfolio holds in memory for each of a circuit's instructions

Portfolios = tuple[Portfolio | None, ...]


def transpile_experiments(
    experiments: Sequence[Experiment], device: Device, settings: ExecutionSettings
) -> Portfolios:
    """The portfolio of each experiment; ``None`` where its circuit runs as given.

    Raises:
        CircuitError: A circuit cannot be compiled for this device.
    """
    if settings.gate_for_gate or not device.capabilities.compiles:
        return (None,) * len(experiments)
    return tuple(transpile_circuit(experiment.circuit, device) for experiment in experiments)


def transpile_circuit(circuit: QuantumCircuit, device: Device) -> Portfolio:
    """A circuit's routings, from memory or the store where any job has compiled it before.

    Raises:
        CircuitError: The circuit cannot be compiled for this device.
    """
    snapshot = device.snapshot()
    adapted = adapt_circuit(circuit, device.name, device.capabilities, snapshot)
    if has_parts(adapted.circuit):
        portfolio = _routed_by_parts(adapted.circuit, device, snapshot)
    else:
        portfolio = _routed(adapted.circuit, device, snapshot)
    if not portfolio.movable:
        portfolio = _in_its_place(adapted.circuit, device, snapshot)
    return _noted(portfolio, adapted.notes)


def transpile_around(circuit: QuantumCircuit, device: Device, snapshot: Snapshot) -> Portfolio:
    """Routings that use nothing of what is out of order in a snapshot.

    For circuits whose usual routings fit nowhere without it.

    Raises:
        CalibrationError: What works of the device is too small, or falls apart.
        CircuitError: The circuit cannot be compiled for this device.
    """
    adapted = adapt_circuit(circuit, device.name, device.capabilities, snapshot)
    dead = hashlib.sha256(repr(out_of_order(snapshot)).encode()).hexdigest()
    key = portfolio_key(adapted.circuit, snapshot.topology_id, "around", dead)
    portfolio = device.compiled.obtain(
        key,
        lambda: compile_around(adapted.circuit, snapshot, device.capabilities.control_flow, key),
        PORTFOLIOS,
    )
    return _noted(portfolio, (*adapted.notes, "compiled around what is out of order"))


def _routed(circuit: QuantumCircuit, device: Device, snapshot: Snapshot) -> Portfolio:
    key = portfolio_key(circuit, snapshot.topology_id)

    def compiled() -> Portfolio:
        target = topology_target(snapshot, control_flow=device.capabilities.control_flow)
        return compile_portfolio(circuit, target, key, snapshot.content_id)

    return device.compiled.obtain(key, compiled, PORTFOLIOS)


def _routed_by_parts(circuit: QuantumCircuit, device: Device, snapshot: Snapshot) -> Portfolio:
    """The parts come from the store; what they make together stays in this process's memory."""
    if circuit.num_identifiers:  # a variable's value passes from part to part
        portfolio = _routed(whole(circuit), device, snapshot)
        return _noted(portfolio, ("compiled as one, since its parts share classical variables",))
    key = portfolio_key(circuit, snapshot.topology_id)

    def joined() -> Portfolio:
        target = topology_target(snapshot, control_flow=device.capabilities.control_flow)
        found = compile_parts(circuit, target, snapshot.topology_id, device.compiled)
        return Portfolio(found.templates, key, snapshot.content_id)

    return device.compiled.remember(key, joined, SIZE_BYTES * circuit.size())


def _in_its_place(circuit: QuantumCircuit, device: Device, snapshot: Snapshot) -> Portfolio:
    """A routing chosen by the errors of this calibration, since it cannot be moved later."""
    key = portfolio_key(circuit, snapshot.topology_id, "in place", snapshot.content_id)
    portfolio = device.compiled.obtain(
        key,
        lambda: compile_around(
            whole(circuit), snapshot, device.capabilities.control_flow, key, with_errors=True
        ),
        PORTFOLIOS,
    )
    reason = "compiled for this calibration: gates on more than two qubits stay where they are"
    return _noted(portfolio, (reason,))


def _noted(portfolio: Portfolio, notes: Sequence[str]) -> Portfolio:
    if not notes:
        return portfolio
    return replace(portfolio, note="; ".join(filter(None, (portfolio.note, *notes))))
