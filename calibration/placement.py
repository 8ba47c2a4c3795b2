"""Where to run: every placement of a template on the device, scored by the newest calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adapters.target import gate_error, is_usable
from calibration.elements import NO_CORRECTIONS, Corrections, Element, Kind
from calibration.embedding import Embeddings, Part, Rows
from calibration.portfolio import Portfolio
from calibration.template import Template
from calibration.workload import Workload, workload_of
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.snapshot import Snapshot

DEAD = 1.0 - 1e-9  # error of what is out of order, or of what was not reported where others were
BEAM = 8  # partial placements kept while a template's parts are laid one after the other

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DeviceErrors:
    """A snapshot as arrays over the device's ``n`` qubits.

    Attributes:
        two_qubit: Error of the best gate of each pair in its better direction, shape ``(n, n)``;
            `DEAD` where the pair is not coupled or out of order.
        by_gate: The same for each 2-qubit gate by itself.
        one_qubit: Error of a physical 1-qubit gate, shape ``(n,)``.
        readout: Mean assignment error, shape ``(n,)``.
        t1_s, t2_s: Shape ``(n,)``, NaN where not reported.
        operational: Shape ``(n,)``.
        idle: How much faster than T1 and T2 say a waiting qubit decays, shape ``(n,)``.
    """

    two_qubit: Array
    by_gate: dict[str, Array]
    one_qubit: Array
    readout: Array
    t1_s: Array
    t2_s: Array
    operational: NDArray[np.bool_]
    idle: Array

    @classmethod
    def of(cls, snapshot: Snapshot, corrections: Corrections = NO_CORRECTIONS) -> DeviceErrors:
        """What is learnt of an element multiplies its calibrated error."""
        return cls._calibrated(snapshot)._corrected(corrections)

    @classmethod
    def _calibrated(cls, snapshot: Snapshot) -> DeviceErrors:
        n = snapshot.num_qubits
        operational = snapshot.per_qubit(Quantity.OPERATIONAL) != 0.0
        readout = np.nan_to_num(snapshot.readout_per_qubit(), nan=DEAD)
        by_gate = {
            gate: _pair_errors(snapshot, gate)
            for gate, places in snapshot.gates.items()
            if any(len(qubits) == 2 for qubits in places)
        }
        return cls(
            two_qubit=np.min([np.full((n, n), DEAD), *by_gate.values()], axis=0),
            by_gate=by_gate,
            one_qubit=_one_qubit_errors(snapshot),
            readout=np.where(operational, np.minimum(readout, DEAD), DEAD),
            t1_s=snapshot.per_qubit(Quantity.T1_S),
            t2_s=snapshot.t2_per_qubit(),
            operational=operational,
            idle=np.ones(n),
        )

    def _corrected(self, corrections: Corrections) -> DeviceErrors:
        pairs = np.ones_like(self.two_qubit)
        alone = {kind: np.ones(len(pairs)) for kind in ("one_qubit", "readout", "idle")}
        for (kind, qubits), log_factor in corrections.log_factors.items():
            if kind == "two_qubit":
                pairs[qubits] = pairs[qubits[::-1]] = np.exp(log_factor)
            else:
                alone[kind][qubits] = np.exp(log_factor)
        return replace(
            self,
            two_qubit=_times(self.two_qubit, pairs),
            by_gate={gate: _times(errors, pairs) for gate, errors in self.by_gate.items()},
            one_qubit=_times(self.one_qubit, alone["one_qubit"]),
            readout=_times(self.readout, alone["readout"]),
            idle=alone["idle"],
        )


@dataclass(frozen=True)
class Placement:
    """Where one of a portfolio's templates runs.

    Attributes:
        template: Index into the portfolio.
        log_fidelity: Natural log of the expected success probability there.
        considered: Placements scored, over all templates.
        complete: Every placement was scored, not only those that a beam search came by.
        runner_up: Log fidelity of the best placement that uses other qubits or couplers.
    """

    template: int
    physical_qubits: tuple[int, ...]
    log_fidelity: float
    considered: int
    complete: bool = True
    runner_up: float | None = None


class Placer:
    """Chooses placements; keeps embeddings by topology and the errors of the last snapshot."""

    def __init__(self, embeddings: Embeddings | None = None) -> None:
        self.embeddings = Embeddings() if embeddings is None else embeddings
        self._errors: tuple[tuple[object, ...], DeviceErrors] | None = None

    def choose(
        self,
        portfolio: Portfolio,
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
    ) -> Placement:
        """The placement with the highest expected success probability.

        The best of all for a connected circuit; parts that do not interact are laid one after
        the other, largest first.

        Raises:
            CalibrationError: Every placement needs something that is out of order.
        """
        errors = self.errors_of(snapshot, corrections)
        placed = [
            self._place(index, template, snapshot, errors)
            for index, template in enumerate(portfolio.templates)
        ]
        best = max(placed, key=lambda placement: placement.log_fidelity)
        _refuse_dead(best.physical_qubits, portfolio.templates[best.template], snapshot, errors)
        return replace(best, considered=sum(placement.considered for placement in placed))

    def _place(
        self, index: int, template: Template, snapshot: Snapshot, errors: DeviceErrors
    ) -> Placement:
        workload = workload_of(template, snapshot)
        parts = self.embeddings.parts(template, snapshot)
        scored = [(part, score(part, template, workload, errors)) for part in parts]
        placement = _lay(scored, len(template.home), snapshot.num_qubits)
        if placement is None:  # the parts got into each other's way: at home they do not
            home = sum(float(scores[0]) for _, scores in scored)
            placement = Placement(index, template.home, home, 1)
        return replace(placement, template=index)

    def value(
        self,
        template: Template,
        physical_qubits: Sequence[int],
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
    ) -> float:
        """Log of the expected success probability of one placement."""
        return sum(self.contributions(template, physical_qubits, snapshot, corrections).values())

    def contributions(
        self,
        template: Template,
        physical_qubits: Sequence[int],
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
    ) -> dict[Element, float]:
        """What each element adds to `value`, nats, none above 0."""
        errors = self.errors_of(snapshot, corrections)
        workload = workload_of(template, snapshot)
        found: dict[Element, float] = {}

        def add(kind: Kind, qubits: tuple[int, ...], nats: float) -> None:
            if nats:
                found[Element(kind, qubits)] = found.get(Element(kind, qubits), 0.0) + float(nats)

        for qubit, place in enumerate(physical_qubits):
            gates, reads = workload.one_qubit_gates[qubit], workload.measured[qubit]
            add("one_qubit", (place,), gates * np.log1p(-errors.one_qubit[place]))
            add("readout", (place,), reads * np.log1p(-errors.readout[place]))
            idle = _log_idle_fidelity(workload.idle_s[qubit], errors)
            add("idle", (place,), idle[place])
        for (first, second, gate), count in template.interactions.items():
            pair = tuple(sorted((physical_qubits[first], physical_qubits[second])))
            error = errors.by_gate.get(gate, errors.two_qubit)[pair]
            add("two_qubit", pair, count * np.log1p(-error))
        return found

    def errors_of(
        self, snapshot: Snapshot, corrections: Corrections = NO_CORRECTIONS
    ) -> DeviceErrors:
        key = (snapshot.content_id, corrections.version, id(corrections))
        if self._errors is None or self._errors[0] != key:
            self._errors = (key, DeviceErrors.of(snapshot, corrections))
        return self._errors[1]


def _times(errors: Array, factors: Array) -> Array:
    return np.where(errors >= DEAD, DEAD, np.minimum(errors * factors, DEAD))


def score(part: Part, template: Template, workload: Workload, errors: DeviceErrors) -> Array:
    """Log of the expected success probability of every placement of a part, shape ``(m,)``."""
    total = np.zeros(len(part.rows))
    places = dict(zip(part.qubits, np.ascontiguousarray(part.rows.T), strict=True))
    log_one_qubit, log_readout = np.log1p(-errors.one_qubit), np.log1p(-errors.readout)
    for qubit, place in places.items():
        alone = (
            workload.one_qubit_gates[qubit] * log_one_qubit
            + workload.measured[qubit] * log_readout
            + _log_idle_fidelity(workload.idle_s[qubit], errors)
        )
        total += alone[place]
    for (first, second, gate), count in template.interactions.items():
        if first in places:
            error = errors.by_gate.get(gate, errors.two_qubit)
            total += (count * np.log1p(-error))[places[first], places[second]]
    return total


def _lay(scored: list[tuple[Part, Array]], width: int, num_qubits: int) -> Placement | None:
    """Parts beside each other without overlap, by beam search; ``None`` where they do not fit."""
    beam = [(0.0, np.empty(width, np.int16), np.zeros(num_qubits, bool))]
    for part, scores in scored:
        longer: list[tuple[float, Rows, NDArray[np.bool_]]] = []
        for so_far, placed, taken in beam:
            free = np.flatnonzero(~taken[part.rows].any(axis=1))
            for row in _best(scores, free):
                chosen, used = placed.copy(), taken.copy()
                chosen[list(part.qubits)] = part.rows[row]
                used[part.rows[row]] = True
                longer.append((so_far + float(scores[row]), chosen, used))
        beam = sorted(longer, key=lambda partial: -partial[0])[:BEAM]
    if not beam:
        return None
    log_fidelity, chosen, _ = beam[0]
    considered = sum(len(part.rows) for part, _ in scored)
    return Placement(0, tuple(map(int, chosen)), log_fidelity, considered)


def _best(scores: Array, among: NDArray[np.intp]) -> NDArray[np.intp]:
    """The `BEAM` best rows, best first; of equal ones the earlier."""
    if len(among) > BEAM:
        worst_kept = np.partition(scores[among], -BEAM)[-BEAM]
        among = among[scores[among] >= worst_kept]
    return among[np.argsort(-scores[among], kind="stable")[:BEAM]]


def _refuse_dead(
    chosen: tuple[int, ...], template: Template, snapshot: Snapshot, errors: DeviceErrors
) -> None:
    dead_gate = any(
        errors.by_gate.get(gate, errors.two_qubit)[chosen[first], chosen[second]] >= DEAD
        for first, second, gate in template.interactions
    )
    if dead_gate or not errors.operational[list(chosen)].all():
        raise CalibrationError(
            f"{snapshot.device}: every placement of this circuit needs a qubit or coupler that is "
            f"out of order in snapshot {snapshot.content_id}. Choose another device."
        )


def _pair_errors(snapshot: Snapshot, gate: str) -> Array:
    n = snapshot.num_qubits
    errors = np.full((n, n), DEAD)
    for qubits in snapshot.gates[gate]:
        if len(qubits) == 2:
            first, second = qubits
            better = min(_error(snapshot, gate, qubits), errors[first, second])
            errors[first, second] = errors[second, first] = better
    return errors


def _one_qubit_errors(snapshot: Snapshot) -> Array:
    errors = np.full(snapshot.num_qubits, DEAD)
    for gate, places in snapshot.gates.items():
        for qubits in places:
            if len(qubits) == 1 and not _is_virtual(snapshot, gate, qubits):
                errors[qubits[0]] = min(_error(snapshot, gate, qubits), errors[qubits[0]])
    return errors


def _error(snapshot: Snapshot, gate: str, qubits: tuple[int, ...]) -> float:
    """`DEAD` where the gate does not work; 0 where the device reports none of this gate at all."""
    if not is_usable(snapshot, gate, qubits):
        return DEAD
    return min(gate_error(snapshot, gate, qubits) or 0.0, DEAD)


def _is_virtual(snapshot: Snapshot, gate: str, qubits: tuple[int, ...]) -> bool:
    return snapshot.get(Quantity.GATE_DURATION_S, *qubits, gate=gate) == 0.0 or gate == "reset"


def _log_idle_fidelity(idle_s: float, errors: DeviceErrors) -> Array:
    """Average gate fidelity of amplitude and phase damping over an idle time, for each qubit."""
    t1 = np.nan_to_num(errors.t1_s, nan=np.inf)
    t2 = np.nan_to_num(errors.t2_s, nan=np.inf)
    fidelity: Array = 0.5 + np.exp(-idle_s / t1) / 6 + np.exp(-idle_s / t2) / 3
    return np.log(fidelity) * errors.idle
