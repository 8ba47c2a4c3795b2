"""A snapshot's errors, corrected by what was learnt, as arrays over qubits and couplers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.elements import NO_CORRECTIONS, Corrections
from qcpaas.calibration import Quantity
from store.couplers import Couplers
from store.snapshot import Snapshot

DEAD = 1.0 - 1e-9  # error of what is out of order, or of what was not reported where others were
# What can be applied the other way round: as it is, or between gates on the qubits by themselves.
SYMMETRIC = frozenset({"cz", "rxx", "ryy", "rzz", "swap"})
TURNABLE = SYMMETRIC | {"cx", "ecr", "rzx"}

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class DeviceErrors:
    """Errors on ``n`` qubits and on ``e`` couplers; `DEAD` where something is out of order.

    Attributes:
        two_qubit: Error of each gate from the coupler's first to its second qubit, shape ``(e,)``.
        turned: Whether the device has that gate only the other way round there, shape ``(e,)``.
        one_qubit: Error of each gate, shape ``(n,)``.
        rotation: Error of the best gate that takes time, shape ``(n,)``.
        readout: Mean assignment error, shape ``(n,)``.
        t1_s, t2_s: Shape ``(n,)``, infinite where not reported.
        idle: How much faster than these two say a waiting qubit decays, shape ``(n,)``.
        operational: Shape ``(n,)``.
    """

    couplers: Couplers
    two_qubit: Mapping[str, Array]
    turned: Mapping[str, Flags]
    one_qubit: Mapping[str, Array]
    rotation: Array
    readout: Array
    t1_s: Array
    t2_s: Array
    idle: Array
    operational: Flags

    @classmethod
    def of(cls, snapshot: Snapshot, corrections: Corrections = NO_CORRECTIONS) -> DeviceErrors:
        """What is learnt of an element multiplies its calibrated error."""
        couplers = snapshot.layout.couplers
        factors = _Factors.of(corrections, couplers)
        operational = snapshot.per_qubit(Quantity.OPERATIONAL) != 0.0
        places = snapshot.layout.gate_places
        one = {
            gate: np.where(operational, _on(gate, where, snapshot, len(operational)), DEAD)
            for gate, where in places.items()
            if where.shape[1] == 1
        }
        rotation = _rotation(one, snapshot)
        two, turned = {}, {}
        works = operational[couplers.first] & operational[couplers.second]
        rotates = (rotation[couplers.first] < DEAD) & (rotation[couplers.second] < DEAD)
        for gate, where in places.items():
            if where.shape[1] == 2:
                errors = np.where(works, _on(gate, where, snapshot, len(works)), DEAD)
                turns = works if gate in SYMMETRIC else rotates & (gate in TURNABLE)
                errors, turned[gate] = _either_way(errors, turns, couplers)
                two[gate] = _times(errors, factors.two_qubit)
        t1_s = np.nan_to_num(snapshot.per_qubit(Quantity.T1_S), nan=np.inf)
        t2_s = np.nan_to_num(snapshot.t2_per_qubit(), nan=np.inf)
        return cls(
            couplers=couplers,
            two_qubit=two,
            turned=turned,
            one_qubit={gate: _times(errors, factors.one_qubit) for gate, errors in one.items()},
            rotation=_times(rotation, factors.one_qubit),
            readout=_times(np.where(operational, _readout(snapshot), DEAD), factors.readout),
            t1_s=t1_s,
            t2_s=np.minimum(t2_s, 2 * t1_s),  # more is not physical
            idle=factors.idle,
            operational=operational,
        )

    def without(self, taken: Collection[int]) -> DeviceErrors:
        """The same with some qubits, and their couplers, out of order: others have them."""
        if not taken:
            return self
        free = np.ones(len(self.operational), dtype=bool)
        free[list(taken)] = False
        open_couplers = free[self.couplers.first] & free[self.couplers.second]
        return replace(
            self,
            two_qubit={
                gate: np.where(open_couplers, errors, DEAD)
                for gate, errors in self.two_qubit.items()
            },
            one_qubit={
                gate: np.where(free, errors, DEAD) for gate, errors in self.one_qubit.items()
            },
            rotation=np.where(free, self.rotation, DEAD),
            readout=np.where(free, self.readout, DEAD),
            operational=self.operational & free,
        )


@dataclass(frozen=True, eq=False)
class _Factors:
    """True over calibrated errors: on qubits ``(n,)``, on couplers ``(e,)``."""

    two_qubit: Array
    one_qubit: Array
    readout: Array
    idle: Array

    @classmethod
    def of(cls, corrections: Corrections, couplers: Couplers) -> _Factors:
        n = couplers.num_qubits
        found = {
            "two_qubit": np.ones(len(couplers.first)),
            "one_qubit": np.ones(n),
            "readout": np.ones(n),
            "idle": np.ones(n),
        }
        for (kind, qubits), log_factor in corrections.log_factors.items():
            if kind != "two_qubit":
                found[kind][qubits[0]] = np.exp(log_factor)
            elif (number := couplers.number[qubits]) >= 0:
                found[kind][[number, couplers.reverse[number]]] = np.exp(log_factor)
        return cls(**found)


def _on(gate: str, places: Index, snapshot: Snapshot, size: int) -> Array:
    """Errors of a gate by qubit or coupler; 0 where the device reports none of this gate at all."""
    errors = np.full(size, DEAD)
    columns = snapshot.layout.of_gates
    errors[_numbers(places, snapshot.layout.couplers)] = (
        0.0 if gate not in snapshot.layout.gates_with_errors else DEAD
    )
    for name in (Quantity.GATE_ERROR, Quantity.OPERATIONAL):
        if (name.value, gate) not in columns:
            continue
        places, rows = columns[name.value, gate]
        at = _numbers(places, snapshot.layout.couplers)
        if name is Quantity.GATE_ERROR:
            errors[at] = np.clip(np.nan_to_num(snapshot.values[rows], nan=DEAD), 0.0, DEAD)
        else:
            errors[at[snapshot.values[rows] == 0.0]] = DEAD
    return errors


def _numbers(places: Index, couplers: Couplers) -> Index:
    """Of qubits or couplers."""
    if places.shape[1] == 1:
        return places[:, 0]
    return couplers.number[places[:, 0], places[:, 1]].astype(np.intp)


def _either_way(errors: Array, turns: Flags, couplers: Couplers) -> tuple[Array, Flags]:
    """Errors where a gate that does not work one way is applied the other way, and where it is."""
    backward = errors[couplers.reverse]
    turned = (errors >= DEAD) & (backward < DEAD) & turns
    return np.where(turned, backward, errors), turned


def _rotation(one_qubit: Mapping[str, Array], snapshot: Snapshot) -> Array:
    best: Array = np.full(snapshot.num_qubits, DEAD)
    for gate, errors in one_qubit.items():
        takes_time = np.full(snapshot.num_qubits, gate != "reset")
        if (Quantity.GATE_DURATION_S.value, gate) in snapshot.layout.of_gates:
            places, rows = snapshot.layout.of_gates[Quantity.GATE_DURATION_S.value, gate]
            takes_time[places[:, 0]] &= snapshot.values[rows] > 0.0
        best = np.where(takes_time, np.minimum(best, errors), best)
    return best


def _readout(snapshot: Snapshot) -> Array:
    reported = snapshot.readout_per_qubit()
    silent = np.isnan(reported)
    errors = np.where(silent, 0.0 if silent.all() else DEAD, reported)
    key = (Quantity.OPERATIONAL.value, "measure")
    if key in snapshot.layout.of_gates:
        places, rows = snapshot.layout.of_gates[key]
        errors[places[:, 0][snapshot.values[rows] == 0.0]] = DEAD
    return np.clip(errors, 0.0, DEAD)


def _times(errors: Array, factors: Array) -> Array:
    """What works keeps working, however much worse than calibrated it is."""
    return np.where(errors >= DEAD, DEAD, np.minimum(errors * factors, 0.999_999))
