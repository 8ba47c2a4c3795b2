"""Devices that do not exist yet: large coupling maps with random calibrations."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from qiskit.transpiler import CouplingMap

from qcpaas.calibration import Quantity
from store.snapshot import Provenance, Reading, Snapshot

AT = datetime(2026, 1, 1, tzinfo=UTC)
SPREAD = 0.5  # of the logarithm of every value over the device
OF_QUBIT = {
    Quantity.T1_S: 2e-4,
    Quantity.T2_S: 1.5e-4,
    Quantity.READOUT_ERROR: 0.015,
    Quantity.READOUT_DURATION_S: 1.2e-6,
}
ONE_QUBIT = {"sx": (3e-4, 4e-8), "x": (3e-4, 4e-8), "rz": (0.0, 0.0)}  # error, duration
COUPLER = (6e-3, 8e-8)
ORIGIN = Provenance("benchmark", "random map")


def heavy_hex(distance: int) -> CouplingMap:
    """``(5 d^2 - 2 d - 1) / 2`` qubits; the distance is odd."""
    return CouplingMap.from_heavy_hex(distance)


def square(side: int) -> CouplingMap:
    return CouplingMap.from_grid(side, side)


def device_of(coupling: CouplingMap, name: str, seed: int) -> Snapshot:
    """CZ on every coupler, in both directions, with log-normal errors and times."""
    rng = np.random.default_rng(seed)
    qubits = coupling.size()
    pairs = sorted({(min(pair), max(pair)) for pair in coupling.get_edges()})
    readings: list[Reading] = []

    def tell(quantity: Quantity, place: tuple[int, ...], value: float, gate: str = "") -> None:
        readings.append(Reading(quantity, place, float(value), AT, gate, provenance=ORIGIN))

    def spread(value: float) -> float:
        return value * float(np.exp(SPREAD * rng.normal()))

    for qubit in range(qubits):
        for quantity, value in OF_QUBIT.items():
            drawn = value if quantity is Quantity.READOUT_DURATION_S else spread(value)
            tell(quantity, (qubit,), drawn)
        for gate, (error, duration) in ONE_QUBIT.items():
            tell(Quantity.GATE_ERROR, (qubit,), spread(error), gate)
            tell(Quantity.GATE_DURATION_S, (qubit,), duration, gate)
    for pair in pairs:
        error = min(spread(COUPLER[0]), 0.5)
        for place in (pair, pair[::-1]):
            tell(Quantity.GATE_ERROR, place, error, "cz")
            tell(Quantity.GATE_DURATION_S, place, COUPLER[1], "cz")
    return Snapshot.of(name, qubits, readings, AT, dt_s=1e-9)
