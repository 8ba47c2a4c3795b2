"""Other ways to place a circuit by today's calibration: Qiskit's, and mapomatic's."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from qiskit import QuantumCircuit
from qiskit.transpiler import (
    CouplingMap,
    Layout,
    PassManager,
    Target,
    generate_preset_pass_manager,
)
from qiskit.transpiler.passes import VF2PostLayout
from qiskit.transpiler.passes.layout.vf2_layout import VF2LayoutStopReason

from adapters.target import build_target
from benchmarks.binding_product import Figures, judge
from calibration.portfolio import SEEDS as ALL_SEEDS
from store.snapshot import Snapshot

SEEDS = ALL_SEEDS[:8]
VF2_CALLS = 100_000  # it scores in Python: a second for a chain of 20 on 156 qubits
MAPOMATIC_CALLS = 1_000_000


@dataclass(frozen=True, eq=False)
class Placed:
    """A circuit in a device's gates, and where its qubits are."""

    circuit: QuantumCircuit
    physical_qubits: tuple[int, ...]

    def judged(self, snapshot: Snapshot) -> Figures:
        return judge(self.circuit, self.physical_qubits, snapshot)


def level3(circuit: QuantumCircuit, target: Target, seeds: tuple[int, ...] = SEEDS) -> list[Placed]:
    """Compiled for today's calibration, with the very seeds that our portfolio is compiled with.

    One seed stands for all where no swaps are needed: the seed is then of no consequence.
    """
    found = []
    for seed in seeds:
        manager = generate_preset_pass_manager(
            optimization_level=3, target=target, seed_transpiler=seed
        )
        routed = manager.run(circuit)
        found.append(Placed(routed, tuple(range(routed.num_qubits))))
        if manager.property_set["VF2Layout_stop_reason"] is VF2LayoutStopReason.SOLUTION_FOUND:
            break
    return found


def vf2_post_layout(placed: Placed, target: Target) -> Placed:
    """A compiled circuit moved to the best place that Qiskit's own pass finds."""
    search = PassManager(
        [VF2PostLayout(target=target, strict_direction=True, call_limit=VF2_CALLS, max_trials=0)]
    )
    search.run(placed.circuit)
    layout: Layout | None = search.property_set["post_layout"]
    if layout is None:  # it lies best where it is
        return placed
    moved = layout.get_virtual_bits()
    spare = (place for place in range(target.num_qubits) if place not in moved.values())
    return Placed(
        placed.circuit,
        tuple(moved[qubit] if qubit in moved else next(spare) for qubit in placed.circuit.qubits),
    )


def mapomatic(placed: Placed, target: Target) -> Placed:
    """The best of the layouts that mapomatic finds and scores by its own cost function."""
    import mapomatic as mm

    small = mm.deflate_circuit(placed.circuit)
    layouts = mm.matching_layouts(
        small, CouplingMap(target.build_coupling_map().get_edges()), call_limit=MAPOMATIC_CALLS
    )
    scored = mm.evaluate_layouts(small, layouts, _ReadByMapomatic(target))
    return Placed(small, tuple(scored[0][0])) if scored else placed


class _ReadByMapomatic:
    """A target in the form in which mapomatic 0.14 asks a backend for errors."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def configuration(self) -> Any:
        return SimpleNamespace(basis_gates=list(self._target.operation_names))

    def properties(self) -> _ReadByMapomatic:
        return self

    def gate_error(self, gate: str, qubits: int | list[int]) -> float:
        place = (qubits,) if isinstance(qubits, int) else tuple(qubits)
        return self._target[gate][place].error or 0.0

    def readout_error(self, qubit: int) -> float:
        return self._target["measure"][(qubit,)].error or 0.0


def target_of(snapshot: Snapshot) -> Target:
    """Without control flow, which none of the circuits has."""
    return build_target(snapshot, control_flow=())
