"""Compile a circuit anew for a place where gates act the other way round."""

from __future__ import annotations

from collections.abc import Collection

import qiskit
from qiskit import QuantumCircuit
from qiskit.transpiler import Target, generate_preset_pass_manager

from adapters.compiler_stages import compiling
from adapters.target import VIRTUAL, add_kind, operation_named
from calibration.template import Template, without_qubits
from calibration.timeline import TIMELESS
from store.layout import NO_GATES

Interaction = tuple[int, int, str]
# They take no time, or no error.
NO_ROTATIONS = TIMELESS | VIRTUAL | {"measure", "reset"}


def recompiled(
    template: Template, wanted: Collection[Interaction], basis_gates: tuple[str, ...]
) -> QuantumCircuit | None:
    """The template's circuit with its two-qubit gates in the wanted directions.

    Turning a gate that was compiled the other way leaves 1-qubit gates between two symbolic ones
    that nothing merges any more; about 6 % of them on devices with ECR gates.

    Returns:
        ``None`` where the template cannot be compiled anew on its own qubits.
    """
    source, width = template.source, template.circuit.num_qubits
    if source is None or source.num_qubits != width:
        return None
    target = compact_target(width, wanted, basis_gates)
    laid = without_qubits(source, width)
    laid.global_phase = 0  # comes with the instructions
    laid.compose(source, list(template.positions), source.clbits, inplace=True)
    try:
        circuit = _recompiled(laid, target)
    except qiskit.exceptions.QiskitError:
        return None
    anew = Template(circuit, template.positions, template.home)
    return circuit if anew.interactions.keys() <= set(wanted) else None


def _recompiled(laid: QuantumCircuit, target: Target) -> QuantumCircuit:
    with compiling():
        # Level 3 finds nothing more here, and takes three times as long.
        manager = generate_preset_pass_manager(
            optimization_level=2, target=target, seed_transpiler=0
        )
        manager.init = manager.layout = manager.routing = None  # it lies already
        return manager.run(laid)


def compact_target(
    width: int, wanted: Collection[Interaction], basis_gates: tuple[str, ...]
) -> Target:
    """A device with these two-qubit gates in these directions, and 1-qubit gates everywhere."""
    places: dict[str, list[tuple[int, ...]]] = {}
    for first, second, gate in wanted:
        places.setdefault(gate, []).append((first, second))
    alone = [n for n in basis_gates if n not in NO_GATES and operation_named(n, 2).num_qubits == 1]
    target = Target(num_qubits=width)
    for name in (*alone, *sorted(NO_GATES)):
        places[name] = [(qubit,) for qubit in range(width)]
    for name, found in places.items():
        add_kind(target, name, found)
    return target


def cost(circuit: QuantumCircuit) -> tuple[int, int]:
    """Two-qubit gates, then 1-qubit gates that take time."""
    two = circuit.num_nonlocal_gates()
    one = sum(len(step.qubits) == 1 and step.name not in NO_ROTATIONS for step in circuit.data)
    return two, one
