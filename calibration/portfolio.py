"""Compile once: a circuit's best few distinct routings for a device's topology."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import qiskit
import rustworkx as rx
from qiskit import QuantumCircuit
from qiskit.transpiler import StagedPassManager, Target, generate_preset_pass_manager
from qiskit.transpiler.passes.layout.vf2_layout import VF2LayoutStopReason

from adapters.compiler_stages import compiling
from calibration.template import IGNORED, Template, leaves
from qcpaas.circuits import circuit_key
from qcpaas.errors import CircuitError

SEEDS = tuple(range(11, 27))  # routing is a lottery: a ticket each
BUDGET = 16_000  # routed instructions in all, so that the first use of a circuit takes seconds
FEWEST = 4
TODAY = 156  # qubits; routing takes in proportion longer on larger devices
# All that differ: the best of a day was often among those with 5 to 10 % more gates.
KEPT = 16
# More two-qubit gates than this, relative to the shortest, were not seen to catch up; a third more
# were, where the shorter ones must cross a bad coupler.
LONGEST = 1.4
FORMAT = 3  # of the bytes; also raised where the same circuit is compiled in another way
BAD_BYTES = (ValueError, LookupError, struct.error, CircuitError)


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A circuit's routings, the one with the fewest two-qubit gates first.

    Attributes:
        key: Of the circuit's structure, the topology and the compiler.
        snapshot_id: Of the calibration whose topology it was compiled for.
        note: What a person should know of how it was compiled; empty for the usual way.
    """

    templates: tuple[Template, ...]
    key: str
    snapshot_id: str
    note: str = ""

    @property
    def movable(self) -> bool:
        """Whether it can be laid anywhere where its two-qubit gates are."""
        return all(template.movable for template in self.templates)

    def to_bytes(self) -> bytes:
        parts = [self.key.encode(), self.snapshot_id.encode(), self.note.encode()]
        parts += [template.to_bytes() for template in self.templates]
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Portfolio:
        """Read what `to_bytes` gave.

        Raises:
            ValueError, LookupError, struct.error, CircuitError: It is damaged (`BAD_BYTES`).
        """
        parts, start = [], 0
        while start < len(payload):
            (size,) = struct.unpack_from("<I", payload, start)
            parts.append(payload[start + 4 : start + 4 + size])
            start += 4 + size
        key, snapshot_id, note, *templates = parts
        return cls(
            tuple(map(Template.from_bytes, templates)),
            key.decode(),
            snapshot_id.decode(),
            note.decode(),
        )


def portfolio_key(circuit: QuantumCircuit, topology_id: str, *more: object) -> str:
    """Changes with the circuit's structure, the device's topology, and the compiler.

    Args:
        more: What else the result depends on.
    """
    parts = [
        circuit_key(circuit),
        topology_id,
        qiskit.__version__,
        str(FORMAT),
        str((SEEDS, BUDGET)),
    ]
    parts += map(repr, more)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compile_portfolio(
    circuit: QuantumCircuit,
    target: Target,
    key: str = "",
    snapshot_id: str = "",
    seeds: Sequence[int] = SEEDS,
) -> Portfolio:
    """Route a circuit and translate it to the device's gates, several times over.

    Once is enough where the circuit needs no routing: every seed then gives the same. A long
    circuit, or a very large device, is given fewer of the seeds.

    Args:
        target: Best an `adapters.target.topology_target`: where the circuit will run is chosen
            later, and with a target without errors the result is a function of the topology.

    Raises:
        CircuitError: The circuit is too wide, or cannot be translated.
    """
    check_fits(circuit, target)
    routing = route(circuit, target, seeds[0])
    if not routing.moved:
        template = routing.template
        dynamic = circuit.has_control_flow_op() or circuit.num_identifiers
        if routing.stays and not dynamic and _has_one_way_gates(target):
            template = replace(template, source=circuit)
        return Portfolio((template,), key, snapshot_id)
    work = routing.template.circuit.size() * max(1.0, target.num_qubits / TODAY)
    tickets = max(FEWEST, int(BUDGET / max(1.0, work)))
    routings = [routing, *(route(circuit, target, seed, lies=False) for seed in seeds[:tickets])]
    return Portfolio(best_few([found.template for found in routings]), key, snapshot_id)


@dataclass(frozen=True, eq=False)
class Routing:
    """A template, and how it came about.

    Attributes:
        moved: Its qubits had to be moved, so that a seed makes a difference.
        stays: Every qubit is at its end where it began.
    """

    template: Template
    moved: bool
    stays: bool


def route(
    circuit: QuantumCircuit,
    target: Target,
    seed: int,
    initial_layout: Sequence[int] | None = None,
    *,
    lies: bool = True,
) -> Routing:
    """Compile a circuit for a target with one seed.

    Args:
        initial_layout: Device qubits where the circuit's qubits lie, in any state, and the other
            qubits too; left out, the circuit starts from zeros where it likes.
        lies: Whether it may lie on the device without routing; where another seed has found that
            it does not, that search, which can take seconds, is left out.

    Raises:
        CircuitError: It cannot be translated to the device's gates.
    """
    try:
        with compiling():
            manager = _pass_manager(target, seed, initial_layout, lies=lies)
            routed = manager.run(circuit)
    except qiskit.exceptions.QiskitError as error:
        raise CircuitError(
            f"circuit {circuit.name} cannot be compiled for this device: {error.message}"
        ) from error
    ends = routed.layout.final_index_layout() if routed.layout else range(circuit.num_qubits)
    if initial_layout is None:
        reason = manager.property_set["VF2Layout_stop_reason"]
        moved = reason != VF2LayoutStopReason.SOLUTION_FOUND
    else:
        moved = list(ends) != list(initial_layout)
    begins = routed.layout.initial_index_layout()[: len(ends)] if routed.layout else ends
    return Routing(Template.compact(routed, ends), moved, stays=list(begins) == list(ends))


def _pass_manager(
    target: Target, seed: int, initial_layout: Sequence[int] | None, *, lies: bool
) -> StagedPassManager:
    def preset(level: int) -> StagedPassManager:
        return generate_preset_pass_manager(
            optimization_level=level,
            target=target,
            seed_transpiler=seed,
            initial_layout=None if initial_layout is None else list(initial_layout),
            layout_method=None if lies or initial_layout is not None else "sabre",
            qubits_initially_zero=initial_layout is None,
        )

    manager = preset(3)
    if lies and initial_layout is None:
        # Level 3 searches for up to a minute whether the circuit lies on the device, and then for
        # the best such place, which is chosen later here.
        brief = preset(2)
        manager.layout, manager.routing = brief.layout, brief.routing
    return manager


def _has_one_way_gates(target: Target) -> bool:
    pairs = {(name, place) for name in target.operation_names for place in target[name] or ()}
    return any(
        place is not None and len(place) == 2 and (name, place[::-1]) not in pairs
        for name, place in pairs
    )


def check_fits(circuit: QuantumCircuit, target: Target) -> None:
    """Raises `CircuitError` where the circuit has more qubits than the device."""
    if circuit.num_qubits > target.num_qubits:
        raise CircuitError(
            f"circuit {circuit.name} needs {circuit.num_qubits} qubits; the device has "
            f"{target.num_qubits}. Choose a larger device or cut the circuit."
        )


def best_few(templates: Sequence[Template]) -> tuple[Template, ...]:
    """The shortest first, at most `KEPT`, without the much longer ones and without twins.

    Twins have the same gates on the same pattern of qubits, so that they score alike wherever
    they are laid.
    """
    if len(templates) == 1:
        return tuple(templates)
    lengths = [length(template) for template in templates]
    longest = LONGEST * min(lengths)[0]
    kept: list[Template] = []
    patterns: list[rx.PyDiGraph] = []
    for (gates, _), template in sorted(
        zip(lengths, templates, strict=True), key=lambda pair: pair[0]
    ):
        pattern = _pattern(template)
        if gates <= longest and not any(_same(pattern, other) for other in patterns):
            kept.append(template)
            patterns.append(pattern)
    return tuple(kept[:KEPT])


def length(template: Template) -> tuple[int, int]:
    """Two-qubit gates, then depth."""
    return sum(template.interactions.values()), template.circuit.depth()


def _pattern(template: Template) -> rx.PyDiGraph:
    """Qubits with their other instructions, pairs with their two-qubit gates."""
    alone: list[Counter[str]] = [Counter() for _ in template.home]
    for operation, qubits, times in leaves(template.circuit):
        if len(qubits) == 1 and operation.name not in IGNORED:
            alone[qubits[0]][operation.name] += times
    pairs: dict[tuple[int, int], Counter[str]] = {}
    for (first, second, gate), count in template.interactions.items():
        pairs.setdefault((first, second), Counter())[gate] += count
    graph = rx.PyDiGraph()
    graph.add_nodes_from(alone)
    graph.add_edges_from([(*pair, gates) for pair, gates in pairs.items()])
    return graph


def _same(first: rx.PyDiGraph, second: rx.PyDiGraph) -> bool:
    equal: Callable[[Counter[str], Counter[str]], bool] = Counter.__eq__
    return rx.is_isomorphic(first, second, node_matcher=equal, edge_matcher=equal)
