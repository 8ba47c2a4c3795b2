"""Which readings a snapshot has, apart from what they are: the same from pull to pull."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qcpaas.calibration import Quantity
from store.couplers import Couplers

if TYPE_CHECKING:
    from hashlib import _Hash

Key = tuple[str, str, tuple[int, ...]]  # quantity, gate, qubits

# Every device can do these; they can only be out of order somewhere.
NO_GATES = frozenset({"measure", "delay"})
_LOCAL = ("protocol:", "person:")
_GRAPH = "graph"


@dataclass(frozen=True)
class Provenance:
    """Where a value comes from: an adapter, a protocol or a person, and by which method."""

    source: str
    method: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it was found here and not told by the device's vendor.

        A protocol's source begins with ``protocol:``, a person's with ``person:``; ``graph`` is
        the calibration graph, which takes bad qubits out of use.
        """
        return self.source == _GRAPH or self.source.startswith(_LOCAL)


@dataclass(frozen=True, eq=False)
class Layout:
    """What the columns of a snapshot stand for.

    Attributes:
        keys: (quantity, gate, qubits) of each reading, sorted.
        provenance: Distinct origins.
        dt_s: Sampling time of the control hardware, where the vendor gives one.
    """

    device: str
    num_qubits: int
    keys: tuple[Key, ...]
    provenance: tuple[Provenance, ...]
    dt_s: float | None = None

    @cached_property
    def header(self) -> bytes:
        """All of it as JSON, the first part of what a snapshot's id is the hash of."""
        return json.dumps(
            {
                "device": self.device,
                "num_qubits": self.num_qubits,
                "dt_s": self.dt_s,
                "keys": self.keys,
                "provenance": [(origin.source, origin.method) for origin in self.provenance],
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_header(cls, header: bytes) -> Layout:
        """Read what `header` gives.

        Raises:
            ValueError: It is not such a text.
        """
        try:
            read = json.loads(header)
            return cls(
                device=read["device"],
                num_qubits=read["num_qubits"],
                keys=tuple((name, gate, tuple(qubits)) for name, gate, qubits in read["keys"]),
                provenance=tuple(Provenance(*origin) for origin in read["provenance"]),
                dt_s=read["dt_s"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks or misplaces {error}") from error

    @cached_property
    def layout_id(self) -> str:
        """24 hexadecimal digits."""
        return self._digest.hexdigest()[:24]

    @cached_property
    def _digest(self) -> _Hash:
        return hashlib.sha256(self.header)

    def digest(self) -> _Hash:
        """A SHA-256 that has taken in the header, to go on with.

        A copy: hashing the header of 127 qubits anew takes longer than hashing their values.
        """
        return self._digest.copy()

    @cached_property
    def index(self) -> dict[Key, int]:
        return {key: row for row, key in enumerate(self.keys)}

    @cached_property
    def of_qubits(self) -> dict[str, tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Qubits and rows of each quantity that belongs to single qubits and to no gate."""
        found: dict[str, list[tuple[int, int]]] = {}
        for row, (name, gate, qubits) in enumerate(self.keys):
            if not gate and len(qubits) == 1:
                found.setdefault(name, []).append((qubits[0], row))
        columns = {name: np.array(pairs, dtype=np.intp).T for name, pairs in found.items()}
        return {name: (qubits, rows) for name, (qubits, rows) in columns.items()}

    @cached_property
    def of_pairs(self) -> NDArray[np.intp]:
        """Rows of the errors of gates on two qubits."""
        name = Quantity.GATE_ERROR.value
        found = [row for row, key in enumerate(self.keys) if key[0] == name and len(key[2]) == 2]
        return np.array(found, dtype=np.intp)

    @cached_property
    def of_durations(self) -> NDArray[np.intp]:
        """Rows of the durations of gates and of readout."""
        names = {Quantity.GATE_DURATION_S.value, Quantity.READOUT_DURATION_S.value}
        found = [row for row, (name, _, _) in enumerate(self.keys) if name in names]
        return np.array(found, dtype=np.intp)

    @cached_property
    def gates(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Qubit tuples of every gate, with whatever is known of it."""
        found: dict[str, dict[tuple[int, ...], None]] = {}
        for _, gate, qubits in self.keys:
            if gate and gate not in NO_GATES:
                found.setdefault(gate, {})[qubits] = None
        return {gate: tuple(sorted(places)) for gate, places in sorted(found.items())}

    @cached_property
    def of_gates(self) -> dict[tuple[str, str], tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Places and rows of each quantity of each gate, by (quantity, gate).

        Places have shape ``(r, width of the gate)``; a gate that acts on different numbers of
        qubits in different places counts by the first.
        """
        found: dict[tuple[str, str], list[tuple[tuple[int, ...], int]]] = {}
        for row, (name, gate, qubits) in enumerate(self.keys):
            if gate:
                found.setdefault((name, gate), []).append((qubits, row))
        return {key: _columns(places) for key, places in found.items()}

    @cached_property
    def gate_places(self) -> dict[str, NDArray[np.intp]]:
        """`gates` as arrays of shape ``(r, width)``."""
        return {
            gate: _columns([(place, 0) for place in places])[0]
            for gate, places in self.gates.items()
        }

    @cached_property
    def couplers(self) -> Couplers:
        """Pairs of qubits that a gate acts on."""
        pairs = {place for places in self.gates.values() for place in places if len(place) == 2}
        return Couplers.of(self.num_qubits, pairs)

    @cached_property
    def gates_with_errors(self) -> frozenset[str]:
        """Gates whose error is known in one place at least."""
        return frozenset(gate for name, gate, _ in self.keys if name == Quantity.GATE_ERROR.value)

    @cached_property
    def topology_id(self) -> str:
        """Hash of what a compiled circuit depends on besides errors: gates and where they act."""
        text = json.dumps([self.num_qubits, sorted(self.gates.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def _columns(
    places: list[tuple[tuple[int, ...], int]],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    width = len(places[0][0])
    alike = [(qubits, row) for qubits, row in places if len(qubits) == width]
    return (
        np.array([qubits for qubits, _ in alike], dtype=np.intp),
        np.array([row for _, row in alike], dtype=np.intp),
    )
