"""Compile around what is out of order, where no placement of a routing avoids it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from qiskit import QuantumCircuit

from adapters.target import Place, build_target, out_of_order, restrict, topology_target
from calibration.portfolio import Portfolio, compile_portfolio
from qcpaas.errors import CalibrationError, CircuitError
from store.snapshot import Snapshot

LISTED = 8


def compile_around(
    circuit: QuantumCircuit,
    snapshot: Snapshot,
    control_flow: Collection[str],
    key: str = "",
    *,
    with_errors: bool = False,
) -> Portfolio:
    """Route a circuit on the part of the device that works.

    Args:
        with_errors: Let the snapshot's errors choose the place, for a circuit that stays there.

    Raises:
        CalibrationError: The part that works is too small for it, or falls apart.
        CircuitError: It cannot be translated to the device's gates.
    """
    dead = out_of_order(snapshot)
    lost = {place[0] for place in dead if len(place) == 1}
    alive = [qubit for qubit in range(snapshot.num_qubits) if qubit not in lost]
    if circuit.num_qubits > len(alive):
        raise CalibrationError(_too_little(circuit, snapshot, dead))
    make = build_target if with_errors else topology_target
    whole = make(snapshot, control_flow=control_flow)
    target = restrict(whole, alive, without=[place for place in dead if len(place) == 2])
    try:
        portfolio = compile_portfolio(circuit, target, key, snapshot.content_id)
    except CircuitError as error:
        if not dead:
            raise
        raise CalibrationError(f"{_too_little(circuit, snapshot, dead)} ({error})") from error
    templates = tuple(
        replace(template, home=tuple(alive[qubit] for qubit in template.home))
        for template in portfolio.templates
    )
    return replace(portfolio, templates=templates)


def _too_little(circuit: QuantumCircuit, snapshot: Snapshot, dead: Collection[Place]) -> str:
    listed = ", ".join("-".join(map(str, place)) for place in list(dead)[:LISTED])
    more = f" and {len(dead) - LISTED} more" if len(dead) > LISTED else ""
    return (
        f"circuit {circuit.name} needs {circuit.num_qubits} qubits that work together; of the "
        f"{snapshot.num_qubits} of {snapshot.device}, these qubits and couplers are out of order "
        f"in snapshot {snapshot.content_id}: {listed}{more}. Choose another device."
    )
