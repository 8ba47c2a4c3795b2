"""The graph of a template's interactions, and the order in which to look for it on a device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from store.couplers import Couplers, distances

Pair = tuple[int, int]
MAX_REACH = 3  # distances that are checked for each new node
BALLS = 16  # how far around a qubit its neighbourhood is compared


@dataclass(frozen=True)
class Step:
    """The node to place next.

    Attributes:
        parent: Position in the order of a placed node that it is joined to; -1 for the first.
        back: Positions of the other placed nodes that it is joined to.
        reach: Positions and distances of placed nodes to which a way leads that is not placed
            yet: no further away may it go from them on the device.
    """

    node: int
    parent: int
    back: tuple[int, ...]
    reach: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class Pattern:
    """A connected graph on nodes ``0..size-1``, its edges in ascending order."""

    size: int
    edges: tuple[Pair, ...]

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        found: list[list[int]] = [[] for _ in range(self.size)]
        for a, b in self.edges:
            found[a].append(b)
            found[b].append(a)
        return tuple(map(tuple, found))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Cycles first and closed as soon as can be: what cannot work is then given up early."""
        position: dict[int, int] = {}
        steps = []
        for node in _ordered(self.neighbours):
            placed = sorted(position[n] for n in self.neighbours[node] if n in position)
            parent = placed[-1] if placed else -1
            reach = self._reach(node, placed, list(position))
            steps.append(Step(node, parent, tuple(placed[:-1]), reach))
            position[node] = len(position)
        return tuple(steps)

    def _reach(
        self, node: int, joined: Sequence[int], order: Sequence[int]
    ) -> tuple[tuple[int, int], ...]:
        """The nearest placed nodes whose distance does not follow from what is placed."""
        away = self._distances[node][order]
        by_placed = self._distances[[order[place] for place in joined]][:, order] + 1
        open_ends = np.flatnonzero((by_placed > away).all(axis=0))
        kept: list[Pair] = []
        for place in open_ends[np.argsort(away[open_ends], kind="stable")].tolist():
            between = [self._distances[order[other], order[place]] for other, _ in kept]
            follows = any(d + b <= away[place] for (_, d), b in zip(kept, between, strict=True))
            if not follows:
                kept.append((place, int(away[place])))
            if len(kept) == MAX_REACH:
                break
        return tuple(kept)

    def fits(self, couplers: Couplers) -> NDArray[np.bool_]:
        """Where each node may go, judged by its surroundings, shape ``(size, n)``.

        A node's neighbours have other neighbours of their own, and nothing gets further apart on
        a device that has more couplers than the pattern has edges.
        """
        device, pattern = couplers.distances, self._distances
        reach = int(min(BALLS, pattern.max(initial=0)))
        fits = np.ones((self.size, couplers.num_qubits), dtype=bool)
        for radius in range(1, reach + 1):
            wanted, there = (pattern <= radius).sum(axis=1), (device <= radius).sum(axis=1)
            fits &= there >= wanted[:, None]
        wanted, there = _degrees_around(pattern), _degrees_around(device)
        for rank in range(wanted.shape[1]):
            found = there[:, rank] if rank < there.shape[1] else np.zeros(len(there))
            fits &= found >= wanted[:, rank, None]
        return fits

    @cached_property
    def _distances(self) -> NDArray[np.int16]:
        return distances(self.size, self.edges)


def _degrees_around(apart: NDArray[np.int16]) -> NDArray[np.intp]:
    """Degrees of each node's neighbours, largest first, zeros behind."""
    near = apart == 1
    degrees = near.sum(axis=1)
    around = np.sort(np.where(near, degrees[None, :], 0), axis=1)[:, ::-1]
    return around[:, : int(degrees.max(initial=0))]


def _ordered(neighbours: Sequence[Sequence[int]]) -> Iterator[int]:
    """Every node, each joined to an earlier one."""
    start = _start(neighbours)
    placed, newest_last = {start}, [start]  # of the placed ones those with free neighbours
    yield start
    while len(placed) < len(neighbours):
        for node in _next(neighbours, placed, newest_last):
            placed.add(node)
            newest_last.append(node)
            yield node
        newest_last = [node for node in newest_last if not placed.issuperset(neighbours[node])]


def _start(neighbours: Sequence[Sequence[int]]) -> int:
    """A node on a cycle with as many neighbours as can be; in a tree an end of a longest path."""
    core = _core(neighbours)
    if core:
        return max(core, key=lambda node: (len(neighbours[node]), -node))
    return _farthest(neighbours, _farthest(neighbours, 0))


def _core(neighbours: Sequence[Sequence[int]]) -> set[int]:
    """What is left when loose ends are taken off again and again."""
    degree = [len(around) for around in neighbours]
    ends = [node for node, count in enumerate(degree) if count <= 1]
    gone = set(ends)
    while ends:
        for other in neighbours[ends.pop()]:
            degree[other] -= 1
            if degree[other] == 1 and other not in gone:
                gone.add(other)
                ends.append(other)
    return set(range(len(neighbours))) - gone


def _farthest(neighbours: Sequence[Sequence[int]], start: int) -> int:
    seen, last, queue = {start}, start, deque([start])
    while queue:
        last = queue.popleft()
        queue.extend(node for node in neighbours[last] if node not in seen)
        seen.update(neighbours[last])
    return last


def _next(
    neighbours: Sequence[Sequence[int]], placed: set[int], order: Sequence[int]
) -> Sequence[int]:
    """What closes a cycle; else the shortest way to close one; else on from the newest node."""
    ear = _shortest_ear(neighbours, placed, order)
    if ear:
        return ear
    for newest in reversed(order):
        free = [node for node in neighbours[newest] if node not in placed]
        if free:  # the shortest branch first: it is the sooner done
            return [min(free, key=lambda node: (_branch(neighbours, placed, node), node))]
    raise ValueError("the pattern is not connected")


def _branch(neighbours: Sequence[Sequence[int]], placed: set[int], start: int) -> int:
    """Free nodes that can be reached from one without crossing what is placed."""
    seen, queue = {start}, deque([start])
    while queue:
        for node in neighbours[queue.popleft()]:
            if node not in seen and node not in placed:
                seen.add(node)
                queue.append(node)
    return len(seen)


def _shortest_ear(
    neighbours: Sequence[Sequence[int]], placed: set[int], order: Sequence[int]
) -> list[int]:
    """The fewest free nodes in a row that join two placed ones, or one to itself."""
    entry: dict[int, int] = {}  # the free node by which the search came
    before: dict[int, int] = {}
    queue: deque[int] = deque()
    for origin in reversed(order):
        for node in neighbours[origin]:
            if node in placed:
                continue
            if node in entry:
                return [node]
            entry[node] = node
            queue.append(node)
    while queue:
        node = queue.popleft()
        for other in neighbours[node]:
            if other in placed or other == before.get(node):
                continue
            if other not in entry:
                entry[other], before[other] = entry[node], node
                queue.append(other)
            elif entry[other] != entry[node]:
                return [*reversed(_way_in(node, before)), *_way_in(other, before)]
    return []


def _way_in(node: int, before: dict[int, int]) -> list[int]:
    way = [node]
    while way[-1] in before:
        way.append(before[way[-1]])
    return way
