"""How good late placements are, day after day, beside compiling anew and beside other tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from multiprocessing import get_context

import numpy as np

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import FAMILIES, WIDTHS
from benchmarks.binding_drift import DriftingDevice
from benchmarks.binding_peers import SEEDS, Placed, level3, mapomatic, target_of, vf2_post_layout
from benchmarks.binding_product import Figures
from benchmarks.report import RESAMPLES, Interval, Report
from calibration.binding import Binder, Bound
from calibration.portfolio import Portfolio, compile_portfolio
from store.snapshot import Snapshot

DEVICES = ("FakeKolkata", "FakeSherbrooke", "FakeFez")  # CX, ECR, CZ
DAYS, QUICK_DAYS = 30, 2
MAPOMATIC_EVERY = 6  # days; it takes up to a minute for a circuit
MAPOMATIC_WIDEST = 8
LOST = 0.02  # nats: a case that is printed
PROCESSES = 2
SUFFIX = {
    "level3": "vs_level3",
    "vf2post": "vs_vf2post",
    "kept+vf2post": "vs_first_compile_moved_by_vf2post",
    "mapomatic": "vs_mapomatic",
    "yesterday": "vs_yesterday",
    "first day": "vs_first_day",
}
HEADLINES = {"level3", "vf2post"}


@dataclass(frozen=True)
class Case:
    """One circuit on one day: what our placement is worth, and what each peer's is.

    Attributes:
        claimed: Log fidelity that our binding states.
    """

    family: str
    device: str
    width: int
    day: int
    ours: Figures
    claimed: float
    peers: dict[str, Figures] = field(default_factory=dict)

    def gain(self, peer: str, kind: str) -> float:
        """Nats above the peer."""
        return float(getattr(self.ours, kind) - getattr(self.peers[peer], kind))


def measure_quality(report: Report, *, quick: bool, seed: int) -> None:
    """A row a peer, family and device, and the smallest mean of all under the plain name."""
    days = QUICK_DAYS if quick else DAYS
    jobs = list(product(DEVICES[:2] if quick else DEVICES, FAMILIES))
    context = get_context("spawn")  # numerical libraries do not survive a fork
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        found = pool.map(_study, *zip(*jobs, strict=True), [days] * len(jobs), [seed] * len(jobs))
        cases = [case for part in found for case in part]
    add_gains(cases, report, seed)
    add_lost(cases, report)


def _study(device: str, family: str, days: int, seed: int) -> list[Case]:
    """All days of one family on one device; a day is for one width, in turns."""
    first = read_snapshot(device)
    snapshots = DriftingDevice(first, seed).days(days + 1)
    study = Study(first, family)
    return [study.case(day, snapshots) for day in range(1, days + 1)]


class Study:
    """One family on one device."""

    def __init__(self, first: Snapshot, family: str) -> None:
        self.first, self.family = first, family
        self.topology = topology_target(first, control_flow=())
        self.binder = Binder((*first.gates, "measure", "delay"))
        self._compiled: dict[int, Portfolio] = {}
        self._kept: dict[int, Placed] = {}

    def case(self, day: int, snapshots: Sequence[Snapshot]) -> Case:
        """Today's placements, all judged by today's snapshot."""
        width = WIDTHS[day % len(WIDTHS)]
        today, circuit = snapshots[day], FAMILIES[self.family](width)
        target = target_of(today)
        fresh = level3(circuit, target)
        figures = [one.judged(today) for one in fresh]
        best = fresh[int(np.argmax([one.errors for one in figures]))]
        kept = self._kept.setdefault(width, best)
        peers = {
            # The best seed by each figure, as if known beforehand.
            "level3": Figures(
                max(one.errors for one in figures), max(one.with_idle for one in figures)
            ),
            "vf2post": vf2_post_layout(best, target).judged(today),
            "kept+vf2post": vf2_post_layout(kept, target).judged(today),
            "yesterday": self._bound(width, snapshots[day - 1]).judged(today),
            "first day": self._bound(width, snapshots[0]).judged(today),
        }
        if day % MAPOMATIC_EVERY == 1 and self._mapomatic_is_fast(width):
            peers["mapomatic"] = mapomatic(best, target).judged(today)
        ours, device = self._bound(width, today), self.first.device
        claimed = self._bind(width, today).binding.log_fidelity or 0.0
        return Case(self.family, device, width, day, ours.judged(today), claimed, peers)

    def _bind(self, width: int, snapshot: Snapshot) -> Bound:
        if width not in self._compiled:
            circuit = FAMILIES[self.family](width)
            self._compiled[width] = compile_portfolio(circuit, self.topology, seeds=SEEDS)
        return self.binder.bind(self._compiled[width], snapshot)

    def _bound(self, width: int, snapshot: Snapshot) -> Placed:
        bound = self._bind(width, snapshot)
        return Placed(bound.circuit, bound.binding.physical_qubits)

    def _mapomatic_is_fast(self, width: int) -> bool:
        return self.first.num_qubits < 50 or width <= MAPOMATIC_WIDEST


def add_gains(cases: Sequence[Case], report: Report, seed: int) -> None:
    """Waits between instructions count, as they do in the scheduled circuit; beside it without.

    A row a family and device for the peers that compile anew, a row a family for the others.
    """
    for peer, suffix in SUFFIX.items():
        groups: dict[str, list[Case]] = {}
        for case in cases:
            if peer in case.peers:
                name = f"{case.family}, {case.device}" if peer in HEADLINES else case.family
                groups.setdefault(name, []).append(case)
        _add_peer(groups, peer, f"log_fidelity_gain_{suffix}", report, seed)
    differences = [abs(case.claimed - case.ours.with_idle) for case in cases]
    report.add(
        "claimed_minus_judged_log_fidelity",
        max(differences),
        "nats",
        note=f"largest of {len(cases)}; mean {np.mean(differences):.2g}; what the binding says of "
        "itself beside the independent product, waits counted",
    )


def _add_peer(
    groups: Mapping[str, Sequence[Case]], peer: str, metric: str, report: Report, seed: int
) -> None:
    means: dict[str, tuple[Interval, Interval]] = {}
    for name, cases in groups.items():
        counted, uncounted = (
            paired_mean([case.gain(peer, kind) for case in cases], seed)
            for kind in ("with_idle", "errors")
        )
        means[name] = counted, uncounted
        note = f"{counted}; without waits {_told(uncounted)}; {len(cases)} days"
        report.add(
            f"{metric}: {name}", counted.value, "nats", better="higher", peer=peer, note=note
        )
    aim = 0.0 if peer in HEADLINES else None
    for index, label in enumerate(("", "_without_waits")):
        worst = min(means, key=lambda name: means[name][index].value)
        interval = means[worst][index]
        overall = np.mean([both[index].value for both in means.values()])
        note = f"smallest of {len(means)} means: {worst}; {interval}; mean of all {overall:+.4f}"
        report.add(
            f"{metric}{label}",
            interval.value,
            "nats",
            aim=None if label else aim,
            better="higher",
            peer=peer,
            note=note,
        )


def _told(interval: Interval) -> str:
    return f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def add_lost(cases: Iterable[Case], report: Report) -> None:
    """Every single day on which a peer that compiles anew was clearly better."""
    for case in sorted(cases, key=lambda case: case.gain("vf2post", "with_idle")):
        for peer in ("level3", "vf2post"):
            gain = case.gain(peer, "with_idle")
            if gain < -LOST:
                report.add(
                    f"lost: {case.family}-{case.width}, {case.device}, day {case.day}",
                    gain,
                    "nats",
                    better="higher",
                    peer=peer,
                    note=f"{case.gain(peer, 'errors'):+.3f} without waits",
                )


def paired_mean(gains: Sequence[float], seed: int) -> Interval:
    """Mean of paired differences with a bootstrap over the days, shape ``(days,)``."""
    data = np.array(gains)
    drawn = data[np.random.default_rng(seed).integers(len(data), size=(RESAMPLES, len(data)))]
    low, high = np.percentile(drawn.mean(axis=1), [2.5, 97.5])
    return Interval(float(data.mean()), float(low), float(high))
