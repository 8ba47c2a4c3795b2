"""Stage 2: compile each circuit once for the device's topology, parameters symbolic."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit

from adapters.target import topology_target
from calibration.portfolio import Portfolio, compile_portfolio, portfolio_key
from qcpaas.execution import Experiment
from qcpaas.schemas import ExecutionSettings
from tasks.device import Device

KEPT_BYTES = 256 * 2**20  # routed circuits take some kB, embeddings up to some MB

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
    """A circuit's routings, from the store where any job has compiled it before."""
    snapshot = device.snapshot()
    key = portfolio_key(circuit, snapshot.topology_id)
    stored = device.compiled.get(key)
    if stored is not None:
        return Portfolio.from_bytes(stored)
    portfolio = compile_portfolio(circuit, topology_target(snapshot), key, snapshot.content_id)
    device.compiled.put(key, portfolio.to_bytes())
    device.compiled.trim(KEPT_BYTES)
    return portfolio
