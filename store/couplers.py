"""Which qubits of a device are coupled, as index arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

Index = NDArray[np.intp]
FAR = 16_000


@dataclass(frozen=True, eq=False)
class Couplers:
    """Every coupler of a device twice, once from either side, in ascending order.

    Attributes:
        first, second: Its qubits, shape ``(e,)``.
    """

    num_qubits: int
    first: Index
    second: Index

    @classmethod
    def of(cls, num_qubits: int, pairs: Iterable[tuple[int, ...]]) -> Couplers:
        """From pairs of qubits, either way round, as often as one likes."""
        both = {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}
        ends = np.array(sorted(both), dtype=np.intp).reshape(-1, 2)
        return cls(num_qubits, ends[:, 0].copy(), ends[:, 1].copy())

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Each coupler once, its lower qubit first."""
        ends = zip(self.first.tolist(), self.second.tolist(), strict=True)
        return [(a, b) for a, b in ends if a < b]

    @cached_property
    def number(self) -> NDArray[np.int32]:
        """Index of the coupler from one qubit to another, shape ``(n, n)``; -1 where none is."""
        number = np.full((self.num_qubits, self.num_qubits), -1, dtype=np.int32)
        number[self.first, self.second] = np.arange(len(self.first))
        return number

    @cached_property
    def reverse(self) -> Index:
        """Index of each coupler from its other side, shape ``(e,)``."""
        return self.number[self.second, self.first].astype(np.intp)

    @cached_property
    def degree(self) -> Index:
        """Couplers of each qubit, shape ``(n,)``."""
        return np.bincount(self.first, minlength=self.num_qubits)

    @cached_property
    def out(self) -> Index:
        """Couplers from each qubit, shape ``(n, largest degree)``; -1 fills."""
        width = int(self.degree.max(initial=0))
        out = np.full((self.num_qubits, width), -1, dtype=np.intp)
        starts = np.cumsum(self.degree) - self.degree
        column = np.arange(len(self.first)) - np.repeat(starts, self.degree)
        out[self.first, column] = np.arange(len(self.first))
        return out

    @cached_property
    def distances(self) -> NDArray[np.int16]:
        """Couplers between any two qubits, shape ``(n, n)``; `FAR` where none lead there."""
        return distances(self.num_qubits, self.pairs)

    @cached_property
    def couplers_id(self) -> str:
        """Hash of the number of qubits and of the couplers; 24 hexadecimal digits."""
        digest = hashlib.sha256(str(self.num_qubits).encode())
        digest.update(np.stack([self.first, self.second]).astype("<i8").tobytes())
        return digest.hexdigest()[:24]


def distances(size: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.int16]:
    """Edges between any two nodes of a graph, shape ``(size, size)``; `FAR` where none lead."""
    graph = rx.PyGraph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from_no_data(list(edges))
    apart = np.minimum(rx.distance_matrix(graph, null_value=np.inf), FAR)
    return np.asarray(apart, dtype=np.int16)
