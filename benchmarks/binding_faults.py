"""Faults that are put into a calibration, and whether a binding is then seen to be stale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import brickwork, chain, ghz, qaoa
from benchmarks.binding_drift import DriftingDevice, with_values
from benchmarks.binding_latency import binder_of
from benchmarks.binding_product import judge
from benchmarks.report import Report
from calibration.binding import Binder, Bound
from calibration.portfolio import Portfolio, compile_portfolio
from calibration.staleness import assess
from qcpaas.binding import BindingPolicy
from qcpaas.calibration import Quantity
from store.snapshot import Key, Snapshot

DEVICES = ("FakeKolkata", "FakeSherbrooke", "FakeFez")
CIRCUITS = (partial(chain, 8), partial(brickwork, 12), partial(qaoa, 8), partial(ghz, 12))
KINDS = ("coupler x10", "coupler dead", "gates x20", "readout 0.3", "T1 and T2 at 2 us")
MILD = (0.05, 0.15, 0.35)  # spread of the drift from one snapshot to the next
WORTH = 0.005  # nats: a new placement that promises less more was not worth it


@dataclass(frozen=True, eq=False)
class Scene:
    """A circuit bound to a device."""

    portfolio: Portfolio
    binder: Binder
    bound: Bound
    then: Snapshot

    @classmethod
    def of(cls, portfolio: Portfolio, binder: Binder, then: Snapshot) -> Scene:
        return cls(portfolio, binder, binder.bind(portfolio, then), then)

    def worth(self, snapshot: Snapshot, bound: Bound | None = None) -> float:
        """Log fidelity by the independent product, waits counted."""
        placed = bound or self.bound
        return judge(placed.circuit, placed.binding.physical_qubits, snapshot).with_idle

    def stale(self, now: Snapshot, policy: BindingPolicy) -> bool:
        return assess(
            self.binder.placer,
            self.portfolio,
            self.bound.binding,
            then=self.then,
            now=now,
            policy=policy,
            circuit=self.bound.circuit,
        ).stale


def measure_staleness(report: Report, *, quick: bool, seed: int) -> None:
    """Faults on used and unused elements, and mild drift; judged by the independent product."""
    policy, rng = BindingPolicy(), np.random.default_rng(seed)
    names = DEVICES[:1] if quick else DEVICES
    scenes = [scene for name in names for scene in _scenes(read_snapshot(name))]
    _add_faults(report, scenes, policy, 1 if quick else 3, rng)
    for spread in MILD:
        _add_drift(report, scenes, policy, spread=spread, count=5 if quick else 30, seed=seed)


def _scenes(first: Snapshot) -> Iterator[Scene]:
    target, binder = topology_target(first, control_flow=()), binder_of(first)
    for make in CIRCUITS:
        yield Scene.of(compile_portfolio(make(), target), binder, first)


def _add_faults(
    report: Report,
    scenes: list[Scene],
    policy: BindingPolicy,
    repeats: int,
    rng: np.random.Generator,
) -> None:
    missed, harmful, harmless, wrong, unused = 0, 0, 0, 0, 0
    for scene in scenes:
        for kind in KINDS * repeats:
            now = with_values(scene.then, fault(scene, kind, rng, used=True))
            lost = scene.worth(scene.then) - scene.worth(now)
            # One element fell: what the circuit lost is what the element lost.
            if lost > 1.05 * policy.max_element_change:
                harmful += 1
                missed += not scene.stale(now, policy)
            else:
                harmless += 1
            now = with_values(scene.then, fault(scene, kind, rng, used=False))
            unused += 1
            wrong += scene.stale(now, policy)
    note = (
        f"of {harmful} faults that cost more than {policy.max_element_change:g} nats by the "
        f"independent product ({harmless} more cost less); {', '.join(KINDS)}"
    )
    report.add("missed_stale", missed, "count", aim=0, better="equal", note=note)
    note = f"of {unused} faults on elements that the circuit does not use"
    report.add("stale_by_unused_fault", wrong, "count", aim=0, better="equal", note=note)


def _add_drift(
    report: Report,
    scenes: list[Scene],
    policy: BindingPolicy,
    *,
    spread: float,
    count: int,
    seed: int,
) -> None:
    stale, needless, missed, gains = 0, 0, 0, []
    total = len(scenes) * count
    for scene in scenes:
        days = DriftingDevice(scene.then, seed, spread).days(count + 1)
        for then, now in pairwise(days):
            moved = Scene.of(scene.portfolio, scene.binder, then)
            again = scene.binder.bind(scene.portfolio, now)
            gain = moved.worth(now, again) - moved.worth(now)
            if moved.stale(now, policy):
                stale += 1
                gains.append(gain)
                needless += gain < WORTH
            else:
                missed += gain > policy.min_gain + WORTH
    told = f"drift of {100 * spread:.0f} % from snapshot to snapshot"
    suffix = f"_drift_{100 * spread:.0f}"
    share = f"{100 * stale / total:.0f} % of {total} bindings were stale"
    mean = f"; where stale, binding anew gains {np.mean(gains):.3f} nats" if gains else ""
    name = "needless_rebinds" if spread == MILD[0] else f"needless_rebinds{suffix}"
    report.add(
        name,
        needless / total,
        "share",
        note=f"{told}; {share}{mean}; needless below {WORTH:g} nats",
    )
    report.add(
        f"missed_better_placements{suffix}",
        missed,
        "count",
        note=f"{told}; not stale, though more than {policy.min_gain + WORTH:g} nats were to gain",
    )


def fault(
    scene: Scene, kind: str, rng: np.random.Generator, *, used: bool
) -> list[tuple[Key, float]]:
    """New values of one element that the bound circuit uses, or of one that it does not."""
    physical = scene.bound.binding.physical_qubits
    couplers = {
        tuple(sorted((physical[first], physical[second])))
        for first, second, _ in scene.bound.template.interactions
    }
    snapshot = scene.then
    if kind.startswith("coupler"):
        rows = [
            key
            for key in snapshot.keys
            if key[0] == Quantity.GATE_ERROR
            and len(key[2]) == 2
            and (tuple(sorted(key[2])) in couplers) == used
            and (used or not set(key[2]) & set(physical))
        ]
        pair = sorted(rows[int(rng.integers(len(rows)))][2])
        factor = 10.0 if kind.endswith("x10") else np.inf
        return [
            (key, float(min(1.0, snapshot.values[snapshot.index[key]] * factor)))
            for key in rows
            if sorted(key[2]) == pair
        ]
    there = sorted(physical) if used else sorted(set(range(snapshot.num_qubits)) - set(physical))
    return list(_of_qubit(snapshot, int(rng.choice(there)), kind))


def _of_qubit(snapshot: Snapshot, qubit: int, kind: str) -> Iterator[tuple[Key, float]]:
    for key, row in snapshot.index.items():
        name, _, qubits = key
        if qubits != (qubit,):
            continue
        value = float(snapshot.values[row])
        if kind.startswith("gates") and name == Quantity.GATE_ERROR:
            yield key, min(0.5, 20 * value)
        elif kind.startswith("readout") and name in {Quantity.READOUT_P10, Quantity.READOUT_P01}:
            yield key, 0.3
        elif kind.startswith("T1") and name in {Quantity.T1_S, Quantity.T2_S}:
            yield key, 2e-6
