"""Where a pattern fits on a device, found once and remembered: errors play no part.

Own code, and not rustworkx's VF2 (the same sets, one placement at a time, in two to three times the
time): all partial placements are extended at once in NumPy, kept as a trie that scores many
placements by what they share (31,628 of a chain of 20 qubits on 127: 2.3 MB, 0.1 MB stored, half a
millisecond), given up where there are too many, and then searched along the errors of the day.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration.pattern import Pattern
from calibration.template import Template
from calibration.trie import Trie, every_placement
from store.compiled import Codec, CompiledCache
from store.couplers import Couplers

FORMAT = 1
MAX_EMBEDDINGS = 200_000
MAX_LEVEL_BYTES = 64 * 2**20
KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Fit:
    """A pattern on a device.

    Attributes:
        trie: Every placement; ``None`` where there are too many.
    """

    pattern: Pattern
    couplers: Couplers
    trie: Trie | None

    @cached_property
    def fits(self) -> NDArray[np.bool_]:
        """Where each node may go, shape ``(size, n)``."""
        return self.pattern.fits(self.couplers)

    @property
    def nbytes(self) -> int:
        return 4096 if self.trie is None else 4096 + self.trie.nbytes


class Embeddings:
    """Finds embeddings; keeps them in this process and, where it has one, in the store.

    Args:
        cache: Shared with other processes.
        max_bytes: In this process.
    """

    def __init__(self, cache: CompiledCache | None = None, max_bytes: int = KEPT_BYTES) -> None:
        self._cache = cache
        self._max_bytes = max_bytes
        self._found: OrderedDict[tuple[str, Pattern], Fit] = OrderedDict()

    def fit(self, pattern: Pattern, couplers: Couplers) -> Fit:
        """Every placement of a connected pattern, or word that there are too many."""
        key = (couplers.couplers_id, pattern)
        if key not in self._found:
            self._found[key] = Fit(pattern, couplers, self._obtain(pattern, couplers))
            self._forget()
        self._found.move_to_end(key)
        return self._found[key]

    def _obtain(self, pattern: Pattern, couplers: Couplers) -> Trie | None:
        def search() -> bytes:
            trie = every_placement(pattern, couplers, MAX_EMBEDDINGS, MAX_LEVEL_BYTES)
            return b"" if trie is None else trie.to_bytes()

        if self._cache is None:
            return every_placement(pattern, couplers, MAX_EMBEDDINGS, MAX_LEVEL_BYTES)
        # As bytes also in the cache's memory: what it keeps there it counts by their length.
        payload = self._cache.obtain(_key(pattern, couplers), search, _AS_BYTES)
        return Trie.from_bytes(payload) if payload else None

    def _forget(self) -> None:
        """The least recently used beyond what may be kept, but never the newest."""
        kept = sum(fit.nbytes for fit in self._found.values())
        while kept > self._max_bytes and len(self._found) > 1:
            kept -= self._found.popitem(last=False)[1].nbytes


def connected_parts(template: Template) -> list[tuple[tuple[int, ...], Pattern]]:
    """Qubits that move together and the pattern that they make, largest first."""
    width = len(template.home)
    pairs = sorted({(min(a, b), max(a, b)) for a, b, _ in template.interactions})
    group = list(range(width))
    for a, b in pairs:
        low, high = sorted((group[a], group[b]))
        group = [low if number == high else number for number in group]
    members: dict[int, list[int]] = {}
    for qubit, number in enumerate(group):
        members.setdefault(number, []).append(qubit)
    parts = []
    for qubits in sorted(members.values(), key=lambda qubits: (-len(qubits), qubits)):
        place = {qubit: node for node, qubit in enumerate(qubits)}
        edges = tuple((place[a], place[b]) for a, b in pairs if a in place)
        parts.append((tuple(qubits), Pattern(len(qubits), edges)))
    return parts


def _key(pattern: Pattern, couplers: Couplers) -> str:
    text = f"{pattern.size} {pattern.edges} {MAX_EMBEDDINGS} {MAX_LEVEL_BYTES}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"embeddings:{FORMAT}:{couplers.couplers_id}:{digest}"


def _checked(payload: bytes) -> bytes:
    if payload:
        Trie.from_bytes(payload)
    return payload


_AS_BYTES: Codec[bytes] = Codec(
    bytes, _checked, (ValueError, LookupError, OSError, zipfile.BadZipFile, zlib.error)
)
