"""How long a device's gates take, as arrays over its qubits and couplers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcpaas.calibration import Quantity
from store.couplers import Couplers
from store.snapshot import Snapshot

Array = NDArray[np.float64]
Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Durations:
    """Seconds; 0 where not known.

    Attributes:
        one_qubit: Of each gate, shape ``(n,)``.
        two_qubit: Of each gate on each of `couplers`, shape ``(e,)``; the other direction's where
            only that is known.
        readout: Shape ``(n,)``.
        dt_s: Sampling time of the control hardware.
        wider: Of gates on three qubits and more.
    """

    couplers: Couplers
    one_qubit: Mapping[str, Array]
    two_qubit: Mapping[str, Array]
    readout: Array
    dt_s: float
    wider: Mapping[tuple[str, Place], float]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Durations:
        one: dict[str, Array] = {}
        two: dict[str, Array] = {}
        wider: dict[tuple[str, Place], float] = {}
        for (name, gate), (places, rows) in snapshot.layout.of_gates.items():
            if name != Quantity.GATE_DURATION_S:
                continue
            values = snapshot.values[rows]
            if places.shape[1] == 1:
                one[gate] = np.zeros(snapshot.num_qubits)
                one[gate][places[:, 0]] = values
            elif places.shape[1] == 2:
                two[gate] = _either_way(snapshot.layout.couplers, places, values)
            else:
                keys = ((gate, tuple(place)) for place in places.tolist())
                wider.update(zip(keys, values.tolist(), strict=True))
        readout = np.nan_to_num(snapshot.per_qubit(Quantity.READOUT_DURATION_S))
        return cls(snapshot.layout.couplers, one, two, readout, snapshot.dt_s or 0.0, wider)

    @cached_property
    def typical(self) -> Durations:
        """A device on which every gate takes as long everywhere: its median."""
        return Durations(
            self.couplers,
            {gate: _median(column) for gate, column in self.one_qubit.items()},
            {gate: _median(column) for gate, column in self.two_qubit.items()},
            _median(self.readout),
            self.dt_s,
            self.wider,
        )

    def is_physical(self, gate: str) -> NDArray[np.bool_]:
        """Where a 1-qubit gate takes time, shape ``(n,)``; a reset is no gate."""
        if gate == "reset" or gate not in self.one_qubit:
            return np.zeros(len(self.readout), dtype=bool)
        return self.one_qubit[gate] > 0.0


def _either_way(couplers: Couplers, places: NDArray[np.intp], values: Array) -> Array:
    forward = np.full(len(couplers.first), np.nan)
    forward[couplers.number[places[:, 0], places[:, 1]]] = values
    return np.nan_to_num(np.where(np.isnan(forward), forward[couplers.reverse], forward))


def _median(column: Array) -> Array:
    known = column[column > 0]
    return np.full_like(column, np.median(known) if len(known) else 0.0)
