"""A processor's instruction set architecture: which gates it has, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qcpaas.errors import MalformedReply

Place = tuple[int, ...]
# Qiskit's names of Quil's native gates; ``RX`` turns by +-pi/2 and pi only.
QISKIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "RX": ("sx", "sxdg", "x"),
    "RZ": ("rz",),
    "CZ": ("cz",),
    "ISWAP": ("iswap",),
    "CPHASE": ("cp",),
    "XY": ("xx_plus_yy",),
    "RESET": ("reset",),
}
MEASURE = "MEASURE"


@dataclass(frozen=True)
class Fact:
    """One measured characteristic, as QCS tells it."""

    name: str
    value: float
    error: float | None
    measured_at: datetime


@dataclass(frozen=True, eq=False)
class Architecture:
    """What QCS says of a processor; nodes are Rigetti's qubit numbers.

    Attributes:
        nodes: Ascending: qubit ``i`` of ours is ``nodes[i]``.
        edges: Pairs that a coupler joins, each ascending.
        sites: Where each instruction can be applied, with its facts.
        benchmarks: The same of each benchmark, by the nodes that a fact is of.
    """

    name: str
    nodes: tuple[int, ...]
    edges: tuple[Place, ...]
    sites: Mapping[str, Mapping[Place, tuple[Fact, ...]]]
    benchmarks: Mapping[str, Mapping[Place, tuple[Fact, ...]]]

    @property
    def gates(self) -> tuple[str, ...]:
        """Qiskit's names of the gates that it has anywhere."""
        return tuple(
            name for quil, names in QISKIT_NAMES.items() if self.sites.get(quil) for name in names
        )

    def indices(self, place: Place) -> Place:
        """Our numbers of nodes."""
        return tuple(self.nodes.index(node) for node in place)


def architecture(isa: Any) -> Architecture:
    """Check and order what Rigetti's client has read.

    Raises:
        MalformedReply: A qubit is named that is not there, or a value makes no sense.
    """
    nodes = tuple(sorted({node.node_id for node in isa.architecture.nodes}))
    if not nodes:
        raise MalformedReply(f"QCS says that {isa.name} has no qubits.")
    found = Architecture(
        name=isa.name,
        nodes=nodes,
        edges=tuple(sorted({_pair(edge.node_ids) for edge in isa.architecture.edges})),
        sites={each.name: _sites(each) for each in isa.instructions},
        benchmarks={each.name: _benchmark(each) for each in isa.benchmarks},
    )
    known = set(nodes)
    named: list[Iterable[int]] = [*found.edges]
    for group in (found.sites, found.benchmarks):
        named += [place for sites in group.values() for place in sites]
    for place in named:
        if not known.issuperset(place):
            raise MalformedReply(f"QCS names the qubits {tuple(place)} of {isa.name}: not there.")
    return found


def _pair(nodes: Iterable[int]) -> Place:
    return tuple(sorted(nodes))


def _sites(operation: Any) -> dict[Place, tuple[Fact, ...]]:
    """A gate on two qubits is the same in either order."""
    return {
        _pair(site.node_ids): tuple(map(_fact, site.characteristics)) for site in operation.sites
    }


def _benchmark(operation: Any) -> dict[Place, tuple[Fact, ...]]:
    """A benchmark of all qubits at once has facts of single ones."""
    found: dict[Place, tuple[Fact, ...]] = {}
    for site in operation.sites:
        for each in site.characteristics:
            place = _pair(site.node_ids if each.node_ids is None else each.node_ids)
            found[place] = (*found.get(place, ()), _fact(each))
    return found


def _fact(characteristic: Any) -> Fact:
    name, value, error = characteristic.name, characteristic.value, characteristic.error
    if not math.isfinite(value) or (error is not None and not 0 <= error < math.inf):
        raise MalformedReply(f"QCS says that {name} is {value} with error {error}.")
    try:
        measured_at = datetime.fromisoformat(characteristic.timestamp)
    except (TypeError, ValueError):
        raise MalformedReply(
            f"QCS dates {name} {str(characteristic.timestamp)[:100]!r}, which is no date."
        ) from None
    if measured_at.tzinfo is None:
        measured_at = measured_at.replace(tzinfo=UTC)
    return Fact(name, value, error, measured_at)
