"""Late placements over the record of a real device of five qubits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import brickwork, chain, ghz, qaoa
from benchmarks.binding_drift import with_values
from benchmarks.binding_effect import Seen, Tried
from benchmarks.binding_latency import binder_of
from benchmarks.binding_peers import SEEDS, Placed, level3, target_of
from benchmarks.binding_quality import paired_mean
from benchmarks.drift_records import read_record
from benchmarks.report import Report
from calibration.binding import Bound
from calibration.drift_history import Table
from calibration.portfolio import compile_portfolio
from qcpaas.calibration import Quantity
from store.snapshot import Key, Snapshot

DEVICE = "FakeAthens"  # a line of five qubits, CX in both directions
CIRCUITS = (
    partial(chain, 3),
    partial(chain, 4),
    partial(brickwork, 4),
    partial(ghz, 3),
    partial(ghz, 4),
    partial(qaoa, 4),
)
QUICK_DAYS = 12

Gained = tuple[float, float, float]  # log fidelity, Hellinger fidelity, energy error saved


def measure_history(report: Report, folder: Path, *, quick: bool, seed: int) -> None:
    """Every day of the record on which all values were read; the next day's noise is true."""
    days = snapshots_of(read_record(sorted(folder.glob("*.csv"))), read_snapshot(DEVICE))
    days = days[: QUICK_DAYS if quick else len(days)]
    target, binder = topology_target(days[0], control_flow=()), binder_of(days[0])
    gains: dict[str, list[Gained]] = {}
    for number, make in enumerate(CIRCUITS[:3] if quick else CIRCUITS):
        tried = Tried.of(make(), seed + number)
        portfolio = compile_portfolio(tried.circuit, target, seeds=SEEDS)
        first = _placed(binder.bind(portfolio, days[0]))
        for yesterday, today in pairwise(days):
            anew = level3(tried.circuit, target_of(today))
            peers = {
                "yesterday": _placed(binder.bind(portfolio, yesterday)),
                "first day": first,
                "level 3": max(anew, key=lambda one: one.judged(today).errors),
            }
            ours = _placed(binder.bind(portfolio, today))
            for name, peer in peers.items():
                gains.setdefault(name, []).append(_gained(tried, ours, peer, today))
    for name, found in gains.items():
        _add(report, name, found, seed)


def _placed(bound: Bound) -> Placed:
    return Placed(bound.circuit, bound.binding.physical_qubits)


def _gained(tried: Tried, ours: Placed, peer: Placed, today: Snapshot) -> Gained:
    """Above a peer: log fidelity, Hellinger fidelity, and energy error saved."""
    if (ours.circuit, ours.physical_qubits) == (peer.circuit, peer.physical_qubits):
        return 0.0, 0.0, 0.0
    new: Seen = tried.seen(ours, today)
    old: Seen = tried.seen(peer, today)
    better = ours.judged(today).with_idle - peer.judged(today).with_idle
    return better, new.hellinger - old.hellinger, old.energy_error - new.energy_error


def _add(report: Report, peer: str, found: list[Gained], seed: int) -> None:
    columns = zip(
        ("log_fidelity_gain", "hellinger_fidelity_gain", "energy_error_saved"),
        ("nats", "fidelity", "energy"),
        zip(*found, strict=True),
        strict=True,
    )
    for metric, unit, values in columns:
        interval = paired_mean(values, seed)
        moved = np.mean(np.abs(np.array(values)) > 0)
        note = (
            f"{interval}, {len(values)} circuits and days, {100 * moved:.0f} % placed elsewhere; "
            f"worst {min(values):+.3f}, best {max(values):+.3f}"
        )
        report.add(
            f"{metric} on the record",
            interval.value,
            unit,
            better="higher",
            peer=peer,
            note=note,
        )


def snapshots_of(tables: list[Table], device: Snapshot) -> list[Snapshot]:
    """The device as it was on each day of a record; days with a missing value are left out."""
    days = tables[0].values.shape[0]
    found = []
    for day in range(days):
        changed = [pair for table in tables for pair in _values(table, day, device)]
        if all(np.isfinite(value) for _, value in changed):
            found.append(replace(with_values(device, changed), taken_at=device.taken_at))
    return found


def _values(table: Table, day: int, device: Snapshot) -> Iterator[tuple[Key, float]]:
    if table.gate:
        # A column a coupler, in the couplers' order; headings do not always name them rightly.
        couplers = sorted({tuple(sorted(pair)) for pair in device.gates[table.gate]})
        for coupler, value in zip(couplers, table.values[day], strict=True):
            for qubits in (coupler, coupler[::-1]):
                yield (table.quantity.value, table.gate, qubits), float(value)
        return
    readout = (Quantity.READOUT_P10, Quantity.READOUT_P01)
    names = readout if table.quantity is Quantity.READOUT_ERROR else (table.quantity,)
    for element, value in zip(table.elements, table.values[day], strict=True):
        for name in names:
            yield (name.value, "", element), float(value)
