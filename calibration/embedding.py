"""Where a template fits: every way to lay its connected parts on a device's couplers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from calibration.template import Template
from store.snapshot import Snapshot

MAX_EMBEDDINGS = 50_000
# Steps of the search, not seconds: a slower machine must find the same placements.
MAX_STEPS = 5_000_000
KEPT_PATTERNS = 32

Pair = tuple[int, int]
Rows = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Part:
    """Qubits that move together, and the places where they fit.

    Attributes:
        qubits: Compact qubits of the template.
        rows: Device qubit of each, one row a placement, shape ``(m, len(qubits))``.
    """

    qubits: tuple[int, ...]
    rows: Rows


@dataclass(eq=False)
class Embeddings:
    """Finds embeddings, and remembers them by pattern and topology, since errors play no part."""

    _found: OrderedDict[tuple[str, int, tuple[Pair, ...]], Rows] = field(
        default_factory=OrderedDict
    )

    def parts(self, template: Template, snapshot: Snapshot) -> list[Part]:
        """The template's connected parts, largest first, each with its routed place among its rows.

        A circuit with control flow or gates on more than two qubits stays where it was routed.
        """
        k = len(template.home)
        if not template.movable:
            return [Part(tuple(range(k)), np.array([template.home], dtype=np.int16))]
        pairs = sorted({(min(a, b), max(a, b)) for a, b, _ in template.interactions})
        graph = rx.PyGraph()
        graph.add_nodes_from(range(k))
        graph.add_edges_from_no_data(pairs)
        groups = [tuple(sorted(group)) for group in rx.connected_components(graph)]
        groups.sort(key=lambda group: (-len(group), group))
        return [self._part(group, pairs, template, snapshot) for group in groups]

    def _part(
        self, qubits: tuple[int, ...], pairs: list[Pair], template: Template, snapshot: Snapshot
    ) -> Part:
        place = {qubit: node for node, qubit in enumerate(qubits)}
        pattern = tuple((place[a], place[b]) for a, b in pairs if a in place)
        key = (snapshot.topology_id, len(qubits), pattern)
        rows = self._found.get(key)
        if rows is None:
            rows = self._found[key] = embed(len(qubits), pattern, snapshot)
            if len(self._found) > KEPT_PATTERNS:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        home = np.array([[template.home[qubit] for qubit in qubits]], dtype=np.int16)
        return Part(qubits, np.concatenate([home, rows]))


def embed(size: int, pattern: tuple[Pair, ...], snapshot: Snapshot) -> Rows:
    """Placements of a connected pattern in the coupling map, shape ``(m, size)``.

    All of them up to `MAX_EMBEDDINGS`, or as many as `MAX_STEPS` of the search find.
    """
    if size == 1:
        return np.arange(snapshot.num_qubits, dtype=np.int16)[:, None]
    wanted = rx.PyGraph()
    wanted.add_nodes_from(range(size))
    wanted.add_edges_from_no_data(list(pattern))
    device = rx.PyGraph()
    device.add_nodes_from(range(snapshot.num_qubits))
    device.add_edges_from_no_data(coupled_pairs(snapshot))
    mappings = rx.graph_vf2_mapping(
        device, wanted, subgraph=True, induced=False, id_order=False, call_limit=MAX_STEPS
    )
    rows = []
    for mapping in islice(mappings, MAX_EMBEDDINGS):
        row = [0] * size
        for physical, node in mapping.items():
            row[node] = physical
        rows.append(row)
    return np.array(rows, dtype=np.int16).reshape(-1, size)


def coupled_pairs(snapshot: Snapshot) -> list[Pair]:
    """Undirected couplers, each once."""
    return sorted(
        {
            (min(qubits), max(qubits))
            for places in snapshot.gates.values()
            for qubits in places
            if len(qubits) == 2
        }
    )
