"""Where to run: every placement of every routing, scored by the newest calibration."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.arrangement import Candidates, candidates
from calibration.device_errors import DEAD, DeviceErrors
from calibration.durations import Durations
from calibration.elements import NO_CORRECTIONS, Corrections, Element, Kind
from calibration.embedding import Embeddings
from calibration.portfolio import Portfolio
from calibration.scores import OUT_OF_ORDER, Device, Losses, Scorer
from calibration.template import Template
from qcpaas.errors import CalibrationError
from store.layout import Layout
from store.snapshot import Snapshot

__all__ = ["DEAD", "DeviceErrors", "Placement", "Placer"]

FINALISTS = 64  # scored again with their own durations
KEPT_SCORERS = 256
KEPT_DEVICES = 4
ROUNDING = 12  # decimals of a nat: placements that differ by less are equal, and the first wins

Array = NDArray[np.float64]
Index = NDArray[np.intp]
_View = tuple[str, int, frozenset[int]]


@dataclass(frozen=True)
class Placement:
    """Where one of a portfolio's templates runs.

    Attributes:
        template: Index into the portfolio.
        log_fidelity: Natural log of the expected success probability there.
        considered: Placements scored, over all templates.
        complete: Every placement was scored, not only those that a search came by.
        runner_up: Log fidelity of the best placement that uses other qubits or couplers.
    """

    template: int
    physical_qubits: tuple[int, ...]
    log_fidelity: float
    considered: int
    complete: bool = True
    runner_up: float | None = None


class Placer:
    """Chooses placements; remembers where templates fit and the errors of the newest snapshots.

    Args:
        embeddings: Where patterns fit; with a cache, shared by processes.
    """

    def __init__(self, embeddings: Embeddings | None = None) -> None:
        self.embeddings = Embeddings() if embeddings is None else embeddings
        self._scorers: OrderedDict[tuple[Template, tuple[str, ...]], Scorer] = OrderedDict()
        self._durations: tuple[Layout, Array, Durations] | None = None
        self._devices: OrderedDict[_View, tuple[Corrections, Device]] = OrderedDict()

    def choose(
        self,
        portfolio: Portfolio,
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
        taken: frozenset[int] = frozenset(),
    ) -> Placement:
        """The placement with the highest expected success probability.

        All placements are scored with typical durations, the best of them again with their own.

        Args:
            taken: Device qubits that are not to be used.

        Raises:
            CalibrationError: Every placement needs something that is out of order, or taken.
        """
        device = self._device(snapshot, corrections, taken)
        found = [
            candidates(self._scorer(template, snapshot), self.embeddings, device, FINALISTS)
            for template in portfolio.templates
        ]
        finalists = _finalists(found)
        for group in finalists:
            scorer = self._scorer(portfolio.templates[group.template], snapshot)
            losses = scorer.losses(group.rows, device, device.ranking)
            down = ~device.errors.operational[group.rows].all(axis=0)
            group.values = (losses.total + OUT_OF_ORDER * down).round(ROUNDING)
        return _best(finalists, found, snapshot, taken)

    def value(
        self,
        template: Template,
        physical_qubits: Sequence[int],
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
    ) -> float:
        """Log of the expected success probability of one placement.

        What is out of order costs the logarithm of 1 - `DEAD` each time that it is used.
        """
        return float(self._losses(template, physical_qubits, snapshot, corrections).total[0])

    def duration_s(
        self, template: Template, physical_qubits: Sequence[int], snapshot: Snapshot
    ) -> float:
        """Of the whole circuit at one placement, by its longest path, in seconds."""
        rows = np.array(physical_qubits, dtype=np.intp)[:, None]
        return self._scorer(template, snapshot).duration_s(rows, self._durations_of(snapshot))

    def contributions(
        self,
        template: Template,
        physical_qubits: Sequence[int],
        snapshot: Snapshot,
        corrections: Corrections = NO_CORRECTIONS,
    ) -> dict[Element, float]:
        """What each element adds to `value`, in nats."""
        losses = self._losses(template, physical_qubits, snapshot, corrections)
        found: dict[Element, float] = {}

        def add(kind: Kind, qubits: tuple[int, ...], nats: float) -> None:
            if nats:
                element = Element(kind, qubits)
                found[element] = found.get(element, 0.0) + nats

        kinds: tuple[tuple[Kind, Array], ...] = (
            ("one_qubit", losses.one_qubit),
            ("readout", losses.readout),
            ("idle", losses.idle),
        )
        for kind, column in kinds:
            for place, nats in zip(physical_qubits, column[:, 0].tolist(), strict=True):
                add(kind, (int(place),), nats)
        pairs = zip(template.interactions, losses.two_qubit[:, 0].tolist(), strict=True)
        for (first, second, _), nats in pairs:
            low, high = sorted((int(physical_qubits[first]), int(physical_qubits[second])))
            add("two_qubit", (low, high), nats)
        return found

    def _losses(
        self,
        template: Template,
        physical_qubits: Sequence[int],
        snapshot: Snapshot,
        corrections: Corrections,
    ) -> Losses:
        rows = np.array(physical_qubits, dtype=np.intp)[:, None]
        device = self._device(snapshot, corrections)
        return self._scorer(template, snapshot).losses(rows, device, device.logs)

    def _scorer(self, template: Template, snapshot: Snapshot) -> Scorer:
        key = (template, tuple(snapshot.gates))
        if key not in self._scorers:
            self._scorers[key] = Scorer(template, key[1])
            if len(self._scorers) > KEPT_SCORERS:
                self._scorers.popitem(last=False)
        self._scorers.move_to_end(key)
        return self._scorers[key]

    def _device(
        self,
        snapshot: Snapshot,
        corrections: Corrections,
        taken: frozenset[int] = frozenset(),
    ) -> Device:
        # The corrections themselves are kept with the answer, so that no others get their id.
        key = (snapshot.content_id, id(corrections), taken)
        if key not in self._devices:
            errors = DeviceErrors.of(snapshot, corrections).without(taken)
            self._devices[key] = (corrections, Device(errors, self._durations_of(snapshot)))
            if len(self._devices) > KEPT_DEVICES:
                self._devices.popitem(last=False)
        self._devices.move_to_end(key)
        return self._devices[key][1]

    def _durations_of(self, snapshot: Snapshot) -> Durations:
        """The last ones where they have not changed, as they hardly ever do."""
        layout, rows = snapshot.layout, snapshot.layout.of_durations
        values = snapshot.values[rows]
        if self._durations is not None:
            same, before, durations = self._durations
            if same is layout and np.array_equal(before, values):
                return durations
        durations = Durations.of(snapshot)
        self._durations = (layout, values, durations)
        return durations


@dataclass(eq=False)
class _Group:
    """Placements of one template, shape ``(k, m)``, and what they are worth, shape ``(m,)``."""

    template: int
    rows: Index
    values: Array


def _finalists(found: Sequence[Candidates]) -> list[_Group]:
    """The most promising over all templates, and where each template was routed."""
    everything = np.concatenate([each.scores for each in found])
    least = np.sort(everything)[-FINALISTS:][0]
    groups = []
    for number, each in enumerate(found):
        chosen = each.scores >= least
        chosen[0] = True  # where it was routed
        groups.append(_Group(number, each.rows[:, chosen], each.scores[chosen]))
    return groups


def _best(
    finalists: Sequence[_Group],
    found: Sequence[Candidates],
    snapshot: Snapshot,
    taken: frozenset[int],
) -> Placement:
    ranked = sorted(
        (-value, group.template, place)
        for group in finalists
        for place, value in enumerate(group.values.tolist())
    )
    worth, template, place = ranked[0]
    if -worth < OUT_OF_ORDER / 2:
        if taken:
            raise CalibrationError(
                f"{snapshot.device}: this circuit fits nowhere beside others that have, or border "
                f"on, {len(taken)} qubits. Run it by itself."
            )
        raise CalibrationError(
            f"{snapshot.device}: every placement of this circuit needs a qubit or coupler that is "
            f"out of order in snapshot {snapshot.content_id}. Choose another device."
        )
    winner = found[template].used(finalists[template].rows[:, place])
    others = (
        -value
        for value, number, other in ranked
        if found[number].used(finalists[number].rows[:, other]) != winner
    )
    runner_up = next(others, None)
    return Placement(
        template=template,
        physical_qubits=tuple(finalists[template].rows[:, place].tolist()),
        log_fidelity=-worth,
        considered=sum(each.considered for each in found),
        complete=all(each.complete for each in found),
        runner_up=runner_up if runner_up is None or runner_up > OUT_OF_ORDER / 2 else None,
    )
