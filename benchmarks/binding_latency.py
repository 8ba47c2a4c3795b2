"""How long a late placement takes: bound and ready to submit, beside compiling anew."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import chain, qaoa
from benchmarks.binding_drift import DriftingDevice
from benchmarks.binding_peers import target_of
from benchmarks.report import Report, median, ratio_of_sums
from calibration.binding import Binder, bind_experiment
from calibration.portfolio import Portfolio, compile_portfolio
from qcpaas.execution import Experiment
from store.calibrations import Calibrations
from store.database import open_store
from store.snapshot import Snapshot

SETS = 100  # of parameters in a PUB
EVERY = 100  # iterations from one change of the calibration to the next, where it is shared out
SETTINGS = (
    ("", chain, "FakeSherbrooke", "ECR"),
    ("_cx", chain, "FakeWashington", "CX"),
    ("_routed", qaoa, "FakeSherbrooke", "ECR, routed QAOA"),
)


@dataclass(eq=False)
class Loop:
    """A compiled circuit, its values, and a device that drifts."""

    circuit: QuantumCircuit
    portfolio: Portfolio
    binder: Binder
    days: list[Snapshot]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, make: Callable[[int], QuantumCircuit], device: str, days: int, seed: int) -> Loop:
        circuit, first = make(20), read_snapshot(device)
        portfolio = compile_portfolio(circuit, topology_target(first))
        values = np.random.default_rng(seed).uniform(-3, 3, (SETS, circuit.num_parameters))
        drifting = DriftingDevice(first, seed).days(days)
        return cls(circuit, portfolio, binder_of(first), drifting, values)

    def ready(self, snapshot: Snapshot, rows: slice, binder: Binder | None = None) -> Experiment:
        """What is submitted: circuit in the device's gates, values in its own order."""
        bound = (binder or self.binder).bind(self.portfolio, snapshot)
        return bind_experiment(Experiment(self.circuit, self.values[rows]), bound)


def binder_of(snapshot: Snapshot) -> Binder:
    return Binder((*snapshot.gates, "measure", "delay"))


def measure_latency(report: Report, *, quick: bool, seed: int) -> None:
    """From a new snapshot in memory to a PUB of 100 parameter sets, 20 qubits of 127."""
    count = 40 if quick else 300
    for suffix, make, device, told in SETTINGS:
        loop = Loop.of(make, device, count + 5, seed)
        loop.days[0].content_id  # noqa: B018  the process has hashed a snapshot before
        for snapshot in loop.days[:5]:
            loop.ready(snapshot, slice(None))
        times, cpu = [], []
        for snapshot in loop.days[5:]:
            began = time.process_time()
            times.append(seconds(partial(loop.ready, snapshot, slice(None))))
            cpu.append(time.process_time() - began)
        middle = median(times, seed)
        note = (
            f"{told}; 95 % CI {1e3 * middle.low:.3g} to {1e3 * middle.high:.3g}, {count} drifted "
            f"snapshots, {len(loop.portfolio.templates)} routings"
        )
        aim = None if suffix else 10.0
        report.add(f"bind_p50_20q_127q{suffix}", 1e3 * middle.value, "ms", aim=aim, note=note)
        report.add(
            f"bind_p99_20q_127q{suffix}", 1e3 * float(np.percentile(times, 99)), "ms", note=told
        )
        note = f"processor time, median; mean {1e3 * np.mean(cpu):.3g}"
        report.add(f"bind_cpu_20q_127q{suffix}", 1e3 * float(np.median(cpu)), "ms", note=note)
        _cold(report, loop, suffix, 3 if quick else 10)
    _parsed(report, seed, 10 if quick else 50)


def _cold(report: Report, loop: Loop, suffix: str, count: int) -> None:
    times = [
        seconds(partial(loop.ready, snapshot, slice(None), binder_of(snapshot)))
        for snapshot in loop.days[:count]
    ]
    note = f"median of {count} new binders: placements looked for, everything materialised"
    report.add(f"bind_cold_20q_127q{suffix}", 1e3 * float(np.median(times)), "ms", note=note)


def _parsed(report: Report, seed: int, count: int) -> None:
    """The same from what the store holds: snapshot and portfolio as bytes."""
    loop = Loop.of(chain, "FakeSherbrooke", count, seed)
    loop.ready(loop.days[0], slice(None))
    payload = loop.portfolio.to_bytes()
    read, parse, whole = [], [], []
    with (
        tempfile.TemporaryDirectory(prefix="qcpaas-binding-") as name,
        open_store(f"sqlite:///{Path(name) / 'store.db'}") as store,
    ):
        calibrations = Calibrations(store)
        for snapshot in loop.days:
            calibrations.record(snapshot)
        for snapshot in loop.days:
            began = time.perf_counter()
            stored = calibrations.get(snapshot.content_id)
            read.append(time.perf_counter() - began)
            loop.portfolio = Portfolio.from_bytes(payload)
            parse.append(time.perf_counter() - began - read[-1])
            loop.ready(stored, slice(None))
            whole.append(time.perf_counter() - began)
    for metric, times, note in (
        ("read_snapshot_127q", read, "from the store, its columns' meaning known"),
        ("parse_portfolio_20q", parse, f"{len(payload):,} bytes, {count} times"),
        ("bind_with_parsing_20q_127q", whole, "both, and the binding of what was read"),
    ):
        report.add(metric, 1e3 * float(np.median(times)), "ms", note=note)


def measure_iterations(report: Report, *, quick: bool, seed: int) -> None:
    """One iteration of a loop: new values, one point, ready to submit."""
    rounds = 3 if quick else 20
    for suffix, make, device, told in (SETTINGS[0], SETTINGS[2]):
        loop = Loop.of(make, device, rounds + 1, seed)
        times = _interleaved(loop, rounds)
        mean = {name: float(np.mean(each)) for name, each in times.items()}
        shared = [
            (t + (EVERY - 1) * u) / EVERY
            for t, u in zip(times["changed"], times["same"], strict=True)
        ]
        _add_ratios(report, suffix, times, shared, seed)
        for name, value, note in (
            ("iteration", float(np.mean(shared)), f"one in {EVERY} binds anew"),
            ("iteration_same_calibration", mean["same"], "the placement stands"),
            ("iteration_new_calibration", mean["changed"], "placed and materialised anew"),
            ("assign_parameters", mean["assign"], "of the bound circuit, nothing else"),
            ("transpile_level1", mean["level1"], "values assigned, target ready"),
            ("transpile_level3", mean["level3"], "values assigned, target ready"),
        ):
            report.add(f"{name}{suffix}", 1e3 * value, "ms", note=f"{told}; {note}; mean")


def _interleaved(loop: Loop, rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender, in turns."""
    loop.ready(loop.days[-1], slice(1))
    found: dict[str, list[float]] = {}
    for number, snapshot in enumerate(loop.days[:rounds]):
        for name, call in _contenders(loop, number, snapshot):
            repeats = 20 if name == "same" else 1
            times = [seconds(call) for _ in range(repeats)]
            found.setdefault(name, []).append(float(np.mean(times)))
    return found


def _contenders(
    loop: Loop, number: int, snapshot: Snapshot
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each as it is called; the first meets a new calibration, the second the same again."""
    row = slice(number % SETS, number % SETS + 1)
    yield "changed", partial(loop.ready, snapshot, row)
    yield "same", partial(loop.ready, snapshot, row)
    bound = loop.ready(snapshot, row)
    yield "assign", partial(bound.circuit.assign_parameters, bound.parameter_values[0])
    given = dict(zip(loop.circuit.parameters, loop.values[row][0], strict=True))
    assigned, target = loop.circuit.assign_parameters(given), target_of(snapshot)
    for level in (1, 3):
        yield (
            f"level{level}",
            partial(
                transpile,
                assigned,
                target=target,
                optimization_level=level,
                seed_transpiler=number,
            ),
        )


def _add_ratios(
    report: Report, suffix: str, times: dict[str, list[float]], shared: list[float], seed: int
) -> None:
    for metric, peer, ours, told, aim in (
        ("level3_over_bind", "level3", shared, f"one iteration in {EVERY} binds anew", 100.0),
        ("level3_over_bind_same_calibration", "level3", times["same"], "placement stands", None),
        ("level3_over_bind_worst", "level3", times["changed"], "every iteration binds anew", None),
        ("level1_over_bind", "level1", shared, f"one iteration in {EVERY} binds anew", None),
    ):
        ratio = ratio_of_sums(times[peer], ours, seed)
        report.add(
            f"{metric}{suffix}",
            ratio.value,
            "ratio",
            aim=aim if not suffix else None,
            better="higher",
            peer=f"transpile, level {peer[-1]}",
            note=f"{told}, materialisation included; {ratio}",
        )


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
